//! The guard as a program of its own, for those who use the runner as a library: name it in a
//! [`GuardCommand`] without arguments. The `hopline` program carries its own.

use std::process::ExitCode;

use hopline_runner::guard::{self, GuardCommand};

fn main() -> ExitCode {
    let own = GuardCommand::own_binary(std::iter::empty::<&str>());
    guard::main(&own, std::env::args_os().skip(1))
}
