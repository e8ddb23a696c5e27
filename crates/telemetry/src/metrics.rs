//! The metrics of every part, in one registry per process, written in the text formats that Prometheus
//! reads. Parts register theirs when they start and keep the handles.

use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

pub use prometheus_client;
use prometheus_client::collector::Collector;
use prometheus_client::registry::{Metric, Registry};

/// The media type of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The media type of Prometheus's own text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bounds of latency histograms, in seconds: from a tenth of a millisecond to a minute.
pub const LATENCY_BUCKETS: [f64; 14] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0, 60.0,
];

/// The process's metrics; cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// Adds a metric and gives it back. `name` is without the prefix `hopline_` only where a fixed name
    /// says so, and without the suffix `_total`, which counters get by themselves.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    /// Adds metrics that are asked for whenever all are rendered.
    pub fn register_collector(&self, collector: Box<dyn Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// All metrics as text for whoever sent this `Accept`, and the text's media type: OpenMetrics if that is asked for,
    /// else the text format that came before it and that every reader understands.
    #[must_use]
    pub fn answer(&self, accept: Option<&str>) -> (&'static str, String) {
        let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if open {
            (OPEN_METRICS, self.render())
        } else {
            (PROMETHEUS, as_prometheus(&self.render()))
        }
    }

    /// All metrics as OpenMetrics.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry.lock());
        text
    }
}

/// OpenMetrics in Prometheus's text format 0.0.4: a counter bears its suffix in `HELP` and `TYPE` too, the names of
/// some types differ, and there is neither `UNIT` nor an end mark.
fn as_prometheus(open: &str) -> String {
    let mut text = String::with_capacity(open.len() + 1_024);
    let mut help = None;
    for line in open.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), told) => help = Some(told.unwrap_or_default()),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    _ => ("", kind),
                };
                // Writing to a String cannot fail.
                if let Some(told) = help.take() {
                    let _ = writeln!(text, "# HELP {name}{suffix} {told}");
                }
                let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
            }
            (Some("#"), ..) => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn a_registered_counter_is_rendered_under_its_name() {
        let metrics = Metrics::default();
        let counter = metrics.register(
            "events_processed",
            "Events processed",
            Counter::<u64>::default(),
        );
        counter.inc();
        assert!(metrics.render().contains("events_processed_total 1"));
    }

    #[test]
    fn each_reader_gets_the_format_that_it_asks_for() {
        let metrics = Metrics::default();
        let counter = Counter::<u64>::default();
        metrics
            .register("events", "Events processed", counter)
            .inc();
        let (kind, text) = metrics.answer(Some("application/openmetrics-text;version=1.0.0,*/*"));
        assert!(kind.starts_with("application/openmetrics-text"));
        assert!(text.contains("# TYPE events counter\n") && text.ends_with("# EOF\n"));
        for accept in [None, Some("text/plain"), Some("*/*")] {
            let (kind, text) = metrics.answer(accept);
            assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
            assert_eq!(
                text,
                "# HELP events_total Events processed.\n# TYPE events_total counter\nevents_total 1\n"
            );
        }
    }
}
