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
use super::look::{LARGE_TRACES, MOST, turn};
use super::questions::answer_of;
use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, Params};
use crate::openapi::Problem;

/// How many traces are found where nothing is said, and at most.
const TRACES: usize = 20;
const MOST_TRACES: usize = 1_500;

/// How many spans of a trace are shown among others, and how many of all of them together.
const SPANS_AMONG_OTHERS: usize = 2_000;
const SPANS_TOGETHER: usize = 200_000;

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
#[derive(Default, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct SearchParams {
    /// Its service.
    service: Option<String>,
    /// Its name.
    operation: Option<String>,
    /// What attributes it has: an object in JSON. May be repeated, as may `tag=key:value`.
    #[param(value_type = Option<String>)]
    tags: Vec<(String, String)>,
    /// When it began at the earliest, in microseconds since 1970.
    start: Option<u64>,
    /// And before when.
    end: Option<u64>,
    /// How long it takes at least, such as `1.5s` or `100ms`.
    #[param(value_type = Option<String>)]
    min_duration: Option<u64>,
    /// And at most.
    #[param(value_type = Option<String>)]
    max_duration: Option<u64>,
    /// At most so many traces, the newest: 20 unless given, and no more than 1,500.
    #[param(minimum = 1, maximum = 1_500)]
    limit: Option<usize>,
    /// These traces, whatever their spans are. May be repeated.
    #[param(value_type = Option<String>, rename = "traceID")]
    trace_ids: Vec<TraceId>,
}

impl SearchParams {
    /// Reads what stands behind the question mark. What is empty is not given, as Jaeger has it.
    fn read(given: Vec<(String, String)>) -> ApiResult<Self> {
        let mut params = Self::default();
        for (key, value) in given.into_iter().filter(|(_, value)| !value.is_empty()) {
            let bad = |expected: &str| {
                let told = format!("{key} is {value:?}: expected {expected}");
                ApiError::bad_request("bad_request", told)
            };
            let number = || value.parse().map_err(|_| bad("a whole number"));
            let duration =
                || go_duration(&value).ok_or_else(|| bad("the likes of 1.5s, 100ms or 1m30s"));
            match key.as_str() {
                "service" => params.service = Some(value),
                "operation" => params.operation = Some(value),
                "tags" => {
                    let expected = "an object in JSON, such as {\"error\":\"true\"}";
                    let tags: serde_json::Map<String, serde_json::Value> =
                        serde_json::from_str(&value).map_err(|_| bad(expected))?;
                    params.tags.extend(tags.into_iter().map(|(key, value)| {
                        let text = value.as_str().map(str::to_owned);
                        (key, text.unwrap_or_else(|| value.to_string()))
                    }));
                }
                "tag" => {
                    let (tag, value) = value.split_once(':').ok_or_else(|| bad("key:value"))?;
                    params.tags.push((tag.to_owned(), value.to_owned()));
                }
                "start" => params.start = Some(number()?),
                "end" => params.end = Some(number()?),
                "limit" => {
                    params.limit = Some(usize::try_from(number()?).unwrap_or(usize::MAX));
                }
                "minDuration" => params.min_duration = Some(duration()?),
                "maxDuration" => params.max_duration = Some(duration()?),
                "traceID" => {
                    let id = trace_id(&value).ok_or_else(|| bad("hexadecimal digits"))?;
                    params.trace_ids.push(id);
                }
                // `lookback` and what else the consoles add for themselves.
                _ => {}
            }
        }
        Ok(params)
    }

    /// The question that finds the traces.
    fn question(&self) -> String {
        let mut conditions = Vec::new();
        if let Some(service) = &self.service {
            conditions.push(format!("service:{}", literal(service)));
        }
        if let Some(operation) = &self.operation {
            conditions.push(format!("name:{}", literal(operation)));
        }
        let durations = [(self.min_duration, ">="), (self.max_duration, "<=")];
        for (nanos, what) in durations {
            conditions.extend(nanos.map(|nanos| format!("duration{what}{nanos}ns")));
        }
        let tags = self.tags.iter();
        conditions.extend(tags.map(|(key, value)| condition(key, value)));
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
        question
    }
}

/// What a tag of Jaeger's says about a span: those that are made of a span's fields, and attributes.
fn condition(key: &str, value: &str) -> String {
    match (key, value) {
        ("error", "true") => "status:error".to_owned(),
        ("error", "false") => "not status:error".to_owned(),
        ("otel.status_code", code) if code.eq_ignore_ascii_case("ok") => {
            "(status:ok and not status:unset)".to_owned()
        }
        ("otel.status_code", code) => format!("status:{}", literal(&code.to_ascii_lowercase())),
        ("otel.status_description", message) => format!("status_message:{}", literal(message)),
        ("span.kind", kind) => format!("kind:{}", literal(kind)),
        ("sentry.op", op) => format!("op:{}", literal(op)),
        (key, value) => format!("{}:{}", quoted(key), literal(value)),
    }
}

/// A trace's id; zeros before it may be left out.
fn trace_id(text: &str) -> Option<TraceId> {
    format!("{:0>32}", text.to_ascii_lowercase()).parse().ok()
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
    if rest.is_empty() || rest == "0" {
        return (rest == "0").then_some(0);
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
    Params(given): Params<Vec<(String, String)>>,
) -> ApiResult<Response> {
    let mut params = SearchParams::read(given)?;
    let limit = params.limit.unwrap_or(TRACES).clamp(1, MOST_TRACES);
    let mut found = std::mem::take(&mut params.trace_ids);
    found.truncate(MOST_TRACES);
    if found.is_empty() {
        let rows = rows(&app, &params.question(), limit).await?;
        found.extend(rows.iter().filter_map(|row| trace_id(&text(row, 0))));
    }
    let turn = turn(&app.trace_reads, LARGE_TRACES).await?;
    let traces = Arc::clone(&app.traces);
    let work = move |answer: Answer| {
        let _turn = turn;
        write(&*traces, &found, Shown::AmongOthers, answer)
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
    let trace_id = self::trace_id(&trace_id);
    let trace_id = trace_id.ok_or_else(|| ApiError::not_found("trace: its id has another form"))?;
    let turn = turn(&app.trace_reads, LARGE_TRACES).await?;
    let traces = Arc::clone(&app.traces);
    let work = move |answer: Answer| {
        let _turn = turn;
        write(&*traces, &[trace_id], Shown::Alone, answer)
    };
    body::answer(work).await
}

/// How a trace is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// It must be there.
    Alone,
    /// It may have been removed since it was found.
    AmongOthers,
}

/// Writes traces, one in memory at a time.
fn write(
    traces: &dyn TraceStore,
    ids: &[TraceId],
    shown: Shown,
    answer: Answer,
) -> Result<(), Unwritten> {
    let mut room = SPANS_TOGETHER;
    let mut answer = Some(answer);
    let mut out = None;
    let mut written = 0;
    for trace_id in ids {
        let limit = match shown {
            Shown::Alone => MOST,
            Shown::AmongOthers => SPANS_AMONG_OTHERS.min(room).max(1),
        };
        let trace = traces.trace(*trace_id, limit)?;
        room = room.saturating_sub(trace.spans.len());
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
        (None, Some(answer)) if shown == Shown::AmongOthers => {
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
    let question = format!("{question} limit {limit}");
    answered(app, Language::Query, question, limit).await
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
        let given = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let pairs = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            SearchParams::read(pairs.collect())
        };
        let params = given(&[
            ("service", "a \"b\" * \\"),
            ("operation", ""),
            ("tags", "{\"error\":true,\"http.status\":500}"),
            ("tag", "span.kind:server"),
            ("tags", "{\"otel.status_code\":\"OK\"}"),
            ("start", "1000000"),
            ("end", "2000000"),
            ("minDuration", "1ms"),
            ("maxDuration", ""),
            ("lookback", "1h"),
        ]);
        assert_eq!(
            params
                .unwrap_or_else(|error| panic!("{}", error.message()))
                .question(),
            "max(start) where service:\"a \\\"b\\\" \\\\* \\\\\" and duration>=1000000ns and status:error and \
             \"http.status\":\"500\" and kind:\"server\" and (status:ok and not status:unset) by trace_id \
             from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:02.001Z order by max(start) desc"
        );
        for (key, value) in [
            ("start", "soon"),
            ("limit", "-1"),
            ("tags", "[1]"),
            ("tag", "x"),
            ("minDuration", "5"),
            ("traceID", "xyz"),
        ] {
            let refused = given(&[(key, value)]);
            assert!(
                refused.is_err_and(|error| error.message().contains(key)),
                "{key}"
            );
        }
    }
}
