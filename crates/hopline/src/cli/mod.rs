//! What can be typed, and what becomes of it: reads the settings, sets up logs and the runtime, calls the
//! command, and turns its end into an exit code.

pub(crate) mod access;
pub(crate) mod args;
pub(crate) mod exchange;
pub(crate) mod questions;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use hopline_telemetry::logs::{self, LogFormat, LogOptions};

use crate::commands;
use crate::exit;
use crate::render::Style;
use crate::settings::{self, Flags, LogStyle, Settings};
use args::{Cli, Command};

/// The word that makes this program a guard of a runner's child process.
pub(crate) const GUARD_WORD: &str = "__guard";

/// What a command is called with, besides its own arguments.
pub(crate) struct Context {
    /// The settings, from all sources.
    pub(crate) settings: Settings,
    /// How standard output is decorated.
    pub(crate) out: Style,
    /// How standard error is decorated.
    pub(crate) err: Style,
    /// The folder that the program was called in.
    pub(crate) current: std::path::PathBuf,
}

/// The program, except for its guards.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let no_colour = no_colour(std::env::vars_os());
    let err = Style::of(&std::io::stderr(), no_colour);
    match start(cli, no_colour) {
        Ok(code) => code,
        // Such as `hopline trace ID | head`: whoever reads has seen enough.
        Err(error) if is_closed_output(&error) => ExitCode::from(exit::OUTPUT_CLOSED),
        Err(error) => {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(std::io::stderr(), "{} {error:#}", err.bad("error:"));
            ExitCode::from(exit::code_of(&error))
        }
    }
}

/// Whether the error is no more than that the reader of standard output has gone. Errors of sockets are never bare.
fn is_closed_output(error: &anyhow::Error) -> bool {
    let is_bare = error.chain().count() == 1;
    let io = error.downcast_ref::<std::io::Error>();
    is_bare && io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Whether the user wants no colours: by `NO_COLOR` (no-color.org), or a terminal that has none.
fn no_colour(environment: impl IntoIterator<Item = (OsString, OsString)>) -> bool {
    environment
        .into_iter()
        .any(|(name, value)| match name.to_str() {
            Some("NO_COLOR") => !value.is_empty(),
            Some("TERM") => value == "dumb",
            _ => false,
        })
}

fn start(cli: Cli, no_colour: bool) -> anyhow::Result<ExitCode> {
    let current = std::env::current_dir().context("find the current folder")?;
    let settings = settings::load(flags(&cli), std::env::vars_os(), &current)?;
    let context = Context {
        out: Style::of(&std::io::stdout(), no_colour),
        err: Style::of(&std::io::stderr(), no_colour),
        settings,
        current,
    };
    install_logs(&context, cli.command.is_service())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads(&context.settings))
        .thread_name("hopline")
        .enable_all()
        .build()
        .context("start the threads")?;
    let ended = runtime.block_on(dispatch(cli.command, context));
    // What still runs on blocking threads has had its deadline; the process does not wait for it.
    runtime.shutdown_background();
    ended
}

async fn dispatch(command: Command, context: Context) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => Box::pin(commands::run::run(args, context)).await,
        Command::Build(args) => Box::pin(commands::build::build(args, context)).await,
        Command::Builds(args) => Box::pin(commands::builds::builds(args, context)).await,
        Command::Trace(args) => Box::pin(commands::trace::trace(args, context)).await,
        Command::Query(args) => commands::query::query(args, context).await,
        Command::Sql(args) => commands::query::sql(args, context).await,
        Command::Export(args) => Box::pin(commands::export::export(args, context)).await,
        Command::Import(args) => Box::pin(commands::import::import(args, context)).await,
        Command::Rebuild(args) => Box::pin(commands::rebuild::rebuild(args, context)).await,
        Command::Status(args) => Box::pin(commands::status::status(args, context)).await,
        Command::Token(args) => Box::pin(commands::token::token(args, context)).await,
        Command::Dsn(args) => Box::pin(commands::dsn::dsn(args, context)).await,
        Command::Up(args) => Box::pin(commands::up::up(args.ready, context)).await,
        Command::Server(args) => Box::pin(commands::apart::server(args.ready, context)).await,
        Command::Broker(args) => Box::pin(commands::apart::broker(args.ready, context)).await,
        Command::Runner(args) => Box::pin(commands::apart::runner(args.ready, context)).await,
    }
}

/// The flags that are settings.
fn flags(cli: &Cli) -> Flags {
    let flags = Flags::default().with(&cli.common);
    match &cli.command {
        Command::Run(args) => flags
            .with(&args.server)
            .with(&args.broker)
            .with(&args.database)
            .with(&args.tracing),
        Command::Build(args) => flags.with(&args.server),
        Command::Builds(args) => flags.with(&args.server),
        Command::Trace(args) => flags.with(&args.server),
        Command::Query(args) => flags.with(&args.asking.server),
        Command::Sql(args) => flags.with(&args.asking.server),
        Command::Export(args) => flags.with(&args.server),
        Command::Import(args) => flags.with(&args.server),
        Command::Rebuild(args) => flags.with(&args.server),
        Command::Status(args) => flags.with(&args.server),
        Command::Token(args) => flags.with(&args.server),
        Command::Dsn(args) => flags.with(&args.server),
        Command::Up(args) => flags
            .with(&args.listen)
            .with(&args.database)
            .with(&args.upkeep)
            .with(&args.tracing),
        Command::Server(args) => flags
            .with(&args.listen)
            .with(&args.broker)
            .with(&args.database)
            .with(&args.upkeep)
            .with(&args.tracing),
        Command::Broker(args) => flags
            .with(&args.listen)
            .with(&args.server)
            .with(&args.tracing),
        Command::Runner(args) => flags
            .with(&args.runner)
            .with(&args.broker)
            .with(&args.tracing),
    }
}

impl Command {
    /// Whether the command runs until it is told to end, so that its log is what it has to say.
    const fn is_service(&self) -> bool {
        matches!(
            self,
            Self::Up(_) | Self::Server(_) | Self::Broker(_) | Self::Runner(_)
        )
    }
}

fn install_logs(context: &Context, service: bool) -> anyhow::Result<()> {
    let settings = &context.settings;
    let filter = settings.log.clone();
    let usual = if service { "info" } else { "warn" };
    let options = LogOptions {
        format: match settings.log_format {
            LogStyle::Human => LogFormat::Human,
            LogStyle::Json => LogFormat::Json,
        },
        filter: filter.unwrap_or_else(|| usual.to_owned()),
        colour: context.err.colour(),
    };
    logs::install(&options)
        .map_err(|error| exit::Failure::new(exit::USAGE, error.to_string()).into())
}

/// Two threads keep one build's path busy; more help only when many builds run.
fn threads(settings: &Settings) -> usize {
    const USUAL: usize = 2;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    settings.threads.unwrap_or(processors.min(USUAL)).max(1)
}
