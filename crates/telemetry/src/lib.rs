//! How Hopline traces itself: what its spans are called, how a trace travels, who decides whether it is
//! recorded, and how spans get from the parts to whatever keeps them.
//!
//! - [`contract`] names every span, in one file;
//! - [`context`] and [`sampling`] carry a trace from hop to hop and decide it once, at its head;
//! - [`tracer`] makes spans, [`pending`] shows those that stay open;
//! - [`pipeline`] takes finished spans without ever blocking the work, and counts what it must drop;
//! - [`exporter`] sends them elsewhere: [`otlp`] to an OTLP/HTTP endpoint, a broker's relay among them, [`sentry`] to Sentry;
//! - [`logs`] sets up log output, [`metrics`] the metrics every part exposes, [`http`] the client they share.
//!
//! The crate never fails the work: no function on the event path returns an error.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod context;
pub mod contract;
pub mod exporter;
mod grpc;
mod heads;
pub mod http;
pub mod ids;
pub mod logs;
mod losses;
pub mod metrics;
pub mod otlp;
pub mod pending;
pub mod pipeline;
pub mod sampling;
pub mod sentry;
mod spool;
pub mod tracer;

pub use context::{Head, TraceContext};
pub use contract::Hop;
pub use heads::Heads;
pub use pipeline::Pipeline;
pub use sampling::Sampler;
pub use spool::Spool;
pub use tracer::{OpenSpan, Tracer};
