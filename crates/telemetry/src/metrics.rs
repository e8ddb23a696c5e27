//! The metrics of every part, in one registry per process, written in the text format that Prometheus
//! reads (OpenMetrics 1.0). Parts register theirs when they start and keep the handles.

use std::sync::Arc;

use parking_lot::Mutex;

pub use prometheus_client;
use prometheus_client::collector::Collector;
use prometheus_client::registry::{Metric, Registry};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

    /// All metrics as text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry.lock());
        text
    }
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
}
