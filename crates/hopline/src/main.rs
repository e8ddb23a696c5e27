//! The program: settings, starting and stopping the parts in order, and what is shown on a terminal.
//!
//! Nothing of the parts' work is done here. They are started with their options, meet on real sockets even
//! within one process, and are ended in order, each step with a deadline.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod api;
mod cli;
mod commands;
mod data;
mod exit;
mod follow;
mod memory;
mod parts;
mod render;
mod settings;

use std::process::ExitCode;

use hopline_runner::guard::{self, GuardCommand};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // The guard is a light process that must not have a second thread: it goes before everything else.
    if args.next().is_some_and(|word| word == cli::GUARD_WORD) {
        return guard::main(&GuardCommand::own_binary([cli::GUARD_WORD]), args);
    }
    memory::set_up();
    cli::main()
}
