//! What the processor counts and times: every event's end, and how long events take by the type of the part
//! in them.

use hopline_state::error::REFUSED;
use hopline_state::{Reason, StateError};
use hopline_telemetry::metrics::prometheus_client::metrics::counter::Counter;
use hopline_telemetry::metrics::prometheus_client::metrics::family::Family;
use hopline_telemetry::metrics::prometheus_client::metrics::gauge::Gauge;
use hopline_telemetry::metrics::prometheus_client::metrics::histogram::Histogram;
use hopline_telemetry::metrics::{LATENCY_BUCKETS, Metrics};
use hopline_wire::Timestamp;
use hopline_wire::ingest::RejectCode;

use crate::outcomes::Outcomes;

/// How an event ended. Each ends once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EventOutcome {
    /// Folded into rows and logged.
    Committed,
    /// Settled before; changed nothing.
    Duplicate,
    /// Given up by the runner.
    Expired,
    /// Refused for good.
    Rejected(RejectCode),
}

impl From<RejectCode> for EventOutcome {
    fn from(code: RejectCode) -> Self {
        Self::Rejected(code)
    }
}

impl EventOutcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Duplicate => "duplicate",
            Self::Expired => "expired",
            Self::Rejected(_) => "rejected",
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Rejected(code) => code.as_str(),
            _ => "",
        }
    }

    /// Every outcome, since a zero is worth showing.
    fn all() -> impl Iterator<Item = Self> {
        let rejected = RejectCode::ALL.into_iter().map(Self::Rejected);
        [Self::Committed, Self::Duplicate, Self::Expired]
            .into_iter()
            .chain(rejected)
    }
}

/// How so many events of a type ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) kind: PartKind,
    pub(crate) outcome: EventOutcome,
    pub(crate) count: u64,
}

/// A label set: names and values.
type Labels<const COUNT: usize> = [(&'static str, &'static str); COUNT];

macro_rules! part_kinds {
    ($($variant:ident = $name:literal,)+) => {
        /// The types of parts and events that metrics tell apart.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum PartKind { $($variant,)+ Other }

        impl PartKind {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+ Self::Other];

            /// The type of this name.
            pub(crate) fn of(name: &str) -> Self {
                match name { $($name => Self::$variant,)+ _ => Self::Other }
            }

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ Self::Other => "other" }
            }
        }
    };
}

part_kinds! {
    Start = "start",
    TextStart = "text-start",
    TextDelta = "text-delta",
    TextEnd = "text-end",
    ReasoningStart = "reasoning-start",
    ReasoningDelta = "reasoning-delta",
    ReasoningEnd = "reasoning-end",
    Reasoning = "reasoning",
    ToolInputStart = "tool-input-start",
    ToolInput = "tool-input-available",
    ToolOutput = "tool-output-available",
    ToolError = "tool-output-error",
    Finish = "finish",
    Error = "error",
    Done = "done",
    BuildStream = "build-stream",
    BuildCompleted = "build-completed",
    BuildFailed = "build-failed",
    ProjectMetadata = "project-metadata",
    FilesDeleted = "files-deleted",
    FileWritten = "file-written",
    FileContent = "file-content",
    FileList = "file-list",
    LogChunk = "log-chunk",
    PortDetected = "port-detected",
    ProcessExited = "process-exited",
    BuildProgress = "build-progress",
    Ack = "ack",
    RunnerStatus = "runner-status",
    EventsLost = "events-lost",
}

/// The processor's metrics.
#[derive(Clone)]
pub(crate) struct ProcessorMetrics {
    outcomes: Family<Labels<2>, Counter>,
    processed: Vec<Counter>,
    durations: Vec<Histogram>,
    groups: Counter,
    group_events: Counter,
    failed_groups: Family<Labels<1>, Counter>,
    forgotten: Counter,
    /// Commands that are being worked on.
    pub(crate) active_commands: Gauge,
}

impl ProcessorMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let outcomes = metrics.register(
            "hopline_events",
            "Events by how they ended",
            Family::<Labels<2>, Counter>::default(),
        );
        for outcome in EventOutcome::all() {
            drop(outcomes.get_or_create(&labels(outcome)));
        }
        let durations = metrics.register(
            "persistence_duration_seconds",
            "Time from an event's being taken up to its commit, by the type of the part in it",
            Family::<Labels<1>, Histogram>::new_with_constructor(|| {
                Histogram::new(LATENCY_BUCKETS)
            }),
        );
        let processed = metrics.register(
            "events_processed",
            "Events whose fate was settled, by the type of the part in them; of those settled before, by their own",
            Family::<Labels<1>, Counter>::default(),
        );
        // One look-up each here, instead of one for every event.
        let part_type = |kind: &PartKind| [("part_type", kind.as_str())];
        let duration = |kind| durations.get_or_create_owned(&part_type(kind));
        let count = |kind| processed.get_or_create_owned(&part_type(kind));
        let failed_groups = metrics.register(
            "hopline_commit_groups_failed",
            "Group commits that failed, by why",
            Family::<Labels<1>, Counter>::default(),
        );
        let reasons = Reason::ALL.into_iter().map(Reason::as_str);
        for reason in reasons.chain([REFUSED]) {
            drop(failed_groups.get_or_create(&[("reason", reason)]));
        }
        let counter = |name, help| metrics.register(name, help, Counter::default());
        Self {
            outcomes,
            processed: PartKind::ALL.iter().map(count).collect(),
            durations: PartKind::ALL.iter().map(duration).collect(),
            groups: counter("hopline_commit_groups", "Group commits"),
            group_events: counter("hopline_commit_group_events", "Events in group commits"),
            failed_groups,
            forgotten: counter(
                "hopline_log_events_removed",
                "Events removed from the log because they were old",
            ),
            active_commands: metrics.register(
                "hopline_active_commands",
                "Commands with events under way",
                Gauge::default(),
            ),
        }
    }

    /// Counts events' ends.
    pub(crate) fn settled(&self, ended: &[Ended]) {
        // Nearly all are committed; those are counted at one go.
        let mut committed = 0;
        for each in ended {
            self.processed[each.kind as usize].inc_by(each.count);
            if each.outcome == EventOutcome::Committed {
                committed += each.count;
                continue;
            }
            self.outcomes
                .get_or_create(&labels(each.outcome))
                .inc_by(each.count);
        }
        if committed > 0 {
            self.outcomes
                .get_or_create(&labels(EventOutcome::Committed))
                .inc_by(committed);
        }
    }

    /// The events' ends so far.
    pub(crate) fn outcomes(&self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for outcome in EventOutcome::all() {
            let count = self.outcomes.get_or_create(&labels(outcome)).get();
            if count > 0 {
                outcomes.count(outcome, count);
            }
        }
        outcomes
    }

    /// Notes how long events took until `end`.
    pub(crate) fn persisted(&self, taken_up: &[(PartKind, Timestamp)], end: Timestamp) {
        for (kind, start) in taken_up {
            #[expect(clippy::cast_precision_loss, reason = "seconds need no 53 bits")]
            let seconds = end.nanos_since(*start) as f64 / 1e9;
            self.durations[*kind as usize].observe(seconds);
        }
    }

    /// Notes a group commit of so many events.
    pub(crate) fn committed(&self, events: usize) {
        self.groups.inc();
        self.group_events.inc_by(events as u64);
    }

    /// Notes that so many events were removed from the log.
    pub(crate) fn forgot(&self, events: usize) {
        self.forgotten.inc_by(events as u64);
    }

    /// Notes a group commit that failed.
    pub(crate) fn failed(&self, error: &StateError) {
        let reason = [("reason", error.error_type())];
        self.failed_groups.get_or_create(&reason).inc();
    }
}

const fn labels(outcome: EventOutcome) -> Labels<2> {
    [("outcome", outcome.name()), ("reason", outcome.reason())]
}
