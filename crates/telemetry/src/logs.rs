//! Log output: for people on a terminal, or one JSON object a line. A record about a command, a build or events names
//! their trace in its field `trace_id`, so that a log line leads to its trace; one about the events of several traces,
//! such as a failed group commit, names each (see [`trace_ids`]). The field is set where the record is written: a
//! `tracing` span around the work would cost every event that says nothing.

use hopline_wire::TraceId;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How many traces one record names.
const MAX_TRACES_NAMED: usize = 16;

/// The field `trace_id` of a record about the events of several traces: each once, between commas, the first ones if
/// there are many. None, and no field, if there are none.
pub fn trace_ids(traces: impl IntoIterator<Item = TraceId>) -> Option<String> {
    let mut named: Vec<TraceId> = Vec::new();
    for trace in traces {
        if !named.contains(&trace) {
            if named.len() == MAX_TRACES_NAMED {
                break;
            }
            named.push(trace);
        }
    }
    let texts: Vec<_> = named.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

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
    /// Which records: levels, alone or of a module, such as `info` or `hopline_broker=debug,warn`.
    pub filter: String,
    /// Whether human records are coloured.
    pub colour: bool,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("read the log filter: expected levels such as info or hopline_broker=debug,warn: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process logs already.
    #[error("set up logging: it is set up already")]
    Twice,
}

/// Sends this process's log records to standard error. A record that cannot be written there, because its reader
/// has gone or its disk is full, is lost without a word: logging never fails what it tells of.
///
/// # Errors
/// [`LogError`] if the filter is malformed or logging is set up already.
pub fn install(options: &LogOptions) -> Result<(), LogError> {
    let which: Targets = options.filter.parse()?;
    let records = fmt::layer()
        .with_writer(std::io::stderr)
        // A failed write would be told of by `eprintln!`, to the same stream: that panics, in whatever was logging.
        .log_internal_errors(false)
        .with_span_events(FmtSpan::NONE);
    let registry = tracing_subscriber::registry().with(which);
    let installed = match options.format {
        LogFormat::Human => registry
            .with(records.with_ansi(options.colour).with_target(false))
            .try_init(),
        LogFormat::Json => registry
            .with(records.json().flatten_event(true).with_current_span(true))
            .try_init(),
    };
    installed.map_err(|_| LogError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_each_of_its_traces_once_and_not_too_many() {
        let traces: Vec<_> = (0..40).map(|_| crate::ids::new_trace_id()).collect();
        let (a, b) = (traces[0], traces[1]);
        assert_eq!(trace_ids([]), None);
        assert_eq!(trace_ids([a, b, a, a]), Some(format!("{a},{b}")));
        let many = trace_ids(traces).unwrap();
        assert_eq!(many.split(',').count(), MAX_TRACES_NAMED);
    }
}
