//! The span contract: the name, op and kind of every span that Hopline makes, the keys of their
//! attributes, and which events are traced. `docs/spans.md` explains them to readers of traces.

use std::collections::BTreeMap;

use hopline_wire::event::{EventType, Tracing};
use hopline_wire::ops;
use hopline_wire::span::{SpanKind, SpanName, Text};

/// The kinds of spans on a build's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hop {
    /// An HTTP request that asks for a command; its name is method and route.
    Request,
    /// A broker's routing of a command; named after the command's type.
    RouteCommand,
    /// A runner's handling of a command; named after its type.
    HandleCommand,
    /// An agent's run.
    Build,
    /// One step of a build; named after the step.
    Step,
    /// One call of a tool; named after the tool.
    Tool,
    /// A runner's sending of an event; named after its type.
    SendEvent,
    /// A broker's forwarding of an event; named after its type.
    ForwardEvent,
    /// The server's taking in of an event; named after its type.
    ProcessEvent,
    /// The processor's folding and committing of an event; named after the type of the part in it.
    PersistEvent,
    /// The processor's ending of a session; named after its outcome.
    FinalizeSession,
    /// One statement to the database; named after operation and table.
    DatabaseQuery,
    /// The writing of a finished build's whole state.
    RefreshState,
    /// One flush of live updates.
    Broadcast,
}

impl Hop {
    /// The beginning of the span's name, to which the rest is added; the whole name where there is no
    /// rest.
    #[must_use]
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Request | Self::DatabaseQuery => "",
            Self::RouteCommand => "broker.routeCommand.",
            Self::HandleCommand => "handleCommand.",
            Self::Build => "runner.build",
            Self::Step => "runner.step.",
            Self::Tool => "runner.tool.",
            Self::SendEvent => "runner.sendEvent.",
            Self::ForwardEvent => "broker.forwardEvent.",
            Self::ProcessEvent => "api.runner.events.",
            Self::PersistEvent => "persistent-processor.persistEvent.",
            Self::FinalizeSession => "persistent-processor.finalizeSession.",
            Self::RefreshState => "refreshRawState",
            Self::Broadcast => "websocket.broadcast",
        }
    }

    /// The span's `sentry.op`.
    #[must_use]
    pub const fn op(self) -> &'static str {
        match self {
            Self::Request => ops::HTTP_SERVER,
            Self::RouteCommand => ops::COMMAND_ROUTE,
            Self::HandleCommand => ops::RUNNER_COMMAND,
            Self::Build => ops::BUILD,
            Self::Step => ops::SUBPROCESS,
            Self::Tool => ops::EXECUTE_TOOL,
            Self::SendEvent => ops::EVENT_SEND,
            Self::ForwardEvent => ops::EVENT_FORWARD,
            Self::ProcessEvent => ops::EVENT_PROCESS,
            Self::PersistEvent => ops::PERSIST_EVENT,
            Self::FinalizeSession => ops::PERSIST_FINALIZE,
            Self::DatabaseQuery => ops::DB_QUERY,
            Self::RefreshState => ops::STATE_REFRESH,
            Self::Broadcast => ops::BROADCAST,
        }
    }

    /// The span's OpenTelemetry kind.
    #[must_use]
    pub const fn kind(self) -> SpanKind {
        match self {
            Self::Request | Self::ProcessEvent => SpanKind::Server,
            Self::RouteCommand | Self::SendEvent | Self::ForwardEvent | Self::Broadcast => {
                SpanKind::Producer
            }
            Self::HandleCommand => SpanKind::Consumer,
            Self::DatabaseQuery => SpanKind::Client,
            Self::Build
            | Self::Step
            | Self::Tool
            | Self::PersistEvent
            | Self::FinalizeSession
            | Self::RefreshState => SpanKind::Internal,
        }
    }

    /// The whole name of such a span.
    #[must_use]
    pub fn named(self, rest: impl Into<Text>) -> SpanName {
        SpanName::new(self.stem(), rest)
    }
}

/// Keys of attributes, where no constant of the wire has them already (see
/// [`EventKeys`](hopline_wire::span::EventKeys) for `event.*`).
pub mod keys {
    /// Time spent waiting within the span, in milliseconds (a floating-point number).
    pub const QUEUE_WAIT_MS: &str = "hopline.queue.wait_ms";
    /// How many traces show this statement or flush; counts and sums divide by it.
    pub const SHARED_BY: &str = "hopline.shared_by";
    /// The runner's clock minus the broker's, in nanoseconds.
    pub const CLOCK_OFFSET_NS: &str = "hopline.clock.offset_ns";
    /// How many spans of this trace the pipeline had to drop.
    pub const DROPPED_SPANS: &str = "hopline.dropped_spans";
    /// How many live clients a flush went to.
    pub const LIVE_CLIENTS: &str = "hopline.live.clients";
    /// How many rows a statement wrote.
    pub const BATCH_SIZE: &str = "db.operation.batch.size";
    /// The database system, such as `sqlite`.
    pub const DB_SYSTEM: &str = "db.system.name";
    /// The statement's operation, such as `INSERT`.
    pub const DB_OPERATION: &str = "db.operation.name";
    /// The statement's table.
    pub const DB_COLLECTION: &str = "db.collection.name";
    /// Operation and table.
    pub const DB_SUMMARY: &str = "db.query.summary";
    /// The database's own code of an error.
    pub const DB_STATUS_CODE: &str = "db.response.status_code";
    /// How many events were forwarded together.
    pub const MESSAGE_COUNT: &str = "messaging.batch.message_count";
    /// The class of a failure.
    pub const ERROR_TYPE: &str = "error.type";
    /// How a session ended.
    pub const SESSION_STATUS: &str = "session.status";
    /// How many events of a build were committed when it ended.
    pub const EVENTS_COMMITTED: &str = "hopline.events.committed";
    /// How many of them were rejected.
    pub const EVENTS_REJECTED: &str = "hopline.events.rejected";
    /// How many the runner had given up.
    pub const EVENTS_EXPIRED: &str = "hopline.events.expired";
    /// How many came again after they were settled.
    pub const EVENTS_DUPLICATE: &str = "hopline.events.duplicate";
    /// How many events the runner has sent of a command, each counted once.
    pub const EVENTS_SENT: &str = "hopline.events.sent";
    /// The name of a span event that tells of another attempt.
    pub const RETRY: &str = "retry";
    /// The number of an attempt, from 1.
    pub const ATTEMPT: &str = "attempt";
    /// The name of a span event that tells of a failure, and its attributes' prefix.
    pub const EXCEPTION: &str = "exception";
    /// What kind of exception.
    pub const EXCEPTION_TYPE: &str = "exception.type";
    /// What it says.
    pub const EXCEPTION_MESSAGE: &str = "exception.message";
}

/// Which events are traced: the format's defaults, with exceptions from the settings.
#[derive(Debug, Clone, Default)]
pub struct TracedEvents {
    exceptions: BTreeMap<String, Tracing>,
}

impl TracedEvents {
    /// The defaults but for these event types.
    #[must_use]
    pub fn with_exceptions(exceptions: BTreeMap<String, Tracing>) -> Self {
        Self { exceptions }
    }

    /// How events of this type take part in their trace. A type that the format does not name is
    /// carried.
    #[must_use]
    pub fn of(&self, kind: &str) -> Tracing {
        if let Some(tracing) = self.exceptions.get(kind) {
            return *tracing;
        }
        EventType::named(kind).map_or(Tracing::Carried, EventType::tracing)
    }
}

/// An event type as a cheap text: a constant where the format names it.
#[must_use]
pub fn event_type_text(kind: &str) -> Text {
    EventType::named(kind).map_or_else(
        || Text::from(kind.to_owned()),
        |known| Text::Static(known.as_str()),
    )
}
