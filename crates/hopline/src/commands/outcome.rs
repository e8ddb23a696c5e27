//! What is said of a build that has ended: its outcome, the slowest spans, the tree, each hop's share.

use std::io::Write as _;
use std::process::ExitCode;

use hopline_traces::path::Path;
use hopline_traces::tree::Tree;
use hopline_traces::{Overview, Trace};
use serde::Serialize;

use crate::api::types::Started;
use crate::cli::Context;
use crate::exit;
use crate::follow::Ending;
use crate::render::tree::{self, Folding};
use crate::render::{Style, duration, plain, report};

/// A build that has ended, and its trace.
pub(crate) struct Outcome<'o> {
    /// What was asked for.
    pub(crate) started: &'o Started,
    /// How it ended.
    pub(crate) ending: &'o Ending,
    /// The project's name.
    pub(crate) project: &'o str,
    /// Its trace; none if it was not recorded.
    pub(crate) trace: Option<&'o TraceRead>,
}

/// A trace as it is shown: its figures, and as many of its spans as are looked at.
pub(crate) struct TraceRead {
    /// The figures of all of it.
    pub(crate) overview: Overview,
    /// The spans; none where only figures are wanted.
    pub(crate) trace: Trace,
}

/// How many spans are read to be shown; a person looks at fewer.
const SHOWN: usize = 20_000;

/// The same where everything is to be shown by itself.
const SHOWN_IN_FULL: usize = 100_000;

/// How many spans of a trace are read.
pub(crate) const fn limit(full: bool) -> usize {
    if full { SHOWN_IN_FULL } else { SHOWN }
}

/// The line that `--json` ends with. The names are fixed: see `docs/wire.md`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'o> {
    status: &'o str,
    exit_code: Option<i64>,
    trace_id: String,
    session_id: &'o str,
    build_id: &'o str,
    command_id: &'o str,
    project_id: &'o str,
    duration_ms: u64,
    events: u64,
    spans: u64,
}

impl Outcome<'_> {
    /// Says it, on standard output, as text or as one line of JSON. Whoever closed that does not want to know; the
    /// exit code tells the rest.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(crate) fn print(&self, json: bool, full: bool, context: &Context) -> std::io::Result<()> {
        match self.write(json, full, context) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    fn write(&self, json: bool, full: bool, context: &Context) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &self.line())?;
            return writeln!(out);
        }
        let style = context.out;
        writeln!(out, "\n{}", self.headline(style))?;
        match self.trace {
            None => writeln!(out, "its trace was not recorded (sampled out)"),
            Some(read) => write_trace(&mut out, read, full, style),
        }
    }

    /// The program's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        exit::of_build(self.ending)
    }

    fn line(&self) -> Line<'_> {
        let build = &self.ending.build;
        Line {
            status: &build.status,
            exit_code: build.exit_code,
            trace_id: self.started.trace_id.to_string(),
            session_id: &build.session_id,
            build_id: &build.build_id,
            command_id: &build.command_id,
            project_id: &build.project_id,
            duration_ms: self.nanos() / 1_000_000,
            events: build.last_seq,
            spans: self.spans(),
        }
    }

    fn spans(&self) -> u64 {
        self.trace.map_or(0, |read| read.overview.total)
    }

    fn nanos(&self) -> u64 {
        let build = &self.ending.build;
        build.duration_nanos(build.started_at)
    }

    fn headline(&self, style: Style) -> String {
        let build = &self.ending.build;
        let mark = match build.is_completed() {
            true => style.good("✔ completed"),
            false => style.bad("✘ failed"),
        };
        let mut line = format!(
            "{mark} in {}: {} events, {} spans",
            duration::nanos(self.nanos()),
            build.last_seq,
            self.spans(),
        );
        if let Some(code) = build.exit_code {
            line.push_str(&format!(", exit code {code}"));
        }
        if let Some(error) = &build.error_message {
            line.push_str(&format!(": {}", style.bad(&plain(error))));
        }
        if build.incomplete {
            line.push_str(&style.bad(" (events were lost)"));
        }
        let trace = self.started.trace_id.to_string();
        let ids = format!(
            "project {}, session {}, trace ",
            plain(self.project),
            build.session_id
        );
        format!("{line}\n{}{}", style.dim(&ids), style.name(&trace))
    }
}

/// The way of a trace's events.
pub(crate) fn path(read: &TraceRead) -> Path {
    let TraceRead { overview, trace } = read;
    Path::of_part(&trace.spans, trace.total, overview.arrivals.clone())
}

/// Writes all that there is to say of a trace.
///
/// # Errors
/// If `out` cannot be written.
pub(crate) fn write_trace(
    out: &mut impl std::io::Write,
    read: &TraceRead,
    full: bool,
    style: Style,
) -> std::io::Result<()> {
    let trace = &read.trace;
    let path = path(read);
    let tree = Tree::of_part(&trace.spans, trace.total);
    let folding = if full { Folding::Full } else { Folding::Folded };
    writeln!(out, "\n{}", report::slowest(&trace.spans, style))?;
    let gaps = &path.arrivals.gaps;
    writeln!(out, "{}", tree::render(&tree, gaps, folding, style))?;
    if trace.is_part() {
        let told = format!(
            "shown are {} of {} spans: what holds the trace together, and the earliest events\n",
            trace.spans.len(),
            trace.total
        );
        writeln!(out, "{}", style.warn(&told))?;
    }
    if path.arrivals.events > 0 {
        writeln!(out, "{}", report::shares(&path, style))?;
        write!(out, "{}", report::gaps(&path.arrivals, style))?;
    }
    Ok(())
}
