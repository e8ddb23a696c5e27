//! From events to rows: judges what a broker sends, folds it, commits it in groups, and feeds the changes to whoever
//! follows a build.
//!
//! An event's way: [`Handle::submit`] hands it to its command's task; the task gives it its place by `seq`, folds
//! it together with whatever else has come, and hands the batch to the committer; the committer writes the batches
//! of all commands in one transaction; the task publishes what changed on the [`feed`] and answers. When
//! `submit` returns, each event's fate is settled in the database.
//!
//! What it promises: per command, events apply in order and once; rows are a pure fold of the log and the recorded
//! decisions; an event costs the same however long its build has run; no event blocks its command for ever.
//! What it leaves to others: access, HTTP and the api spans to the server, rows at rest to [`hopline_state`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod actor;
mod command;
mod committer;
mod elsewhere;
pub mod feed;
mod fold;
pub mod generation;
mod incoming;
mod metrics;
mod options;
mod outcomes;
pub mod rebuild;
mod refresh;
mod retention;
mod round;
mod service;
mod statements;
mod status;
mod updates;
mod watch;

pub use feed::{Change, ChangeTrace, Delivery, Feed, Interest, Subscription, Update, UpdateKind};
pub use incoming::{Incoming, Reader};
pub use options::Options;
pub use outcomes::Outcomes;
pub use service::{Handle, Processor, Settled, SubmitError};
