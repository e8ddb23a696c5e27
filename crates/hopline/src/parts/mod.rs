//! Starting the parts and ending them in order.
//!
//! The parts are started with their options and meet on sockets, also where they share this process. Their
//! end is that of their work: first the intake (runners, links, requests), then what is in flight, then the
//! rows, and last the telemetry that tells of all of it, each with a deadline ([`Deadlines`]).

pub(crate) mod broker;
mod columns;
mod figures;
pub(crate) mod house;
mod kept;
pub(crate) mod left;
pub(crate) mod parquet;
pub(crate) mod runner;
pub(crate) mod server;
pub(crate) mod stores;
pub(crate) mod telemetry;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::exit::{self, Failure};

/// How long each step of an end may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For builds to be ended and their last events to be settled.
    pub(crate) intake: Duration,
    /// For what is in flight at broker, server and processor, each.
    pub(crate) in_flight: Duration,
    /// For spans to be written and sent.
    pub(crate) telemetry: Duration,
}

impl Deadlines {
    /// The usual ones.
    pub(crate) const USUAL: Self = Self {
        intake: Duration::from_secs(10),
        in_flight: Duration::from_secs(5),
        telemetry: Duration::from_secs(3),
    };

    /// For an end that its user is waiting for impatiently.
    pub(crate) const SHORT: Self = Self {
        intake: Duration::from_secs(2),
        in_flight: Duration::from_secs(1),
        telemetry: Duration::from_secs(1),
    };
}

/// The moment that lies this far ahead.
pub(crate) fn within(duration: Duration) -> Instant {
    Instant::now() + duration
}

/// What tells a server or a broker from others of its kind, in its spans: the machine and where it listens there. One that is
/// started there anew takes its place.
fn instance(listen: SocketAddr) -> String {
    format!("{}/{listen}", runner::machine_name())
}

/// The failure of a part that cannot listen where it should, or for another reason does not start.
fn not_started(
    part: &str,
    error: &(dyn std::error::Error + 'static),
    taken: bool,
) -> anyhow::Error {
    let mut code = if taken { exit::TAKEN } else { exit::INTERNAL };
    let mut told = format!("start the {part}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_kind = cause.downcast_ref().map(std::io::Error::kind);
        // An address that is not this machine's, or that only others may listen at, is a mistake in a setting.
        if let Some(ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied) = cause_kind {
            code = exit::USAGE;
        }
        let cause_text = cause.to_string();
        // Some errors repeat their cause in their own words.
        if !told.contains(&cause_text) {
            told = format!("{told}: {cause_text}");
        }
        source = cause.source();
    }
    Failure::new(code, told).into()
}
