//! The commands that give others access: tokens of runners, DSNs of programs.

use clap::{Args, Subcommand};

use super::args::ServerFlag;

/// Make, list and revoke the tokens by which runners link
///
/// A token is good for one runner alone, and for nothing but that runner's own builds. It stands in the place of the
/// shared runner secret; a revoked one ends the runner's link within seconds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline token create --runner build-1
  HOPLINE_RUNNER_SECRET=hlr_… hopline runner --id build-1 --broker http://127.0.0.1:4701
  hopline token list
  hopline token revoke a3308b59-f34d-47bd-9202-fcfad2beb547")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
    /// One line of JSON for each token
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a runner, and print it: it is shown this once
    Create {
        /// The runner's name
        #[arg(long, value_name = "NAME")]
        runner: String,
    },
    /// List the tokens, the newest first
    List,
    /// Revoke a token for ever
    Revoke {
        /// Its id, as `list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Make, list and revoke the DSNs by which programs send spans
///
/// A DSN is an address for one of Sentry's SDKs; OpenTelemetry's SDKs take the key in it as a Bearer. Whoever has it can
/// send, and nothing else.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  SENTRY_DSN=$(hopline dsn create --name shop) node app.js
  hopline dsn list
  hopline dsn revoke 1")]
pub(crate) struct DsnArgs {
    #[command(subcommand)]
    pub(crate) command: DsnCommand,
    /// One line of JSON for each DSN
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}

/// What to do with DSNs.
#[derive(Debug, Subcommand)]
pub(crate) enum DsnCommand {
    /// Make a DSN, and print it
    Create {
        /// Who will send by it
        #[arg(long, value_name = "NAME", default_value = "")]
        name: String,
    },
    /// List the DSNs, the revoked ones too
    List,
    /// Revoke a DSN for ever
    Revoke {
        /// The number at its end
        #[arg(value_name = "NUMBER")]
        number: u32,
    },
}
