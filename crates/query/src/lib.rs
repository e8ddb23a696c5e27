//! Questions to stored spans: the query language, its plans, and SQL.
//!
//! - `language` reads what a question says, without knowing any column;
//! - `fields` knows which column a field is, `plan` makes a plan of a question over the columns: a `listing` of spans, or
//!   `figures` of them;
//! - `gather` puts figures together from the `states` that each file adds, which `partials` keeps for questions that come
//!   again;
//! - `table` is all spans at one moment, and `answer` makes rows of what comes out.
//!
//! [`Engine`] holds these together, on threads of its own, within bounds of time and memory. It is a crate of its own
//! because what it stands on takes long to compile, and nothing else should wait for that.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod engine;
mod fields;
mod figures;
mod gather;
mod language;
mod listing;
mod partials;
mod plan;
mod states;
mod table;
mod tables;
mod words;

pub use engine::{Engine, EngineOptions};
