//! The telemetry's own metrics: what the span pipeline and the trace store have taken, dropped and repaired.

use std::fmt;
use std::sync::Arc;

use hopline_telemetry::Pipeline;
use hopline_telemetry::exporter::Exporter;
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::metrics::prometheus_client::collector::Collector;
use hopline_telemetry::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use hopline_telemetry::metrics::prometheus_client::metrics::counter::ConstCounter;
use hopline_telemetry::metrics::prometheus_client::metrics::gauge::ConstGauge;

use hopline_traces::{LogStore, TraceStore as _};

/// Adds the pipeline's counters.
pub(super) fn register_pipeline(metrics: &Metrics, pipeline: Pipeline) {
    metrics.register_collector(Box::new(PipelineFigures(pipeline)));
}

/// Adds the counters of whatever sends spans to an endpoint; nothing where nothing does.
pub(super) fn register_exporters(metrics: &Metrics, exporters: Vec<Arc<Exporter>>) {
    if !exporters.is_empty() {
        metrics.register_collector(Box::new(ExporterFigures(exporters)));
    }
}

/// Adds the trace store's counters and gauges.
pub(super) fn register_traces(metrics: &Metrics, traces: Arc<LogStore>) {
    metrics.register_collector(Box::new(TracesFigures(traces)));
}

struct PipelineFigures(Pipeline);

struct ExporterFigures(Vec<Arc<Exporter>>);

struct TracesFigures(Arc<LogStore>);

impl fmt::Debug for PipelineFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipelineFigures")
    }
}

impl fmt::Debug for ExporterFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExporterFigures")
    }
}

impl fmt::Debug for TracesFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TracesFigures")
    }
}

impl Collector for PipelineFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let counters = [
            ("recorded", "Spans taken into the pipeline", stats.recorded),
            (
                "dropped_full",
                "Spans dropped because the pipeline was full",
                stats.dropped_full,
            ),
            (
                "dropped_by_sinks",
                "Spans that a sink did not take",
                stats.dropped_by_sinks,
            ),
        ];
        for (name, help, value) in counters {
            counter(&mut encoder, &format!("hopline_spans_{name}"), help, value)?;
        }
        Ok(())
    }
}

impl Collector for ExporterFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut exported, mut lost, mut waiting) = (0, 0, 0);
        for exporter in &self.0 {
            let stats = exporter.stats();
            exported += stats.exported;
            lost += stats.lost;
            waiting += stats.waiting;
        }
        let counters = [
            (
                "exported",
                "Spans that the endpoints of others took",
                exported,
            ),
            (
                "export_lost",
                "Spans that an endpoint of others refused, or that were given up at the end",
                lost,
            ),
        ];
        for (name, help, value) in counters {
            counter(&mut encoder, &format!("hopline_spans_{name}"), help, value)?;
        }
        let gauge = ConstGauge::new(i64::try_from(waiting).unwrap_or(i64::MAX));
        let help = "Spans that wait for an endpoint of others";
        encode(&mut encoder, "hopline_spans_export_waiting", help, &gauge)
    }
}

impl Collector for TracesFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let counters = [
            (
                "spans_appended",
                "Spans appended to the trace store",
                stats.appended_spans,
            ),
            (
                "failed_appends",
                "Appends to the trace store that failed",
                stats.failed_appends,
            ),
            (
                "failed_flushes",
                "Flushes of the trace store that failed",
                stats.failed_flushes,
            ),
            (
                "torn_bytes",
                "Bytes that a crash had left unfinished, cut off",
                stats.torn_bytes,
            ),
            (
                "corrupt_parts",
                "Damaged parts met and left out",
                stats.corrupt_parts,
            ),
            (
                "spans_removed",
                "Spans removed to stay within bounds",
                stats.removed_spans,
            ),
        ];
        for (name, help, value) in counters {
            counter(&mut encoder, &format!("hopline_traces_{name}"), help, value)?;
        }
        let gauges = [
            ("spans", "Spans in the trace store", stats.spans),
            (
                "settled_spans",
                "Those of them that have left the log for Parquet files",
                stats.settled_spans,
            ),
            ("bytes", "Bytes that the trace store occupies", stats.bytes),
            (
                "segments",
                "Files that the trace store consists of",
                stats.segments,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            encode(
                &mut encoder,
                &format!("hopline_traces_{name}"),
                help,
                &gauge,
            )?;
        }
        Ok(())
    }
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    encode(encoder, name, help, &ConstCounter::new(value))
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
