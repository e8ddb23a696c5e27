//! The command line: every command and option, with the help that explains them.
//!
//! Options that are settings too serialise under the setting's key, absent ones left out, so that
//! [`crate::settings`] can weigh them against the other sources.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hopline_server::BasePath;
use serde::Serialize;

use super::access::{DsnArgs, TokenArgs};
use super::exchange::{ExportArgs, ImportArgs};
use super::questions::{QueryArgs, SqlArgs};
use crate::exit;
use crate::settings::{BaseUrl, LogStyle, Period, Retention};

const SETTINGS_HELP: &str = "\
Every option that is a setting can also be given as HOPLINE_<NAME> in the environment or in hopline.toml, \
in the current folder or the data folder. A flag wins over the environment, that over the files.";

fn long_help() -> String {
    format!("{SETTINGS_HELP}\n\n{}", exit::HELP)
}

/// Runs builds and coding agents, carries every event they make into a database, and traces each event's
/// whole journey.
#[derive(Debug, Parser)]
#[command(name = "hopline", version, max_term_width = 100, after_help = exit::HELP, after_long_help = long_help())]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArgs),
    Build(BuildArgs),
    Builds(BuildsArgs),
    Trace(TraceArgs),
    Query(QueryArgs),
    Sql(SqlArgs),
    Export(ExportArgs),
    Import(ImportArgs),
    Rebuild(RebuildArgs),
    Status(StatusArgs),
    Token(TokenArgs),
    Dsn(DsnArgs),
    Up(UpArgs),
    Server(ServerArgs),
    Broker(BrokerArgs),
    Runner(RunnerArgs),
}

/// Settings of every command.
#[derive(Debug, Args, Serialize)]
pub(crate) struct CommonFlags {
    /// The folder that holds everything embedded [default: $XDG_DATA_HOME/hopline or ~/.local/share/hopline]
    #[arg(long, global = true, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Which log records are written to standard error, such as `info` or `hopline_broker=debug,warn`
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Logs")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// How they are written
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        help_heading = "Logs"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogStyle>,
    /// How many threads run the parts [default: one for each processor, at most 2]
    #[arg(long, global = true, value_name = "N", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
}

/// The server that a command talks to.
#[derive(Debug, Args, Serialize)]
pub(crate) struct ServerFlag {
    /// The server to talk to [default: the running Hopline that holds the data folder]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<BaseUrl>,
}

/// The broker that a command talks to.
#[derive(Debug, Args, Serialize)]
pub(crate) struct BrokerFlag {
    /// The broker to connect to [default: the one of the running Hopline that holds the data folder]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<BaseUrl>,
}

/// Where rows are kept.
#[derive(Debug, Args, Serialize)]
pub(crate) struct DatabaseFlag {
    /// The database of rows: sqlite:PATH, or postgres://USER@HOST:PORT/DATABASE for several servers; one with a password is
    /// better given as HOPLINE_DATABASE, which no list of processes shows [default: hopline.db in the data folder]
    #[arg(long, value_name = "DATABASE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
}

/// How builds are looked after, and what is kept of them.
#[derive(Debug, Args, Serialize)]
pub(crate) struct UpkeepFlags {
    /// How long nothing must be heard of a build whose runner is gone until it counts as failed [default: 30m]
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Builds",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    silence_after: Option<Period>,
    /// How long the log of a build is kept after its end, so that its rows can be folded again; `never` removes none
    /// [default: 7d]
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Builds",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_retention: Option<Retention>,
    /// How long spans are kept [default: never removed for their age]
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Tracing",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    span_retention: Option<Retention>,
    /// How many bytes spans may occupy; the oldest go first [default: 32 GiB]
    #[arg(
        long,
        value_name = "BYTES",
        help_heading = "Tracing",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    span_bytes: Option<u64>,
    /// A bucket that spans move to once their files are merged no further
    #[arg(
        long,
        value_name = "s3://NAME/PREFIX",
        help_heading = "Tracing",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    span_bucket: Option<String>,
}

/// What is traced, and where spans go.
#[derive(Debug, Args, Serialize)]
pub(crate) struct TracingFlags {
    /// The share of new traces that are recorded, from 0 to 1 [default: 1]
    #[arg(long, value_name = "RATE", help_heading = "Tracing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<f64>,
    /// An OTLP/HTTP endpoint that spans are sent to as well, such as http://127.0.0.1:4318
    #[arg(long, value_name = "URL", help_heading = "Tracing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_url: Option<BaseUrl>,
    /// What new traces say of the release that runs
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Tracing",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    /// What new traces say of the environment it runs in
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Tracing",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
}

/// How a service says that it is ready.
#[derive(Debug, Args)]
pub(crate) struct ReadyFlags {
    /// Say with one line of JSON that it is ready and where
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is to be built, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// A file of steps [default: hopline-steps.toml, if there is one and no command is given]
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    pub(crate) file: Option<PathBuf>,
    /// Who runs it: `command` for a command's lines, `stream` for a program that writes parts as JSON,
    /// `steps` for a file of steps [default: what the rest asks for]
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<String>,
    /// What is asked, for people and agents [default: the command, or what the file says]
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// A variable whose value is masked in what is said of the build, once for each; those called *_TOKEN, *_SECRET,
    /// *_PASSWORD and *_KEY are so anyway
    #[arg(long = "secret", value_name = "VARIABLE")]
    pub(crate) secrets: Vec<String>,
    /// End with one line of JSON; progress goes to standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Show every event in the trace's tree, also where many are alike
    #[arg(long)]
    pub(crate) full: bool,
    /// The command to run, after `--`
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Run one build of the current folder, here and now, and show its trace
///
/// The build takes the whole path: a runner in this process, a broker, a server, a database, over real
/// sockets. They are those of a running Hopline if there is one, else they are started in this process and end
/// with it. Ctrl-C cancels the build; a second one kills it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline run -- make test            one command
  hopline run --file steps.toml       a file of steps
  hopline run --agent stream -- ./my-agent
  hopline run --json -- true          one line for programs at the end
Ends with the command's exit code.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// The project, made if there is none of that name [default: the current folder's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
    #[command(flatten)]
    pub(crate) broker: BrokerFlag,
    #[command(flatten)]
    pub(crate) database: DatabaseFlag,
    #[command(flatten)]
    pub(crate) tracing: TracingFlags,
}

/// Ask a running server for a build on one of its runners, and follow it
///
/// Ctrl-C cancels the build; a second one leaves it alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline build shop -- make test     in the project's folder at its runner
  hopline build shop --runner local --file steps.toml
Ends with the command's exit code.")]
pub(crate) struct BuildArgs {
    /// The project: its name, slug or id; made if there is none of that name
    #[arg(value_name = "PROJECT")]
    pub(crate) project: String,
    /// The runner [default: the project's, or the only one that is connected]
    #[arg(long, value_name = "RUNNER")]
    pub(crate) runner: Option<String>,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}

/// List builds, the newest first
///
/// Asks the running Hopline if there is one, else reads the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline builds --status failed
  hopline builds --project shop --limit 5 --json")]
pub(crate) struct BuildsArgs {
    /// Only those that stand so
    #[arg(long, value_name = "STATUS", value_parser = ["active", "completed", "failed"])]
    pub(crate) status: Option<String>,
    /// Only those of this project: its name, slug or id
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// At most how many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// One line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}

/// Show a trace: its tree, what is missing or failed, and where the time went
///
/// Asks the running Hopline if there is one, else reads the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline trace 4f0c8a52b1d04c3e9f7a6b5c4d3e2f10
  hopline trace last --full
  hopline trace last --json > trace.otlp.json")]
pub(crate) struct TraceArgs {
    /// A trace id, a build's `sessionId`, `buildId` or `commandId`, or `last` for the newest build's
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Show every event, also where many are alike
    #[arg(long)]
    pub(crate) full: bool,
    /// The way of its events in place of its tree: each hop's time, what lies between the hops, what is missing
    #[arg(long)]
    pub(crate) path: bool,
    /// The spans as OTLP in JSON (`resourceSpans`); with --path, the way of the events in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}

/// Fold the log of a build again and tell every row that differs
///
/// Asks the running Hopline if there is one, else works on the data folder. Logs are kept for as long as `log_retention`
/// says; rows of a build without its log cannot be checked, and are left alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline rebuild a3308b59-f34d-47bd-9202-fcfad2beb547
  hopline rebuild --all
  hopline rebuild --all --write       puts right what differs
Ends with 1 if rows differ and were not put right.")]
pub(crate) struct RebuildArgs {
    /// A build's `sessionId`, `buildId` or `commandId`
    #[arg(value_name = "SESSION", required_unless_present = "all")]
    pub(crate) session: Option<String>,
    /// Every build there is
    #[arg(long, conflicts_with = "session")]
    pub(crate) all: bool,
    /// Put rows that differ right, each build's in one transaction
    #[arg(long)]
    pub(crate) write: bool,
    /// One line of JSON for each build
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}

/// Say whether a Hopline is running, and how it is doing
///
/// What is counted is counted since it was started.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline status
  hopline status --json
Ends with 69 if none is running.")]
pub(crate) struct StatusArgs {
    /// One line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}

/// Run everything in one process: server, broker, processor, stores and a runner named `local`
///
/// Prints the addresses and a link that signs one browser in. Runs until it is interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline up
  hopline up --listen 127.0.0.1:0 --broker-listen 127.0.0.1:0 --data ./data")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) ready: ReadyFlags,
    #[command(flatten)]
    pub(crate) listen: UpFlags,
    #[command(flatten)]
    pub(crate) database: DatabaseFlag,
    #[command(flatten)]
    pub(crate) upkeep: UpkeepFlags,
    #[command(flatten)]
    pub(crate) tracing: TracingFlags,
}

/// Where `up` listens, and where its runner's projects lie.
#[derive(Debug, Args, Serialize)]
pub(crate) struct UpFlags {
    /// Where the server listens [default: 127.0.0.1:4700]; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Where to take spans over OTLP/gRPC as well, such as 127.0.0.1:4317 [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_listen: Option<SocketAddr>,
    /// Where the broker listens [default: 127.0.0.1:4701]; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_listen: Option<SocketAddr>,
    /// The path below which people reach it, such as /hopline/, where a proxy serves other things beside it; the proxy may
    /// take it off or leave it [default: the path of the public address, else /]
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    base_path: Option<BasePath>,
    /// The folder of the runner's projects [default: projects in the data folder]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<PathBuf>,
}

/// Run the server: its API, live updates, processor and stores
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline server --data /var/lib/hopline
  hopline server --listen 0.0.0.0:4700 --public-url http://build-server:4700")]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    pub(crate) ready: ReadyFlags,
    #[command(flatten)]
    pub(crate) listen: ServerListen,
    #[command(flatten)]
    pub(crate) broker: BrokerFlag,
    #[command(flatten)]
    pub(crate) database: DatabaseFlag,
    #[command(flatten)]
    pub(crate) upkeep: UpkeepFlags,
    #[command(flatten)]
    pub(crate) tracing: TracingFlags,
}

/// Where a server listens.
#[derive(Debug, Args, Serialize)]
pub(crate) struct ServerListen {
    /// Where to listen [default: 127.0.0.1:4700]; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Where to take spans over OTLP/gRPC as well, such as 127.0.0.1:4317 [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_listen: Option<SocketAddr>,
    /// Where people, brokers and tools reach it, if by a name or a proxy; it answers under this name too
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<BaseUrl>,
    /// The path below which people reach it, such as /hopline/, where a proxy serves other things beside it; the proxy may
    /// take it off or leave it [default: the path of the public address, else /]
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    base_path: Option<BasePath>,
    #[command(flatten)]
    #[serde(flatten)]
    hosts: HostFlags,
}

/// The names that a part answers under.
#[derive(Debug, Args, Serialize)]
pub(crate) struct HostFlags {
    /// A further name under which it answers; may be given several times
    #[arg(long = "allowed-host", value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_hosts: Vec<String>,
}

/// Run a broker: the hub between runners and a server
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline broker --server http://127.0.0.1:4700
  HOPLINE_RUNNER_SECRET=… hopline broker --server https://hopline.example --listen 0.0.0.0:4701 \\
    --public-url http://build-broker:4701")]
pub(crate) struct BrokerArgs {
    #[command(flatten)]
    pub(crate) ready: ReadyFlags,
    #[command(flatten)]
    pub(crate) listen: BrokerListen,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
    #[command(flatten)]
    pub(crate) tracing: TracingFlags,
}

/// Where a broker listens.
#[derive(Debug, Args, Serialize)]
pub(crate) struct BrokerListen {
    /// Where to listen [default: 127.0.0.1:4701]; port 0 takes a free one
    #[arg(long = "listen", value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_listen: Option<SocketAddr>,
    /// Where the server and runners reach it [default: where it listens; listening on 0.0.0.0, this machine's address
    /// that faces the server]
    #[arg(long = "public-url", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_public_url: Option<BaseUrl>,
    #[command(flatten)]
    #[serde(flatten)]
    hosts: HostFlags,
}

/// Run a runner: executes builds and commands in its projects' folders
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline runner --broker http://127.0.0.1:4701 --id build-1
  HOPLINE_RUNNER_SECRET=… hopline runner --broker wss://broker.example --projects /srv/projects")]
pub(crate) struct RunnerArgs {
    #[command(flatten)]
    pub(crate) ready: ReadyFlags,
    #[command(flatten)]
    pub(crate) runner: RunnerFlags,
    #[command(flatten)]
    pub(crate) broker: BrokerFlag,
    #[command(flatten)]
    pub(crate) tracing: TracingFlags,
}

/// Who a runner is and where its projects lie.
#[derive(Debug, Args, Serialize)]
pub(crate) struct RunnerFlags {
    /// The runner's name [default: this machine's]
    #[arg(long = "id", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_id: Option<String>,
    /// The folder of its projects [default: projects in the data folder]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_is_explained() {
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            assert!(
                command.get_after_help().is_some(),
                "{} has no examples",
                command.get_name()
            );
        }
    }

    #[test]
    fn a_command_with_dashes_is_taken_whole() {
        let cli = Cli::parse_from(["hopline", "run", "--json", "--", "ls", "--all", "--", "x"]);
        let Command::Run(run) = cli.command else {
            panic!("another command was read");
        };
        assert_eq!(run.work.command, ["ls", "--all", "--", "x"]);
    }
}
