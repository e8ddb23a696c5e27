//! `/jaeger/api/…`: the questions of Jaeger's query service, for its console, Grafana's data source and whatever else reads
//! traces from a Jaeger.
//!
//! What is found is found by the query engine; a trace by its id needs none.

use std::io::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use hopline_traces::TraceStore;
use hopline_traces::jaeger::Jaeger;
use hopline_traces::questions::Language;
use hopline_wire::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{self, Answer, Unwritten};
use super::look::{MOST, turn};
use super::questions::answer_of;
use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, Params};
use crate::openapi::Problem;

/// How many traces are found where nothing is said, and at most.
const TRACES: usize = 20;
const MOST_TRACES: usize = 1_500;

/// How many spans of a trace are shown among others.
const SPANS_AMONG_OTHERS: usize = 2_000;

/// How many names there may be.
const NAMES: usize = 10_000;

/// How long before a span its parent may have begun, to be found among dependencies, in nanoseconds: a day.
const PARENTS_BEFORE: u64 = 24 * 3_600 * 1_000_000_000;

/// A list, as Jaeger answers it.
#[derive(Serialize, ToSchema)]
pub(crate) struct JaegerList<T> {
    data: Vec<T>,
    total: usize,
    /// Always 0.
    limit: usize,
    /// Always 0.
    offset: usize,
    /// Always null: what goes wrong is answered with its status.
    #[schema(value_type = Option<String>)]
    errors: (),
}

impl<T> JaegerList<T> {
    fn of(data: Vec<T>) -> Json<Self> {
        Json(Self {
            total: data.len(),
            data,
            limit: 0,
            offset: 0,
            errors: (),
        })
    }
}

/// An operation of a service.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JaegerOperation {
    name: String,
    /// `server`, `client`, `producer`, `consumer`, `internal`, or nothing.
    span_kind: String,
}

/// How often spans of one service had their parent in another.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JaegerDependency {
    parent: String,
    child: String,
    call_count: u64,
}

/// The services that spans name.
#[utoipa::path(get, path = "/jaeger/api/services", tag = "jaeger",
    responses((status = 200, body = JaegerList<String>)))]
pub(crate) async fn jaeger_services(
    _: Admin,
    State(app): State<Arc<App>>,
) -> ApiResult<Json<JaegerList<String>>> {
    let rows = rows(&app, "count(spans) by service order by service", NAMES).await?;
    Ok(JaegerList::of(
        rows.iter().map(|row| text(row, 0)).collect(),
    ))
}

/// The names of a service's spans.
#[utoipa::path(get, path = "/jaeger/api/services/{service}/operations", tag = "jaeger",
    params(("service" = String, Path)), responses((status = 200, body = JaegerList<String>)))]
pub(crate) async fn jaeger_operations_of(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(service): InPath<String>,
) -> ApiResult<Json<JaegerList<String>>> {
    let service = literal(&service);
    let question = format!("count(spans) where service:{service} by name order by name");
    let rows = rows(&app, &question, NAMES).await?;
    Ok(JaegerList::of(
        rows.iter().map(|row| text(row, 0)).collect(),
    ))
}

/// Whose operations are asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OperationParams {
    service: String,
    /// Of this kind alone.
    #[serde(rename = "spanKind", default)]
    span_kind: Option<String>,
}

/// The names of a service's spans, and their kinds.
#[utoipa::path(get, path = "/jaeger/api/operations", tag = "jaeger", params(OperationParams),
    responses((status = 200, body = JaegerList<JaegerOperation>)))]
pub(crate) async fn jaeger_operations(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(params): Params<OperationParams>,
) -> ApiResult<Json<JaegerList<JaegerOperation>>> {
    let mut question = format!("count(spans) where service:{}", literal(&params.service));
    if let Some(kind) = params.span_kind.filter(|kind| !kind.is_empty()) {
        question.push_str(&format!(" kind:{}", literal(&kind)));
    }
    question.push_str(" by name, kind order by name");
    let rows = rows(&app, &question, NAMES).await?;
    let operations = rows.iter().map(|row| JaegerOperation {
        name: text(row, 0),
        span_kind: text(row, 1),
    });
    Ok(JaegerList::of(operations.collect()))
}

/// Which traces are looked for: those with a span that is all of this.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchParams {
    /// Its service.
    #[serde(default)]
    service: Option<String>,
    /// Its name.
    #[serde(default)]
    operation: Option<String>,
    /// What attributes it has: an object in JSON.
    #[serde(default)]
    tags: Option<String>,
    /// When it began at the earliest, in microseconds since 1970.
    #[serde(default)]
    start: Option<u64>,
    /// And before when.
    #[serde(default)]
    end: Option<u64>,
    /// How long it takes at least, such as `1.5s` or `100ms`.
    #[serde(default)]
    min_duration: Option<String>,
    /// And at most.
    #[serde(default)]
    max_duration: Option<String>,
    /// At most so many traces, the newest: 20 unless given, and no more than 1,500.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1_500)]
    limit: Option<usize>,
}

impl SearchParams {
    /// The question that finds the traces.
    fn question(&self) -> ApiResult<String> {
        let mut conditions = Vec::new();
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(service) = given(&self.service) {
            conditions.push(format!("service:{}", literal(&service)));
        }
        if let Some(operation) = given(&self.operation) {
            conditions.push(format!("name:{}", literal(&operation)));
        }
        for (text, what) in [(&self.min_duration, ">="), (&self.max_duration, "<=")] {
            if let Some(text) = given(text) {
                let nanos = go_duration(&text).ok_or_else(|| {
                    let told = format!(
                        "{text:?} is no duration: expected the likes of 1.5s, 100ms or 1m30s"
                    );
                    ApiError::bad_request("bad_request", told)
                })?;
                conditions.push(format!("duration{what}{nanos}ns"));
            }
        }
        if let Some(tags) = given(&self.tags) {
            let tags: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&tags)
                .map_err(|_| {
                    let told = "tags must be an object in JSON, such as {\"error\":\"true\"}";
                    ApiError::bad_request("bad_request", told)
                })?;
            conditions.extend(tags.iter().map(|(key, value)| condition(key, value)));
        }
        let mut question = "max(start)".to_owned();
        if !conditions.is_empty() {
            question.push_str(&format!(" where {}", conditions.join(" and ")));
        }
        question.push_str(" by trace_id");
        if self.start.is_some() || self.end.is_some() {
            // The language has milliseconds: rather one too many than one too few.
            let from = Timestamp::from_millis(self.start.unwrap_or(0) / 1_000);
            let to = match self.end {
                Some(end) => Timestamp::from_millis((end / 1_000).saturating_add(1)),
                None => Timestamp::from_millis(Timestamp::now().as_millis() + 1_000),
            };
            question.push_str(&format!(" from {from} to {to}"));
        }
        question.push_str(" order by max(start) desc");
        Ok(question)
    }
}

/// What a tag of Jaeger's says about a span.
fn condition(key: &str, value: &serde_json::Value) -> String {
    let value = match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match (key, value.as_str()) {
        ("error", "true") => "status:error".to_owned(),
        ("error", "false") => "not status:error".to_owned(),
        ("otel.status_code", code) => format!("status:{}", literal(&code.to_ascii_lowercase())),
        ("span.kind", kind) => format!("kind:{}", literal(kind)),
        ("sentry.op", op) => format!("op:{}", literal(op)),
        (key, value) => format!("{}:{}", quoted(key), literal(value)),
    }
}

/// A text in quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value that stands for itself alone.
fn literal(value: &str) -> String {
    quoted(&value.replace('*', "\\*"))
}

/// A duration as Go writes it, in nanoseconds.
fn go_duration(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let (unit, behind) = rest.split_at(unit.unwrap_or(rest.len()));
        nanos += number
            * match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 6e10,
                "h" => 3.6e12,
                _ => return None,
            };
        rest = behind;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, as it should"
    )]
    Some(nanos.round() as u64)
}

/// The traces with a span of a service, of a name, with attributes, of a length; the newest first.
#[utoipa::path(get, path = "/jaeger/api/traces", tag = "jaeger", params(SearchParams),
    responses((status = 200, description = "Traces in Jaeger's form, at most 2,000 spans of each"),
              (status = 400, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn jaeger_search(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(params): Params<SearchParams>,
) -> ApiResult<Response> {
    let question = params.question()?;
    let limit = params.limit.unwrap_or(TRACES).clamp(1, MOST_TRACES);
    let found = rows(&app, &question, limit).await?;
    let found: Vec<TraceId> = found
        .iter()
        .filter_map(|row| text(row, 0).parse().ok())
        .collect();
    let turn = turn(&app.trace_reads).await?;
    let traces = Arc::clone(&app.traces);
    let work = move |answer: Answer| {
        let _turn = turn;
        write(&*traces, &found, SPANS_AMONG_OTHERS, answer)
    };
    body::answer(work).await
}

/// A trace, at most 100,000 spans of it.
#[utoipa::path(get, path = "/jaeger/api/traces/{traceId}", tag = "jaeger",
    params(("traceId" = String, Path, description = "Hexadecimal digits; zeros before them may be left out")),
    responses((status = 200, description = "The trace in Jaeger's form"), (status = 404, body = Problem),
              (status = 429, body = Problem)))]
pub(crate) async fn jaeger_trace(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(trace_id): InPath<String>,
) -> ApiResult<Response> {
    let trace_id = format!("{:0>32}", trace_id.to_ascii_lowercase());
    let trace_id = trace_id
        .parse()
        .map_err(|_| ApiError::not_found("trace: its id has another form"))?;
    let turn = turn(&app.trace_reads).await?;
    let traces = Arc::clone(&app.traces);
    let work = move |answer: Answer| {
        let _turn = turn;
        write(&*traces, &[trace_id], MOST, answer)
    };
    body::answer(work).await
}

/// Writes traces, one in memory at a time. One alone must be there; among others it may have been removed meanwhile.
fn write(
    traces: &dyn TraceStore,
    ids: &[TraceId],
    limit: usize,
    answer: Answer,
) -> Result<(), Unwritten> {
    let mut answer = Some(answer);
    let mut out = None;
    let mut written = 0;
    for trace_id in ids {
        let trace = traces.trace(*trace_id, limit)?;
        if trace.total == 0 {
            continue;
        }
        if let Some(answer) = answer.take() {
            let mut pieces = answer.begin(trace.total)?;
            pieces.write_all(b"{\"data\":[")?;
            out = Some(pieces);
        }
        let Some(out) = &mut out else { continue };
        if written > 0 {
            out.write_all(b",")?;
        }
        let trace = Jaeger::of_part(*trace_id, &trace.spans, trace.total);
        serde_json::to_writer(&mut *out, &trace).map_err(std::io::Error::from)?;
        written += 1;
    }
    let mut out = match (out, answer) {
        (Some(out), _) => out,
        (None, Some(answer)) if ids.len() != 1 => {
            let mut pieces = answer.begin(0)?;
            pieces.write_all(b"{\"data\":[")?;
            pieces
        }
        (None, _) => return Err(Unwritten::NotFound),
    };
    write!(
        out,
        "],\"total\":{written},\"limit\":0,\"offset\":0,\"errors\":null}}"
    )?;
    Ok(out.finish()?)
}

/// Of which time dependencies are asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DependencyParams {
    /// Until when, in milliseconds since 1970; now unless given.
    #[serde(rename = "endTs", default)]
    end_ts: Option<u64>,
    /// For how long before, in milliseconds; a day unless given.
    #[serde(default)]
    lookback: Option<u64>,
}

/// Which services' spans have their parents in which others, and how often.
#[utoipa::path(get, path = "/jaeger/api/dependencies", tag = "jaeger", params(DependencyParams),
    responses((status = 200, body = JaegerList<JaegerDependency>)))]
pub(crate) async fn jaeger_dependencies(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(params): Params<DependencyParams>,
) -> ApiResult<Json<JaegerList<JaegerDependency>>> {
    let end = params
        .end_ts
        .unwrap_or_else(|| Timestamp::now().as_millis() + 1);
    let start = end.saturating_sub(params.lookback.unwrap_or(24 * 3_600 * 1_000));
    // Times after 2262 are no times of the column.
    let nanos = |millis: u64| {
        millis
            .saturating_mul(1_000_000)
            .min(i64::MAX.unsigned_abs())
    };
    let (start, end) = (nanos(start), nanos(end));
    let before = start.saturating_sub(PARENTS_BEFORE);
    let sql = format!(
        "SELECT p.service, c.service, count(*) FROM spans c
         JOIN spans p ON c.trace_id = p.trace_id AND c.parent_id = p.span_id
         WHERE c.service <> p.service AND c.record IS NULL
           AND c.start >= to_timestamp_nanos({start}) AND c.start < to_timestamp_nanos({end})
           AND p.start >= to_timestamp_nanos({before}) AND p.start < to_timestamp_nanos({end})
         GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
    );
    let rows = answered(&app, Language::Sql, sql, NAMES).await?;
    let dependencies = rows.iter().map(|row| JaegerDependency {
        parent: text(row, 0),
        child: text(row, 1),
        call_count: row.get(2).and_then(serde_json::Value::as_u64).unwrap_or(0),
    });
    Ok(JaegerList::of(dependencies.collect()))
}

type Row = Vec<serde_json::Value>;

/// The rows that answer a question in the query language.
async fn rows(app: &Arc<App>, question: &str, limit: usize) -> ApiResult<Vec<Row>> {
    answered(app, Language::Query, question.to_owned(), limit).await
}

async fn answered(
    app: &Arc<App>,
    language: Language,
    text: String,
    limit: usize,
) -> ApiResult<Vec<Row>> {
    match answer_of(app, language, text, limit).await? {
        Ok(answer) => Ok(answer.rows),
        // Of what was given it may be a key that is none.
        Err(mistake) => Err(ApiError::bad_request("bad_request", mistake.message)),
    }
}

fn text(row: &Row, at: usize) -> String {
    let value = row.get(at).and_then(serde_json::Value::as_str);
    value.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, nanos) in [
            ("100ms", Some(100_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("500µs", Some(500_000)),
            ("1h", Some(3_600_000_000_000)),
            ("", None),
            ("5", None),
            ("ms", None),
            ("5 parsecs", None),
            ("1..5s", None),
        ] {
            assert_eq!(go_duration(text), nanos, "{text}");
        }
    }

    #[test]
    fn what_is_looked_for_is_asked_for_as_it_is() {
        let params = SearchParams {
            service: Some("a \"b\" * \\".into()),
            operation: None,
            tags: Some("{\"error\":true,\"http.status\":500,\"span.kind\":\"server\"}".into()),
            start: Some(1_000_000),
            end: Some(2_000_000),
            min_duration: Some("1ms".into()),
            max_duration: None,
            limit: None,
        };
        assert_eq!(
            params.question().unwrap_or_default(),
            "max(start) where service:\"a \\\"b\\\" \\\\* \\\\\" and duration>=1000000ns and status:error and \
             \"http.status\":\"500\" and kind:\"server\" by trace_id from 1970-01-01T00:00:01.000Z to \
             1970-01-01T00:00:02.001Z order by max(start) desc"
        );
    }
}
