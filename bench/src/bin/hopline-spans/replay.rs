//! A real trace, sent again and again under new ids, each time a little later.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::body::{Body, Ids, Request, hex};

/// How much later a copy is than the one before it, in nanoseconds.
const LATER: u64 = 10_000_000;

/// Requests that make one trace together: resources stay with their spans.
pub(crate) struct Recorded(ExportTraceServiceRequest);

/// Reads a trace as OTLP in JSON.
pub(crate) fn read(path: &Path) -> anyhow::Result<Recorded> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let read: ExportTraceServiceRequest =
        serde_json::from_str(&text).with_context(|| format!("read {} as OTLP", path.display()))?;
    ensure!(spans(&read).count() > 0, "{} has no spans", path.display());
    Ok(Recorded(read))
}

fn spans(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    let scopes = request
        .resource_spans
        .iter()
        .flat_map(|group| &group.scope_spans);
    scopes.flat_map(|scope| &scope.spans)
}

fn spans_mut(request: &mut ExportTraceServiceRequest) -> impl Iterator<Item = &mut Span> {
    let groups = request.resource_spans.iter_mut();
    let scopes = groups.flat_map(|group| &mut group.scope_spans);
    scopes.flat_map(|scope| &mut scope.spans)
}

/// The trace as one connection sends it.
pub(crate) struct Replayed {
    request: ExportTraceServiceRequest,
    ids: Ids,
    bytes: Vec<u8>,
}

impl Replayed {
    pub(crate) fn new(recorded: &Recorded, ids: Ids, connection: u64) -> Self {
        let mut request = recorded.0.clone();
        spans_mut(&mut request).for_each(|span| delay(span, connection));
        Self {
            request,
            ids,
            bytes: Vec::new(),
        }
    }
}

fn delay(span: &mut Span, by: u64) {
    let by = by * LATER;
    span.start_time_unix_nano += by;
    span.end_time_unix_nano += by;
    span.events
        .iter_mut()
        .for_each(|event| event.time_unix_nano += by);
}

impl Request for Replayed {
    fn next(&mut self) -> Body<'_> {
        let trace = self.ids.trace();
        let mut own: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let ids = &mut self.ids;
        let mut renew = |id: &mut Vec<u8>| {
            if !id.is_empty() {
                *id = own
                    .entry(id.clone())
                    .or_insert_with(|| ids.next().to_be_bytes().to_vec())
                    .clone();
            }
        };
        let mut count = 0;
        for span in spans_mut(&mut self.request) {
            span.trace_id = trace.to_vec();
            renew(&mut span.span_id);
            renew(&mut span.parent_span_id);
            for link in &mut span.links {
                link.trace_id = trace.to_vec();
                renew(&mut link.span_id);
            }
            delay(span, 1);
            count += 1;
        }
        self.bytes.clear();
        // There is room for all of it in a vector.
        let _ = self.request.encode(&mut self.bytes);
        Body {
            bytes: &self.bytes,
            spans: count,
            trace: hex(&trace),
            of_trace: count,
        }
    }
}
