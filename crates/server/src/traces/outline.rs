//! A trace as columns, and one span of it as a whole: what a console reads of a trace, which draws all spans and shows one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use flate2::write::GzEncoder;
use hopline_traces::outline::Outline;
use hopline_traces::{TraceStore, TracesError};
use hopline_wire::otlp::{encode_json, to_request};
use hopline_wire::{SpanId, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Answer, Unwritten};
use super::look::{BuildOfTrace, LARGE_TRACES, turn};
use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::InPath;
use crate::openapi::Problem;
use crate::representation::{Coding, Tag};

/// What an outline is compressed with where a client takes it, the quickest first.
const CODINGS: [Coding; 2] = [Coding::Zstd, Coding::Gzip];

/// How hard each of them tries: a page waits for the answer.
const GZIP_LEVEL: flate2::Compression = flate2::Compression::fast();
const ZSTD_LEVEL: i32 = 1;

/// An outline, and the build that its trace is of.
#[derive(Serialize, Hash)]
struct OfBuild {
    #[serde(flatten)]
    build: Option<Build>,
    #[serde(flatten)]
    outline: Outline,
}

#[derive(Serialize, Hash)]
#[serde(rename_all = "camelCase")]
struct Build {
    session_id: Uuid,
    build_id: String,
    project_id: Uuid,
}

/// Writes a trace's outline, or the word that the client has it.
pub(super) fn write(
    traces: &dyn TraceStore,
    trace_id: TraceId,
    limit: usize,
    build: Option<BuildOfTrace>,
    headers: &HeaderMap,
    answer: Answer,
) -> Result<(), Unwritten> {
    let outline = Outline::read(traces, trace_id, limit)?.ok_or(Unwritten::NotFound)?;
    let total = outline.total();
    let build = build.map(|build| Build {
        session_id: build.session_id,
        build_id: build.build_id,
        project_id: build.project_id,
    });
    let whole = OfBuild { build, outline };
    let coding = Coding::accepted(headers, &CODINGS);
    let tag = Tag::of(fingerprint(&whole), coding);
    if tag.is_known(headers) {
        return Ok(answer.not_again(tag)?);
    }
    let pieces = answer.begin_tagged(total, tag, coding)?;
    let pieces = match coding {
        Coding::Identity | Coding::Brotli => write_json(pieces, &whole)?,
        Coding::Gzip => write_json(GzEncoder::new(pieces, GZIP_LEVEL), &whole)?.finish()?,
        Coding::Zstd => write_json(zstd::Encoder::new(pieces, ZSTD_LEVEL)?, &whole)?.finish()?,
    };
    Ok(pieces.finish()?)
}

/// A number that changes with anything that is said.
fn fingerprint(whole: &OfBuild) -> u64 {
    let mut hasher = DefaultHasher::new();
    whole.hash(&mut hasher);
    hasher.finish()
}

/// Numbers are written one by one, too small for a compressor to be called with.
fn write_json<W: Write>(out: W, whole: &impl Serialize) -> io::Result<W> {
    let mut out = BufWriter::with_capacity(32 << 10, out);
    serde_json::to_writer(&mut out, whole)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// A span with all that is known of it, in the form of OpenTelemetry's JSON.
#[derive(Serialize, ToSchema)]
pub(crate) struct WholeSpan {
    /// Name, kind, times, attributes, events, links, status.
    #[schema(value_type = Object)]
    span: Box<RawValue>,
    /// Who made it.
    #[schema(value_type = Object)]
    resource: Box<RawValue>,
    /// What it was made with.
    #[schema(value_type = Object)]
    scope: Box<RawValue>,
}

/// One span of a trace.
#[utoipa::path(get, path = "/api/traces/{traceId}/spans/{spanId}", tag = "traces",
    params(("traceId" = String, Path, description = "32 hexadecimal digits"),
           ("spanId" = String, Path, description = "16 hexadecimal digits")),
    responses((status = 200, body = WholeSpan), (status = 404, body = Problem),
              (status = 429, body = Problem, description = "Others read too many large traces just now")))]
pub(crate) async fn get_span(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath((trace_id, span_id)): InPath<(TraceId, SpanId)>,
) -> ApiResult<Json<WholeSpan>> {
    let turn = turn(&app.trace_summaries, LARGE_TRACES).await?;
    let traces = Arc::clone(&app.traces);
    let read = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        read_span(&*traces, trace_id, span_id)
    });
    let read = read
        .await
        .map_err(|error| ApiError::internal("read a span", &error))?;
    let json = read.map_err(|error| ApiError::internal("read a span", &error))?;
    let json = json.ok_or_else(|| ApiError::not_found("span in this trace"))?;
    let whole = taken_apart(&json).map_err(|error| ApiError::internal("write a span", &error))?;
    Ok(Json(whole))
}

/// The span as a document of OpenTelemetry's.
fn read_span(
    traces: &dyn TraceStore,
    trace_id: TraceId,
    span_id: SpanId,
) -> Result<Option<Vec<u8>>, TracesError> {
    let span = traces.span(trace_id, span_id)?;
    Ok(span.map(|span| encode_json(&to_request(&[span]))))
}

/// Takes what there is of one span out of the lists that it stands in.
fn taken_apart(json: &[u8]) -> serde_json::Result<WholeSpan> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        resource_spans: [OfResource; 1],
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OfResource {
        #[serde(default = "nothing")]
        resource: Box<RawValue>,
        scope_spans: [OfScope; 1],
    }
    #[derive(Deserialize)]
    struct OfScope {
        #[serde(default = "nothing")]
        scope: Box<RawValue>,
        spans: [Box<RawValue>; 1],
    }
    let Document {
        resource_spans: [of_resource],
    } = serde_json::from_slice(json)?;
    let [
        OfScope {
            scope,
            spans: [span],
        },
    ] = of_resource.scope_spans;
    Ok(WholeSpan {
        span,
        resource: of_resource.resource,
        scope,
    })
}

/// What an object is of which nothing is said.
fn nothing() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_default()
}
