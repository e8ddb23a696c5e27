//! Runs commands and agents, and turns their output into events.
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

pub mod guard;
pub mod output;
pub mod process;
pub mod workspace;
