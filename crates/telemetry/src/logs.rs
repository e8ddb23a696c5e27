//! Log output: for people on a terminal, or one JSON object a line. Records carry the fields of the
//! `tracing` spans they stand in, `trace_id` among them, so that a log line leads to its trace.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How log records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// A line for people, coloured if asked.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// What to log and how.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// How records are written.
    pub format: LogFormat,
    /// Which records, in `tracing`'s directives, such as `info` or `hopline_broker=debug,warn`.
    pub filter: String,
    /// Whether human records are coloured.
    pub colour: bool,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "read the log filter: expected directives such as info or hopline_broker=debug,warn: {0}"
    )]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process logs already.
    #[error("set up logging: it is set up already")]
    Twice,
}

/// Sends this process's log records to standard error.
///
/// # Errors
/// [`LogError`] if the filter is malformed or logging is set up already.
pub fn install(options: &LogOptions) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&options.filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    let installed = match options.format {
        LogFormat::Human => builder
            .with_ansi(options.colour)
            .with_target(false)
            .try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .try_init(),
    };
    installed.map_err(|_| LogError::Twice)
}
