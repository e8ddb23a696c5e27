//! What the server counts and times itself, and `GET /metrics`, which shows the whole process's.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hopline_telemetry::metrics::prometheus_client::metrics::counter::Counter;
use hopline_telemetry::metrics::prometheus_client::metrics::family::Family;
use hopline_telemetry::metrics::prometheus_client::metrics::gauge::Gauge;
use hopline_telemetry::metrics::prometheus_client::metrics::histogram::Histogram;
use hopline_telemetry::metrics::{LATENCY_BUCKETS, Metrics};

use crate::access::Admin;
use crate::app::App;

/// The server's own metrics.
#[derive(Clone)]
pub(crate) struct Counters {
    /// Requests with events.
    pub(crate) ingest_requests: Counter,
    /// Requests with events that were refused as a whole.
    pub(crate) ingest_refused: Counter,
    /// How long reading a request's events took, in seconds.
    pub(crate) parsing: Histogram,
    /// How long handing a request's events to the processor took, in seconds: until they are settled.
    pub(crate) handing_over: Histogram,
    /// Trace carriers and headers that could not be read.
    pub(crate) bad_carriers: Counter,
    /// Live clients connected now.
    pub(crate) live_clients: Gauge,
    /// Flushes of live updates.
    pub(crate) flushes: Counter,
    /// Whole states sent to live clients.
    pub(crate) live_snapshots: Counter,
    /// How long a flush took to be handed to all clients' queues, in seconds.
    pub(crate) publishing: Histogram,
    /// Spans taken in over HTTP.
    pub(crate) spans_received: Counter,
    /// Spans refused.
    pub(crate) spans_refused: Counter,
    /// Items of Sentry's envelopes, by kind.
    pub(crate) envelope_items: Family<[(&'static str, &'static str); 1], Counter>,
    /// What clients say they could not send, by reason and category.
    pub(crate) lost_by_clients: Family<[(&'static str, &'static str); 2], Counter>,
}

impl Counters {
    /// Registers the metrics.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(name, help, Counter::default());
        let histogram = |name, help| metrics.register(name, help, Histogram::new(LATENCY_BUCKETS));
        Self {
            ingest_requests: counter("hopline_ingest_requests", "Requests with events"),
            ingest_refused: counter(
                "hopline_ingest_requests_refused",
                "Requests with events that were refused as a whole",
            ),
            parsing: histogram(
                "hopline_ingest_parse_seconds",
                "Time to read a request's events",
            ),
            handing_over: histogram(
                "hopline_ingest_handover_seconds",
                "Time from handing a request's events to the processor until they are settled",
            ),
            bad_carriers: counter(
                "hopline_bad_carriers",
                "Trace carriers and headers that could not be read",
            ),
            live_clients: metrics.register(
                "hopline_live_clients",
                "Live clients connected",
                Gauge::default(),
            ),
            flushes: counter("hopline_live_flushes", "Flushes of live updates"),
            live_snapshots: counter(
                "hopline_live_snapshots",
                "Whole states sent to live clients",
            ),
            publishing: histogram(
                "hopline_live_publish_seconds",
                "Time to hand a flush of live updates to all subscribers",
            ),
            spans_received: counter("hopline_spans_received", "Spans taken in over HTTP"),
            spans_refused: counter("hopline_spans_refused", "Spans refused"),
            envelope_items: metrics.register(
                "hopline_envelope_items",
                "Items of Sentry's envelopes taken in, by kind",
                Family::default(),
            ),
            lost_by_clients: metrics.register(
                "hopline_lost_by_clients",
                "What Sentry's SDKs say they could not send",
                Family::default(),
            ),
        }
    }
}

/// The process's metrics, in the text format that Prometheus reads, or in OpenMetrics if `Accept` names it.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn metrics(_: Admin, State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let (kind, text) = app.metrics.answer(accept);
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
