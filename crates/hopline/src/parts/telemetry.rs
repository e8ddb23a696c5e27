//! The process's telemetry: one pipeline for the spans of all its parts, and the sinks behind it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hopline_telemetry::exporter::{Endpoint, ExportOptions, ExportTask, Exporter};
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::otlp::{self, OtlpOptions, Transport};
use hopline_telemetry::pipeline::{self, Pipeline, PipelineThread};
use hopline_telemetry::sentry::SentryOptions;
use hopline_telemetry::{Heads, Spool, Tracer, http};
use hopline_wire::otlp::grpc;
use hopline_wire::secret::Secret;
use hopline_wire::span::SpanSink;

use super::{figures, within};
use crate::settings::{OtlpProtocol, Settings};

/// How many bytes of encoded spans may wait for an endpoint, in memory and on disk.
const EXPORT_QUEUE_BYTES: usize = 16 << 20;
const SPOOL_BYTES: u64 = 256 << 20;

/// The process's telemetry.
pub(crate) struct Telemetry {
    pipeline: Pipeline,
    thread: PipelineThread,
    exporters: Vec<(Arc<Exporter>, ExportTask)>,
    metrics: Metrics,
    /// What traces' heads said, where someone wants to hear it.
    heads: Option<Heads>,
}

/// Where spans go that no store in this process takes: a broker's relay, a server.
pub(crate) struct Relay {
    /// Its address, without the path.
    pub(crate) base: String,
    /// What it asks for.
    pub(crate) secret: Secret,
    /// Whether an endpoint in the settings takes its place.
    pub(crate) instead: bool,
}

impl Telemetry {
    /// Starts the pipeline, into `store` or the relay and, if the settings name them, an OTLP endpoint and a Sentry project.
    /// What these do not take waits in the data folder where there is a `store`, since then no other process has that.
    ///
    /// # Errors
    /// If the system gives no thread, the TLS of this machine cannot be set up, or there is no folder for what waits.
    pub(crate) fn start(
        settings: &Settings,
        store: Option<Arc<dyn SpanSink>>,
        relay: Option<Relay>,
    ) -> anyhow::Result<Self> {
        let spool = |name: &str| -> anyhow::Result<Option<Spool>> {
            if store.is_none() {
                return Ok(None);
            }
            let folder = settings.unsent_path().join(name);
            let opened = Spool::open(folder.clone(), SPOOL_BYTES);
            let opened = opened.with_context(|| format!("open the folder {}", folder.display()));
            opened.map(Some)
        };
        let transport = match settings.otlp_protocol {
            OtlpProtocol::Http => Transport::Http,
            OtlpProtocol::Grpc => Transport::Grpc,
        };
        let endpoint = settings.otlp_url.as_ref().map(|url| OtlpOptions {
            url: match transport {
                Transport::Http => traces_path(url.as_str()),
                Transport::Grpc => format!("{}{}", without_path(url.as_str()), grpc::METHOD),
            },
            transport,
            bearer: settings.otlp_token.as_ref().map(|token| token.0.clone()),
        });
        let relay = relay.filter(|relay| endpoint.is_none() || !relay.instead);
        let relay = relay.map(|relay| OtlpOptions {
            url: traces_path(&relay.base),
            transport: Transport::Http,
            bearer: Some(relay.secret),
        });
        let heads = settings.sentry_dsn.as_ref().map(|_| Heads::default());
        let sentry = settings.sentry_dsn.as_ref().zip(heads.clone());
        let sentry = sentry.map(|(dsn, heads)| SentryOptions {
            url: dsn.envelopes.clone(),
            public_key: dsn.public_key.clone(),
            head: settings.head(),
            heads,
        });
        let endpoints = [
            endpoint.map(|endpoint| (Endpoint::Otlp(endpoint), "otlp")),
            relay.map(|relay| (Endpoint::Otlp(relay), "relay")),
            sentry.map(|sentry| (Endpoint::Sentry(sentry), "sentry")),
        ];
        let mut exporters = Vec::new();
        let mut sinks = Vec::new();
        for (endpoint, name) in endpoints.into_iter().flatten() {
            let mut client = http::client_builder();
            if matches!(&endpoint, Endpoint::Otlp(otlp) if otlp.transport == Transport::Grpc) {
                client = client.http2_prior_knowledge();
            }
            let client = client
                .build()
                .context("set up the HTTP client of the span exporter")?;
            let options = ExportOptions {
                endpoint,
                queue_bytes: EXPORT_QUEUE_BYTES,
                spool: spool(name)?,
            };
            let (sink, task) = Exporter::start(options, client);
            sinks.push(Arc::clone(&sink) as _);
            exporters.push((sink, task));
        }
        let sinks = store.into_iter().chain(sinks).collect();
        let (pipeline, thread) = Pipeline::start(sinks, pipeline::DEFAULT_QUEUE_BYTES)
            .context("start the span pipeline's thread")?;
        let metrics = Metrics::default();
        figures::register_pipeline(&metrics, pipeline.clone());
        let sending = exporters.iter().map(|(exporter, _)| Arc::clone(exporter));
        figures::register_exporters(&metrics, sending.collect());
        Ok(Self {
            pipeline,
            thread,
            exporters,
            metrics,
            heads,
        })
    }

    /// The tracer of a part.
    pub(crate) fn tracer(&self, service: &'static str, instance: &str) -> Tracer {
        let tracer = Tracer::new(self.pipeline.clone(), service, instance);
        match &self.heads {
            Some(heads) => tracer.noting(heads.clone()),
            None => tracer,
        }
    }

    /// The process's metrics.
    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Ends the pipeline once all spans are with their sinks, and those that are sent are sent; each may
    /// take so long.
    pub(crate) async fn stop(self, patience: Duration) {
        let deadline = std::time::Instant::now() + patience;
        let thread = self.thread;
        let stopped = tokio::task::spawn_blocking(move || thread.stop(deadline)).await;
        let mut complete = stopped.unwrap_or(false);
        let mut lost_by_endpoints = 0;
        for (exporter, task) in self.exporters {
            complete &= task.stop(within(patience)).await;
            lost_by_endpoints += exporter.stats().lost;
        }
        let stats = self.pipeline.stats();
        if !complete || stats.dropped_full + stats.dropped_by_sinks + lost_by_endpoints > 0 {
            tracing::warn!(
                dropped_full = stats.dropped_full,
                dropped_by_sinks = stats.dropped_by_sinks,
                lost_by_endpoints,
                unsent = !complete,
                "spans were lost"
            );
        }
    }
}

/// The address that takes spans, given with or without its path.
fn traces_path(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(otlp::PATH) {
        base.to_owned()
    } else {
        format!("{base}{}", otlp::PATH)
    }
}

/// The same without it: what programs are told, which add it by themselves.
pub(super) fn without_path(base: &str) -> &str {
    let base = base.trim_end_matches('/');
    let base = base.strip_suffix(otlp::PATH).unwrap_or(base);
    base.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_with_or_without_its_path() {
        let whole = "http://127.0.0.1:4318/v1/traces";
        for given in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", whole] {
            assert_eq!(traces_path(given), whole);
            assert_eq!(without_path(given), "http://127.0.0.1:4318");
        }
    }
}
