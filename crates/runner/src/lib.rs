//! Runs commands and agents, and turns their output into events.
//!
//! A [`Runner`] keeps a [link] to its broker, takes commands from it, and answers with events:
//!
//! * [`link`] opens the WebSocket, agrees on its protocol, and opens it again when it breaks;
//! * `commands` takes each command up once and says how it went;
//! * `agents` run what a build is made of, `devserver` what a project is looked at with;
//! * `events` numbers and writes events, `outbox` keeps each until it is settled.
//!
//! An event is written once, where it is made, and waits in the outbox until its acknowledgement comes back from the
//! database. When the outbox is full, nobody reads the pipe of the program that wants to say more.
//!
//! The half that faces processes and files:
//! * [`guard`] keeps every started program from outliving the runner, however the runner dies;
//! * [`process`] starts, watches and ends programs under a guard;
//! * [`output`] turns what they print into text, without losing or reordering a byte;
//! * [`workspace`] holds the projects' files and keeps every path inside its project.
//!
//! Linux only: the promises about processes and paths rest on its subreapers, `/proc` and
//! `openat2`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod agents;
mod commands;
mod devserver;
mod events;
pub mod guard;
pub mod link;
mod mask;
mod metrics;
mod outbox;
pub mod output;
pub mod process;
mod processes;
mod runner;
pub mod stepfile;
mod trace;
pub mod workspace;

pub use link::{LinkProtocol, LinkState, Refusal};
pub use runner::{ChildSpans, Handle, Options, Runner, RunnerError, ShutdownReport};
