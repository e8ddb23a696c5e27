//! What the program's exit code says.
//!
//! `run` and `build` end with the code of the command they ran. Everything that keeps a command from
//! running has a code of its own, taken from `sysexits.h` so that it seldom meets a command's.

use std::fmt;
use std::process::ExitCode;

use crate::follow::{EndedBy, Ending};

/// What was looked for was found: rows that are not what the log makes them.
pub(crate) const DIFFERS: u8 = 1;
/// A mistake in what was typed or set: the command line, a setting, a file of steps.
pub(crate) const USAGE: u8 = 2;
/// What was asked for is not there (`EX_NOINPUT`).
pub(crate) const NOT_FOUND: u8 = 66;
/// A server, broker, runner or database is out of reach (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// Something inside went wrong (`EX_SOFTWARE`).
pub(crate) const INTERNAL: u8 = 70;
/// The data folder cannot be written (`EX_CANTCREAT`).
pub(crate) const CANNOT_WRITE: u8 = 73;
/// Something is taken just now: the data folder, a port, the project (`EX_TEMPFAIL`).
pub(crate) const TAKEN: u8 = 75;
/// What was found is of another version (`EX_PROTOCOL`).
pub(crate) const VERSION: u8 = 76;
/// A credential is missing, wrong, or open to others (`EX_NOPERM`).
pub(crate) const FORBIDDEN: u8 = 77;
/// Ended by Ctrl-C (128 + SIGINT, as shells have it).
pub(crate) const INTERRUPTED: u8 = 130;
/// Whoever read standard output has closed it (128 + SIGPIPE, as shells have it).
pub(crate) const OUTPUT_CLOSED: u8 = 141;

/// The table for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0       all is well
  1..255  of `run` and `build`: the command's own; 128 + N if signal N ended it
  1       of `rebuild`: rows are not what the log makes them
  2       a mistake in the command line, a setting or a file of steps
  66      no such build, trace or project
  69      a server, broker, runner or database is out of reach
  70      something inside Hopline went wrong
  73      the data folder cannot be written
  75      taken: the data folder, a port or the project is in use
  76      the database or the server is of another version
  77      a credential is missing or wrong, or the secrets file is open to others
  130     interrupted
  141     whoever read the output has closed it";

/// A failure with the exit code that tells it. Travels at the bottom of an `anyhow` chain.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A failure that is told to the user in these words.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code of a failed command: that of the first cause that knows one.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.code;
        }
        if let Some(error) = cause.downcast_ref::<crate::settings::SettingsError>() {
            return error.exit_code();
        }
        if let Some(error) = cause.downcast_ref::<crate::data::DataError>() {
            return error.exit_code();
        }
        if let Some(error) = cause.downcast_ref::<crate::api::ApiError>() {
            return error.exit_code();
        }
    }
    INTERNAL
}

/// The exit code of a build: the command's own, or what shells make of its end without one.
pub(crate) fn of_build(ending: &Ending) -> ExitCode {
    let build = &ending.build;
    let code = match (build.exit_code, ending.ended_by) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, Some(EndedBy::User)) => INTERRUPTED,
        (None, Some(EndedBy::Signal(signal))) => 128 + signal.min(127),
        (None, None) => 0,
    };
    match (build.is_completed(), code) {
        // A build that failed never looks as if it had not.
        (false, 0) => ExitCode::FAILURE,
        (_, code) => ExitCode::from(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::Build;
    use serde_json::json;

    fn code(status: &str, exit_code: Option<i64>, ended_by: Option<EndedBy>) -> String {
        let build = json!({
            "sessionId": "s", "buildId": "b", "commandId": "c", "projectId": "p", "agentId": "command",
            "status": status, "final": true, "exitCode": exit_code, "lastSeq": 1,
            "startedAt": "2026-01-02T03:04:05.000Z",
        });
        let build: Build = serde_json::from_value(build).unwrap();
        format!("{:?}", of_build(&Ending { build, ended_by }))
    }

    #[test]
    fn a_build_passes_its_exit_code_on_and_never_hides_a_failure() {
        let shown = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code("completed", Some(0), None), shown(0));
        assert_eq!(code("failed", Some(7), None), shown(7));
        assert_eq!(code("failed", Some(0), None), shown(1));
        assert_eq!(code("failed", Some(-1), None), shown(1));
        assert_eq!(code("failed", None, None), shown(1));
        assert_eq!(code("failed", None, Some(EndedBy::Signal(15))), shown(143));
        assert_eq!(code("failed", None, Some(EndedBy::User)), shown(130));
    }
}
