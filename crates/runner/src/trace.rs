//! The spans of one command: where its trace stands, and the long spans below `handleCommand`.

use std::borrow::Cow;
use std::sync::Arc;

use hopline_telemetry::{Head, Hop, OpenSpan, Sampler, TraceContext, Tracer};
use hopline_wire::carrier::CarrierRef;
use hopline_wire::command::Command;
use hopline_wire::span::{EventKeys, Span, Text, Value};
use hopline_wire::{Carrier, SpanId, Timestamp};
use serde::Deserialize as _;

use crate::events::{Origin, Stream};
use crate::mask::{LateMask, Mask};
use crate::metrics::RunnerMetrics;

/// The longest name of a span that comes from a command, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Keys of the attributes that only the runner sets: its own, and OpenTelemetry's of processes, tools and pipelines
/// (semantic conventions, "Process", "Generative AI", "CICD").
pub(crate) mod keys {
    pub(crate) const AGENT: &str = "hopline.agent";
    /// A step's place in its build, from 1.
    pub(crate) const STEP_INDEX: &str = "hopline.step.index";
    pub(crate) const PROCESS_PID: &str = "process.pid";
    pub(crate) const PROCESS_COMMAND_LINE: &str = "process.command_line";
    pub(crate) const PROCESS_DIRECTORY: &str = "process.working_directory";
    pub(crate) const PROCESS_EXIT_CODE: &str = "process.exit.code";
    pub(crate) const PROCESS_EXIT_SIGNAL: &str = "process.exit.signal";
    pub(crate) const TOOL_OPERATION: &str = "gen_ai.operation.name";
    pub(crate) const TOOL_NAME: &str = "gen_ai.tool.name";
    pub(crate) const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
    pub(crate) const PIPELINE_NAME: &str = "cicd.pipeline.name";
    pub(crate) const PIPELINE_ACTION: &str = "cicd.pipeline.action.name";
    pub(crate) const PIPELINE_RUN_ID: &str = "cicd.pipeline.run.id";
    pub(crate) const PIPELINE_RUN_STATE: &str = "cicd.pipeline.run.state";
    pub(crate) const PIPELINE_RESULT: &str = "cicd.pipeline.result";
}

/// The trace of one command, standing at its `handleCommand` span. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CommandTrace {
    pub(crate) tracer: Tracer,
    /// Its span is `handleCommand`; of an unrecorded trace, the one that the command came with.
    pub(crate) context: TraceContext,
    /// What the command's long spans are found by: its project and its id.
    keys: EventKeys,
    /// What that span is made of.
    pub(crate) origin: Origin,
    /// What is told by no span.
    mask: LateMask,
}

/// A span that lasts, or nothing where the trace is not recorded.
pub(crate) struct Scope {
    id: SpanId,
    span: Option<OpenSpan>,
    mask: LateMask,
}

impl CommandTrace {
    /// Continues the trace of a command, or starts one, and opens `handleCommand.<type>`.
    pub(crate) fn begin(
        command: &Command,
        received: Timestamp,
        tracer: &Tracer,
        sampler: &Sampler,
        head: &Head,
        metrics: &RunnerMetrics,
    ) -> (Self, Scope) {
        let kind = short_name(&command.kind);
        let (context, is_head) = match received_context(command, metrics) {
            Some(context) => (context.decided(sampler), false),
            None => {
                let name = Hop::HandleCommand.named(kind.clone()).to_string();
                (TraceContext::new_trace(sampler, head, &name, None), true)
            }
        };
        let mut trace = Self {
            tracer: tracer.clone(),
            origin: Origin {
                kind: command.kind.clone(),
                parent: (!is_head).then_some(context.span_id),
                received,
            },
            context,
            keys: EventKeys {
                project_id: shared(command.project_id.as_deref()),
                command_id: shared(Some(&command.id)),
                ..EventKeys::default()
            },
            mask: LateMask::default(),
        };
        if !trace.context.is_recorded() {
            let id = trace.context.span_id;
            return (trace, Scope::unrecorded(id));
        }
        let mut span = if is_head {
            tracer.begin_head(Hop::HandleCommand, kind.clone(), &trace.context, received)
        } else {
            tracer.begin(Hop::HandleCommand, kind.clone(), &trace.context, received)
        };
        span.event = Some(EventKeys {
            event_type: kind,
            ..trace.keys.clone()
        });
        trace.context = trace.context.child(span.span_id);
        let id = span.span_id;
        let scope = Scope {
            id,
            span: Some(tracer.open(span)),
            mask: Arc::clone(&trace.mask),
        };
        (trace, scope)
    }

    /// Opens `handleCommand` again, for a command whose process died with it open.
    pub(crate) fn again(stream: &Stream, tracer: &Tracer) -> Scope {
        let (context, origin) = (&stream.context, &stream.origin);
        let id = context.span_id;
        if !context.is_recorded() {
            return Scope::unrecorded(id);
        }
        let kind = short_name(&origin.kind);
        let mut span = tracer.begin(Hop::HandleCommand, kind.clone(), context, origin.received);
        span.span_id = id;
        span.parent_id = origin.parent;
        span.event = Some(EventKeys {
            event_type: kind,
            project_id: stream.project_id.clone(),
            command_id: Text::Shared(Arc::clone(&stream.command_id)),
            ..EventKeys::default()
        });
        Scope {
            id,
            span: Some(tracer.open(span)),
            mask: LateMask::default(),
        }
    }

    /// Opens a span below `parent`; `describe` adds its attributes.
    pub(crate) fn open(
        &self,
        hop: Hop,
        rest: impl Into<Text>,
        parent: SpanId,
        describe: impl FnOnce(&mut Span),
    ) -> Scope {
        if !self.context.is_recorded() {
            return Scope::unrecorded(self.context.span_id);
        }
        let mut span = self.begin_child(hop, rest, parent, Timestamp::now());
        describe(&mut span);
        for attribute in &mut span.attributes {
            attribute.value = masked(
                &self.mask,
                std::mem::replace(&mut attribute.value, Value::Empty),
            );
        }
        let id = span.span_id;
        Scope {
            id,
            span: Some(self.tracer.open(span)),
            mask: Arc::clone(&self.mask),
        }
    }

    /// A span below `parent`, for callers that keep it themselves and have asked whether the trace is recorded.
    pub(crate) fn begin_child(
        &self,
        hop: Hop,
        rest: impl Into<Text>,
        parent: SpanId,
        start: Timestamp,
    ) -> Span {
        let rest = masked_text(&self.mask, rest.into());
        let mut span = self.tracer.begin(hop, rest, &self.context, start);
        span.parent_id = Some(parent);
        span.event = Some(self.keys.clone());
        span
    }

    /// From now on no span of the command tells what the mask hides.
    pub(crate) fn mask_with(&self, mask: Mask) {
        // A command has one build, and a build one mask.
        let _ = self.mask.set(mask);
    }

    /// Where the trace stands below the span `id`: what a child process continues.
    pub(crate) fn at(&self, id: SpanId) -> TraceContext {
        self.context.child(id)
    }
}

impl Scope {
    /// Nothing, where the span would have been `id`.
    fn unrecorded(id: SpanId) -> Self {
        Self {
            id,
            span: None,
            mask: LateMask::default(),
        }
    }

    /// What the span's children name as their parent.
    pub(crate) fn id(&self) -> SpanId {
        self.id
    }

    pub(crate) fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &self.span {
            span.set(key, masked(&self.mask, value.into()));
        }
    }

    pub(crate) fn fail(&self, error_type: impl Into<Text>, message: impl Into<Text>) {
        if let Some(span) = &self.span {
            span.fail(error_type, masked_text(&self.mask, message.into()));
        }
    }

    pub(crate) fn end_at(self, end: Timestamp) {
        if let Some(span) = self.span {
            span.end_at(end);
        }
    }

    pub(crate) fn end(self) {
        self.end_at(Timestamp::now());
    }

    /// Leaves the span open for a later process, which ends it.
    pub(crate) fn leave(self) {
        // Dropped, it would end as failed.
        if let Some(span) = self.span {
            std::mem::forget(span);
        }
    }
}

fn masked(mask: &LateMask, value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(masked_text(mask, text)),
        value => value,
    }
}

fn masked_text(mask: &LateMask, text: Text) -> Text {
    let masked = match mask.get().map(|mask| mask.text(&text)) {
        Some(Cow::Owned(masked)) => masked,
        _ => return text,
    };
    masked.into()
}

/// The trace that a command came with; none if it has no carrier, or one that cannot be read.
fn received_context(command: &Command, metrics: &RunnerMetrics) -> Option<TraceContext> {
    let raw = command.carrier.as_ref().filter(|raw| !raw.is_null())?;
    let context = Carrier::deserialize(raw).ok().and_then(|carrier| {
        let carrier = CarrierRef {
            trace: carrier.trace.into(),
            baggage: carrier.baggage.map(Into::into),
        };
        TraceContext::from_carrier(&carrier, &mut Default::default()).ok()
    });
    if context.is_none() {
        metrics.carriers_malformed.inc();
        tracing::debug!(command = %command.id, "the command's trace carrier is malformed; a new trace starts");
    }
    context
}

/// A name out of a command, cut to a length that a span's name can have.
pub(crate) fn short_name(name: &str) -> Text {
    Text::from(hopline_wire::text::prefix(name, MAX_NAME_BYTES).to_owned())
}

fn shared(value: Option<&str>) -> Text {
    value.map_or(Text::EMPTY, |value| Text::Shared(value.into()))
}
