//! What the broker counts: for Prometheus, and for `/status`.

use std::time::Duration;

use hopline_telemetry::metrics::prometheus_client::metrics::counter::Counter;
use hopline_telemetry::metrics::prometheus_client::metrics::family::Family;
use hopline_telemetry::metrics::prometheus_client::metrics::gauge::Gauge;
use hopline_telemetry::metrics::prometheus_client::metrics::histogram::Histogram;
use hopline_telemetry::metrics::{LATENCY_BUCKETS, Metrics};
use hopline_wire::ingest::RejectCode;

/// The label of refused events.
type Code = [(&'static str, &'static str); 1];

/// The handles of all metrics; cheap to clone.
#[derive(Clone)]
pub(crate) struct Counters {
    pub(crate) received: Counter,
    pub(crate) settled: Counter,
    rejected: Family<Code, Counter>,
    pub(crate) duplicates: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) reports_replaced: Counter,
    pub(crate) bad_frames: Counter,
    pub(crate) malformed_carriers: Counter,
    pub(crate) commands: Counter,
    pub(crate) failed_commands: Counter,
    pub(crate) failed_posts: Counter,
    pub(crate) token_checks_failed: Counter,
    pub(crate) relayed: Counter,
    pub(crate) links: Gauge,
    pub(crate) held_events: Gauge,
    pub(crate) held_bytes: Gauge,
    post_seconds: Histogram,
    batch_events: Histogram,
}

impl Counters {
    /// Registers them all.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| {
            metrics.register(&format!("hopline_broker_{name}"), help, Counter::default())
        };
        let gauge = |name: &str, help: &str| {
            metrics.register(&format!("hopline_broker_{name}"), help, Gauge::default())
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let histogram = Histogram::new(buckets.iter().copied());
            metrics.register(&format!("hopline_broker_{name}"), help, histogram)
        };
        Self {
            received: counter("events_received", "Events received from runners"),
            settled: counter("events_settled", "Events that the server has committed"),
            rejected: metrics.register(
                "hopline_broker_events_rejected",
                "Events refused for good",
                Family::default(),
            ),
            duplicates: counter(
                "events_duplicate",
                "Events received again and dropped, because they are held or settled already",
            ),
            out_of_order: counter(
                "events_sent_again",
                "Events dropped because one before them was missing; the runner sends them again",
            ),
            reports_replaced: counter(
                "reports_replaced",
                "Reports of a runner about itself that newer ones replaced before they could be sent",
            ),
            bad_frames: counter("bad_frames", "Frames that could not be read"),
            malformed_carriers: counter(
                "malformed_carriers",
                "Events and commands whose trace carrier could not be read",
            ),
            commands: counter("commands_routed", "Commands written to runners"),
            failed_commands: counter("commands_failed", "Commands that could not be written"),
            failed_posts: counter("posts_failed", "Requests that the server did not take"),
            token_checks_failed: counter(
                "token_checks_failed",
                "Questions about tokens of runners that the server did not answer",
            ),
            relayed: counter(
                "traces_relayed",
                "Requests passed on to the server's /v1/traces",
            ),
            links: gauge("links", "Links of runners"),
            held_events: gauge("held_events", "Events that are not settled"),
            held_bytes: gauge("held_bytes", "Bytes of events that are not settled"),
            post_seconds: histogram(
                "post_duration_seconds",
                "How long the server takes to answer",
                &LATENCY_BUCKETS,
            ),
            batch_events: histogram(
                "batch_events",
                "Events in one request",
                &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0],
            ),
        }
    }

    /// Counts a request that was answered.
    pub(crate) fn posted(&self, took: Duration, events: usize) {
        self.post_seconds.observe(took.as_secs_f64());
        #[expect(
            clippy::cast_precision_loss,
            reason = "a request has at most 1,000 events"
        )]
        self.batch_events.observe(events as f64);
    }

    /// Counts an event refused for good.
    pub(crate) fn rejected(&self, code: &str) {
        let mut known = RejectCode::ALL.iter().map(|code| code.as_str());
        // Codes come from outside, and labels must stay few.
        let code = known.find(|known| *known == code).unwrap_or("other");
        self.rejected.get_or_create(&[("code", code)]).inc();
    }

    /// All that went wrong, in one figure.
    pub(crate) fn errors(&self) -> u64 {
        self.bad_frames.get() + self.failed_commands.get() + self.failed_posts.get()
    }
}
