//! What is said of a build that has ended: its outcome, the slowest spans, the tree, each hop's share.

use std::io::Write as _;
use std::process::ExitCode;

use hopline_traces::path::Path;
use hopline_traces::tree::Tree;
use hopline_wire::span::Span;
use serde::Serialize;

use crate::api::types::{Build, Started};
use crate::cli::Context;
use crate::exit;
use crate::render::tree::{self, Folding};
use crate::render::{Style, duration, plain, report};

/// A build that has ended, and its trace.
pub(crate) struct Outcome<'o> {
    /// What was asked for.
    pub(crate) started: &'o Started,
    /// How it ended.
    pub(crate) build: &'o Build,
    /// The project's name.
    pub(crate) project: &'o str,
    /// The spans of its trace; empty if it was not recorded.
    pub(crate) spans: &'o [Span],
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
    spans: usize,
}

impl Outcome<'_> {
    /// Says it, on standard output, as text or as one line of JSON.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(crate) fn print(&self, json: bool, full: bool, context: &Context) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &self.line())?;
            return writeln!(out);
        }
        let style = context.out;
        writeln!(out, "\n{}", self.headline(style))?;
        if self.spans.is_empty() {
            return writeln!(out, "its trace was not recorded (sampled out)");
        }
        let folding = if full { Folding::Full } else { Folding::Folded };
        write_trace(&mut out, self.spans, folding, style)
    }

    /// The program's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        exit::of_build(self.build.is_completed(), self.build.exit_code)
    }

    fn line(&self) -> Line<'_> {
        let build = self.build;
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
            spans: self.spans.len(),
        }
    }

    fn nanos(&self) -> u64 {
        self.build.duration_nanos(self.build.started_at)
    }

    fn headline(&self, style: Style) -> String {
        let build = self.build;
        let mark = match build.is_completed() {
            true => style.good("✔ completed"),
            false => style.bad("✘ failed"),
        };
        let mut line = format!(
            "{mark} in {}: {} events, {} spans",
            duration::nanos(self.nanos()),
            build.last_seq,
            self.spans.len(),
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

/// Writes all that there is to say of a trace.
///
/// # Errors
/// If `out` cannot be written.
pub(crate) fn write_trace(
    out: &mut impl std::io::Write,
    spans: &[Span],
    folding: Folding,
    style: Style,
) -> std::io::Result<()> {
    let path = Path::of(spans);
    let tree = Tree::build(spans);
    writeln!(out, "\n{}", report::slowest(spans, style))?;
    writeln!(out, "{}", tree::render(&tree, &path.gaps, folding, style))?;
    if path.events > 0 {
        writeln!(out, "{}", report::shares(&path, style))?;
        write!(out, "{}", report::gaps(&path, style))?;
    }
    Ok(())
}
