//! The link to the broker: one WebSocket at a time, opened again for as long as the runner lives.
//!
//! A link begins as nobody knows which: the runner offers the subprotocol `hopline.v1` and says `hello`. With
//! `welcome` it is a link with acknowledgements; without it in time, or without the subprotocol, it is the
//! legacy one. Events are taken from the outbox only once that is decided. Commands are handed on from the first
//! moment.
//!
//! A link that ends is replaced after a pause that starts near nothing and doubles, with jitter, from 250 ms to
//! 15 s. A broker that refuses the runner (wrong secret, another instance under the same id) is asked again, slowly:
//! both can be put right without the runner.

mod clock;
mod connect;
mod pause;
mod session;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use hopline_telemetry::Tracer;
use hopline_wire::secret::Secret;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use clock::ClockOffset;
pub use connect::BadBrokerUrl;
pub(crate) use connect::Endpoint;

use crate::commands::Dispatcher;
use crate::metrics::RunnerMetrics;
use crate::outbox::Outbox;
use pause::Pauses;
use session::{End, Session};

/// A link that lasted this long was a good one: the next pause is a short one again.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// The two forms of the link (docs/wire.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkProtocol {
    /// With acknowledgements: subprotocol `hopline.v1`.
    V1,
    /// The original's: what is written is settled.
    Legacy,
}

/// Why a broker does not take the runner, which it must be told or rid of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The secret is not the broker's.
    #[error("the broker does not accept this runner's secret")]
    WrongSecret,
    /// Another instance of the runner id is connected.
    #[error("another runner of the same id is connected to the broker")]
    AlreadyConnected,
}

/// How the link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The first attempt is under way.
    Connecting,
    /// Events flow.
    Up(LinkProtocol),
    /// There is no link for now; the next attempt comes by itself.
    Down {
        /// What ended the last one, or kept it from coming up.
        reason: String,
    },
    /// As [`Down`](Self::Down), but somebody must put something right first.
    Refused(Refusal),
    /// The runner has stopped.
    Closed,
}

/// What a link needs to know and whom it serves.
pub(crate) struct Link {
    pub(crate) endpoint: Endpoint,
    pub(crate) runner_id: String,
    pub(crate) instance_id: String,
    pub(crate) version: String,
    pub(crate) secret: Secret,
    pub(crate) welcome_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) dead_after: Duration,
    pub(crate) outbox: Outbox,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) tracer: Tracer,
    pub(crate) metrics: RunnerMetrics,
    pub(crate) clock: Arc<ClockOffset>,
    pub(crate) max_event_bytes: Arc<AtomicUsize>,
    pub(crate) state: watch::Sender<LinkState>,
    /// Ends the link, with a close frame.
    pub(crate) stop: CancellationToken,
}

impl Link {
    /// Keeps a link open until told to stop.
    pub(crate) async fn run(self) {
        let mut pauses = Pauses::default();
        // Whether to offer the subprotocol: some servers refuse what they do not know, by not answering it.
        let mut offer_v1 = true;
        loop {
            let started = Instant::now();
            let end = self.one(offer_v1).await;
            self.metrics.link_up.set(0);
            if matches!(end, End::Stopped) {
                break;
            }
            if matches!(end, End::NoSubprotocol) && std::mem::take(&mut offer_v1) {
                continue;
            }
            // What the broker is may have changed by the next time.
            offer_v1 = true;
            let refusal = end.refusal();
            if started.elapsed() >= GOOD_AFTER && refusal.is_none() {
                pauses = Pauses::default();
            }
            self.report(&end, refusal);
            tokio::select! {
                () = tokio::time::sleep(pauses.next(refusal)) => {}
                () = self.stop.cancelled() => break,
            }
        }
        self.state.send_replace(LinkState::Closed);
    }

    /// One link, from its opening to its end.
    async fn one(&self, offer_v1: bool) -> End {
        let connected = tokio::select! {
            connected = self.endpoint.connect(&self.secret, offer_v1) => connected,
            () = self.stop.cancelled() => return End::Stopped,
        };
        match connected {
            // The session itself ends when told to, and with a farewell, for which it must not be dropped here.
            Ok((socket, answered_v1)) => Session::new(self, answered_v1).run(socket).await,
            Err(end) => end,
        }
    }

    fn report(&self, end: &End, refusal: Option<Refusal>) {
        let state = match refusal {
            Some(refusal) => LinkState::Refused(refusal),
            None => LinkState::Down {
                reason: end.to_string(),
            },
        };
        let news = *self.state.borrow() != state;
        let broker = self.endpoint.shown();
        match refusal {
            Some(refusal) if news => {
                tracing::error!(runner = %self.runner_id, broker, "cannot link to the broker: {refusal}");
            }
            None if news => {
                tracing::warn!(runner = %self.runner_id, broker, "no link to the broker: {end}");
            }
            _ => {
                tracing::debug!(runner = %self.runner_id, broker, "still no link to the broker: {end}")
            }
        }
        if news {
            self.state.send_replace(state);
        }
    }
}
