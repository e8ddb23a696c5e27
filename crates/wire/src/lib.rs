//! What travels between Hopline's parts, and nothing else: commands, events, the parts inside them,
//! the trace carrier, acknowledgements, and the span record that every part's telemetry is made of.
//!
//! Two readings of each message stand side by side:
//! - *typed and owned* ([`event::Event`], [`command::Command`]): every field the format names, and a
//!   map for those it does not, so that what a newer peer adds survives a round trip;
//! - *borrowed* ([`event::EventHead`], [`part::Part`]): what a hop needs to pass an event on or to fold
//!   it, read out of the received bytes without copying them. The event path uses these alone.
//!
//! The crate does no I/O, knows no clock but the one it is handed, and depends on no other crate of
//! Hopline. The formats are described in `docs/wire.md`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod baggage;
pub mod carrier;
pub mod command;
pub mod event;
pub mod ids;
pub mod ingest;
pub mod limits;
pub mod link;
pub mod ops;
pub mod otlp;
pub mod pace;
pub mod part;
pub mod secret;
pub mod sentry;
pub mod span;
pub mod splice;
pub mod text;
pub mod time;
pub mod token;
pub mod w3c;

pub use carrier::{Carrier, SentryTrace};
pub use ids::{SpanId, TraceId};
pub use time::Timestamp;
