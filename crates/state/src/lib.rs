//! The rows of projects, commands and builds, and the event log that they are folded from: one trait,
//! [`Store`], and the databases behind it.
//!
//! What the processor folds reaches the database through [`Store::commit`] alone: one transaction for
//! the events of many commands, idempotent by `(command_id, seq)`. Everything else serves the server's
//! API. The crate folds nothing and decides nothing: what a row says is the processor's business.
//!
//! [`sqlite::SqliteStore`] is the embedded database, [`postgres::PostgresStore`] that of teams. The tables are described
//! in `docs/wire.md`, and every backend has its migrations under `migrations/`. One suite of tests (`contract_tests`) is
//! run by all.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod doorbell;
pub mod error;
pub mod group;
mod migrations;
pub mod postgres;
mod reading;
pub mod repair;
pub mod row_id;
pub mod rows;
pub mod sqlite;
pub mod store;

#[cfg(any(test, feature = "contract-tests"))]
pub mod contract_tests;

pub use error::{Conflict, Reason, StateError};
pub use group::{BatchOutcome, CommandBatch, Committed, Group};
pub use repair::Repair;
pub use store::{Page, SessionFilter, SessionKey, Store};
