//! What the runner counts, under `hopline_runner_*`.

use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::metrics::prometheus_client::metrics::counter::Counter;
use hopline_telemetry::metrics::prometheus_client::metrics::gauge::Gauge;

/// The runner's metrics; cheap to clone.
#[derive(Clone)]
pub(crate) struct RunnerMetrics {
    /// Commands taken up.
    pub(crate) commands: Counter,
    /// Commands that came again under an id that was taken up already.
    pub(crate) commands_repeated: Counter,
    /// Carriers of commands that could not be read.
    pub(crate) carriers_malformed: Counter,
    /// Frames from the broker that could not be understood.
    pub(crate) frames_malformed: Counter,
    /// Events written to the link for the first time.
    pub(crate) events_sent: Counter,
    /// Events written to it again.
    pub(crate) events_resent: Counter,
    /// Events settled: acknowledged, or written to a link that acknowledges nothing.
    pub(crate) events_settled: Counter,
    /// Bytes that the outbox takes on disk.
    pub(crate) outbox_bytes: Gauge,
    /// Whether the outbox's disk takes nothing: 0 or 1.
    pub(crate) outbox_stalled: Gauge,
    /// Links that came up.
    pub(crate) links: Counter,
    /// Whether the link is up: 0 or 1.
    pub(crate) link_up: Gauge,
}

impl RunnerMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| {
            metrics.register(&format!("hopline_runner_{name}"), help, Counter::default())
        };
        let gauge = |name: &str, help: &str| {
            metrics.register(&format!("hopline_runner_{name}"), help, Gauge::default())
        };
        Self {
            commands: counter("commands", "Commands taken up"),
            commands_repeated: counter(
                "commands_repeated",
                "Commands that came again under the same id",
            ),
            carriers_malformed: counter(
                "carriers_malformed",
                "Trace carriers of commands that could not be read",
            ),
            frames_malformed: counter(
                "frames_malformed",
                "Frames from the broker that could not be understood",
            ),
            events_sent: counter(
                "events_sent",
                "Events written to the link for the first time",
            ),
            events_resent: counter("events_resent", "Events written to the link again"),
            events_settled: counter(
                "events_settled",
                "Events acknowledged, or written to a link without acknowledgements",
            ),
            outbox_bytes: gauge("outbox_bytes", "Bytes that the outbox takes on disk"),
            outbox_stalled: gauge("outbox_stalled", "Whether the outbox's disk takes nothing"),
            links: counter("links", "Links to the broker that came up"),
            link_up: gauge("link_up", "Whether the link to the broker is up"),
        }
    }
}
