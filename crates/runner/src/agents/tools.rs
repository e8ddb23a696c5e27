//! The spans of an agent's tool calls: from the call's input to its output.
//!
//! They are kept here rather than among the tracer's open spans: an agent may make thousands a second, nearly all
//! of them short. Those that last are shown unfinished by [`Tools::show_late`].

use std::collections::HashMap;

use hopline_telemetry::Hop;
use hopline_telemetry::pending::{UNFINISHED_AFTER, unfinished};
use hopline_telemetry::tracer::{fail, set};
use hopline_wire::part::{PLAN_TOOL, Part};
use hopline_wire::span::{Span, Text};
use hopline_wire::{SpanId, Timestamp};

use crate::trace::{CommandTrace, keys, short_name};

/// The most calls without an answer that are kept; of further ones no span is made.
const MAX_OPEN: usize = 1_024;

/// The longest id of a call that is kept, in bytes; of a call with a longer one no span is made.
const MAX_ID_BYTES: usize = 1_024;

/// The calls of one build that have no answer yet.
pub(super) struct Tools {
    trace: CommandTrace,
    build: SpanId,
    open: HashMap<String, OpenCall>,
}

struct OpenCall {
    span: Span,
    shown: bool,
}

impl Tools {
    /// The calls of the agent whose run is the span `build`.
    pub(super) fn new(trace: CommandTrace, build: SpanId) -> Self {
        Self {
            trace,
            build,
            open: HashMap::new(),
        }
    }

    /// The span that a part's event is caused by: its call's, or the agent's run. Begins and ends calls.
    pub(super) fn cause(&mut self, part: &Part<'_>) -> SpanId {
        if !self.trace.context.is_recorded() {
            return self.build;
        }
        match part {
            Part::ToolInput { id, name, .. } => self.begin(id, name),
            Part::ToolOutput { id, .. } => self.end(id, None),
            Part::ToolError { id, error } => self.end(id, Some(error)),
            _ => self.build,
        }
    }

    fn begin(&mut self, id: &str, name: &str) -> SpanId {
        // Writing the plan is no work whose time anyone could want to know.
        if name == PLAN_TOOL || self.open.len() >= MAX_OPEN || id.len() > MAX_ID_BYTES {
            return self.build;
        }
        let name = if let Some(name) = constant(name) {
            name
        } else {
            short_name(name)
        };
        let now = Timestamp::now();
        let mut span = self
            .trace
            .begin_child(Hop::Tool, name.clone(), self.build, now);
        set(&mut span, keys::TOOL_OPERATION, "execute_tool");
        set(&mut span, keys::TOOL_NAME, name);
        set(&mut span, keys::TOOL_CALL_ID, short_name(id));
        let cause = span.span_id;
        let call = OpenCall { span, shown: false };
        if let Some(before) = self.open.insert(id.to_owned(), call) {
            self.finish(
                before.span,
                Some(("no_output", "the same call began again")),
            );
        }
        cause
    }

    fn end(&mut self, id: &str, error: Option<&str>) -> SpanId {
        let Some(call) = self.open.remove(id) else {
            return self.build;
        };
        let cause = call.span.span_id;
        self.finish(call.span, error.map(|error| ("tool_error", error)));
        cause
    }

    fn finish(&self, mut span: Span, error: Option<(&'static str, &str)>) {
        let now = Timestamp::now();
        if let Some((code, error)) = error {
            let error = hopline_wire::text::prefix(error, 1_024).to_owned();
            fail(&mut span, code, error, now);
        }
        span.end = now;
        self.trace.tracer.record(span);
    }

    /// Shows the calls that have been open for long, once each.
    pub(super) fn show_late(&mut self) {
        let now = Timestamp::now();
        let late = self.open.values_mut().filter(|call| {
            !call.shown
                && u128::from(now.nanos_since(call.span.start)) >= UNFINISHED_AFTER.as_nanos()
        });
        let spans: Vec<Span> = late
            .map(|call| {
                call.shown = true;
                unfinished(&call.span)
            })
            .collect();
        self.trace.tracer.record_all(spans);
    }

    /// The agent has ended: calls without an answer have failed.
    pub(super) fn close(mut self) {
        for (_, call) in std::mem::take(&mut self.open) {
            self.finish(
                call.span,
                Some(("no_output", "the agent ended before the tool answered")),
            );
        }
    }
}

/// The usual tools' names without a copy.
fn constant(name: &str) -> Option<Text> {
    const USUAL: [&str; 8] = [
        "Bash", "Edit", "Glob", "Grep", "Read", "Task", "WebFetch", "Write",
    ];
    let at = USUAL.iter().position(|usual| *usual == name)?;
    Some(Text::Static(USUAL[at]))
}
