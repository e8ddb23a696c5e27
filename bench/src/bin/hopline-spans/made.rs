//! Requests of made-up spans: written once, with holes for what differs from one sending to the next.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::json;

use crate::body::{Body, Ids, Request, hex, now};

/// Spans of a trace, the first of which is the parent of all others.
const OF_TRACE: usize = 16;

/// How long spans are, in microseconds, in turn.
const LENGTHS: [u64; 8] = [800, 1_250, 90, 4_100, 350, 12_700, 95_000, 640];

/// A request with holes.
pub(crate) struct Made {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
    spans: usize,
    of_trace: usize,
    is_text: bool,
    ids: Ids,
}

/// What is to be written at a place.
struct Hole {
    at: usize,
    what: What,
}

/// The id of a trace, or the id or a time of a span, by its number in the request.
#[derive(Clone, Copy)]
enum What {
    Trace(usize),
    Span(usize),
    Start(usize),
    End,
}

impl Request for Made {
    fn next(&mut self) -> Body<'_> {
        let traces: Vec<_> = (0..self.spans.div_ceil(self.of_trace))
            .map(|_| self.ids.trace())
            .collect();
        let spans: Vec<_> = (0..self.spans)
            .map(|_| self.ids.next().to_be_bytes())
            .collect();
        let now = now();
        for hole in &self.holes {
            let into = &mut self.bytes[hole.at..];
            match (hole.what, self.is_text) {
                (What::Trace(trace), false) => fill(into, &traces[trace]),
                (What::Trace(trace), true) => fill(into, hex(&traces[trace]).as_bytes()),
                (What::Span(span), false) => fill(into, &spans[span]),
                (What::Span(span), true) => fill(into, hex(&spans[span]).as_bytes()),
                (What::Start(span), is_text) => fill_time(into, now - length(span), is_text),
                (What::End, is_text) => fill_time(into, now, is_text),
            }
        }
        Body {
            bytes: &self.bytes,
            spans: u32::try_from(self.spans).unwrap_or(u32::MAX),
            trace: hex(&traces[0]),
            of_trace: u32::try_from(self.of_trace.min(self.spans)).unwrap_or(u32::MAX),
        }
    }
}

fn fill(into: &mut [u8], bytes: &[u8]) {
    into[..bytes.len()].copy_from_slice(bytes);
}

fn fill_time(into: &mut [u8], nanos: u64, is_text: bool) {
    if is_text {
        fill(into, seconds(nanos).as_bytes());
    } else {
        fill(into, &nanos.to_le_bytes());
    }
}

/// In nanoseconds.
fn length(span: usize) -> u64 {
    LENGTHS[span % LENGTHS.len()] * 1_000
}

/// As Sentry's SDKs write it: always as long, until the year 2286.
fn seconds(nanos: u64) -> String {
    format!("{}.{:06}", nanos / 1_000_000_000, nanos / 1_000 % 1_000_000)
}

/// The 12 attributes of a span: what a service with a database says of a request.
fn attributes(span: usize, ids: &mut Ids) -> [(&'static str, serde_json::Value); 12] {
    let pick = |of: &'static [&'static str], ids: &mut Ids| of[ids.below(of.len())];
    let id = ids.below(100_000);
    [
        (
            "http.request.method",
            json!(pick(&["GET", "GET", "GET", "POST", "PUT"], ids)),
        ),
        (
            "http.route",
            json!(pick(
                &["/carts/{id}", "/orders/{id}", "/items", "/search"],
                ids
            )),
        ),
        ("url.path", json!(format!("/orders/{id}"))),
        (
            "http.response.status_code",
            json!(if span.is_multiple_of(37) { 503 } else { 200 }),
        ),
        (
            "server.address",
            json!(pick(
                &["shop-1.internal", "shop-2.internal", "shop-3.internal"],
                ids
            )),
        ),
        ("server.port", json!(8_443)),
        (
            "user_agent.original",
            json!("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
        ),
        ("db.system.name", json!("postgresql")),
        (
            "db.collection.name",
            json!(pick(&["carts", "orders", "items", "customers"], ids)),
        ),
        ("thread.id", json!(ids.below(16))),
        ("cache.hit", json!(ids.below(3) > 0)),
        (
            "shop.total",
            json!(f64::from(u16::try_from(ids.below(10_000)).unwrap_or(0)) / 100.0),
        ),
    ]
}

fn name(span: usize) -> &'static str {
    [
        "GET /orders/{id}",
        "SELECT orders",
        "render",
        "POST /carts",
        "cache.get",
    ][span % 5]
}

/// A request in OTLP: `spans` of them, by one service.
pub(crate) fn otlp(spans: usize, mut ids: Ids) -> Made {
    let mut own = Vec::new();
    let mut searched = Vec::new();
    // What stands in the holes at first is nowhere else, so that they are found by it.
    for span in 0..spans {
        let trace = span / OF_TRACE;
        let root = trace * OF_TRACE;
        let message = Span {
            trace_id: marked(0xa0, trace, 16),
            span_id: marked(0xb0, span, 8),
            parent_span_id: if span == root {
                Vec::new()
            } else {
                marked(0xb0, root, 8)
            },
            name: name(span).to_owned(),
            kind: if span == root { 2 } else { 1 },
            start_time_unix_nano: u64::from_le_bytes(number(0xc0, span)),
            end_time_unix_nano: u64::from_le_bytes(number(0xd0, span)),
            attributes: attributes(span, &mut ids)
                .map(|(key, value)| key_value(key, &value))
                .into(),
            ..Span::default()
        };
        searched.push((message.trace_id.clone(), What::Trace(trace)));
        searched.push((message.span_id.clone(), What::Span(span)));
        if span != root {
            searched.push((message.parent_span_id.clone(), What::Span(root)));
        }
        searched.push((number(0xc0, span).into(), What::Start(span)));
        searched.push((number(0xd0, span).into(), What::End));
        own.push(message);
    }
    let resource = [
        ("service.name", json!("shop")),
        ("service.version", json!("3.4.1")),
        ("deployment.environment.name", json!("production")),
        ("host.name", json!("shop-1")),
    ];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: resource
                    .iter()
                    .map(|(key, value)| key_value(key, value))
                    .collect(),
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "shop".into(),
                    version: "3.4.1".into(),
                    ..InstrumentationScope::default()
                }),
                spans: own,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let bytes = request.encode_to_vec();
    // Fields are written by their numbers, and so in the order in which they are searched.
    let mut from = 0;
    let mut holes = Vec::new();
    for (mark, what) in searched {
        let found = bytes[from..]
            .windows(mark.len())
            .position(|window| window == mark);
        from += found.unwrap_or_default();
        holes.push(Hole { at: from, what });
        from += mark.len();
    }
    Made {
        bytes,
        holes,
        spans,
        of_trace: OF_TRACE,
        is_text: false,
        ids,
    }
}

fn number(mark: u8, number: usize) -> [u8; 8] {
    let mut bytes = (number as u64).to_be_bytes();
    bytes[..4].fill(mark);
    bytes
}

fn marked(mark: u8, of: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![mark; length];
    bytes[length - 8..].copy_from_slice(&number(mark, of));
    bytes
}

fn key_value(key: &str, value: &serde_json::Value) -> KeyValue {
    let value = match value {
        serde_json::Value::Bool(value) => Value::BoolValue(*value),
        serde_json::Value::Number(value) => match value.as_i64() {
            Some(value) => Value::IntValue(value),
            None => Value::DoubleValue(value.as_f64().unwrap_or_default()),
        },
        other => Value::StringValue(other.as_str().unwrap_or_default().to_owned()),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// An envelope of Sentry's with spans of version 2: `spans` of them, of one trace, as its SDKs send them.
pub(crate) fn sentry(spans: usize, mut ids: Ids) -> Made {
    let mut items = String::from("{\"items\":[");
    let mut holes: Vec<Hole> = Vec::new();
    for span in 0..spans {
        let mut hole = |items: &mut String, length: usize, what| {
            holes.push(Hole {
                at: items.len(),
                what,
            });
            items.extend(std::iter::repeat_n('0', length));
        };
        items.push_str(if span == 0 {
            "{\"trace_id\":\""
        } else {
            ",{\"trace_id\":\""
        });
        hole(&mut items, 32, What::Trace(0));
        items.push_str("\",\"span_id\":\"");
        hole(&mut items, 16, What::Span(span));
        if span > 0 {
            items.push_str("\",\"parent_span_id\":\"");
            hole(&mut items, 16, What::Span(0));
        }
        items.push_str("\",\"start_timestamp\":");
        hole(&mut items, seconds(now()).len(), What::Start(span));
        items.push_str(",\"end_timestamp\":");
        hole(&mut items, seconds(now()).len(), What::End);
        let typed = attributes(span, &mut ids).map(|(key, value)| {
            let kind = match &value {
                serde_json::Value::Bool(_) => "boolean",
                serde_json::Value::Number(number) if number.is_f64() => "double",
                serde_json::Value::Number(_) => "integer",
                _ => "string",
            };
            (key.to_owned(), json!({ "type": kind, "value": value }))
        });
        let attributes = serde_json::Value::Object(typed.into_iter().collect());
        let (name, is_segment) = (name(span), span == 0);
        // Nobody fails to write to a text.
        let _ = write!(
            items,
            ",\"name\":\"{name}\",\"status\":\"ok\",\"is_segment\":{is_segment},\"attributes\":{attributes}}}"
        );
    }
    items.push_str("]}");
    let head = "{\"sdk\":{\"name\":\"sentry.javascript.node\",\"version\":\"10.25.0\"},\"trace\":{\"trace_id\":\"";
    let mut text = head.to_owned();
    let trace_at = text.len();
    text.extend(std::iter::repeat_n('0', 32));
    let _ = write!(
        text,
        "\",\"public_key\":\"load\",\"sampled\":\"true\",\"sample_rate\":\"1\"}}}}\n{{\"type\":\"span\",\"item_count\":{spans},\
         \"content_type\":\"application/vnd.sentry.items.span.v2+json\",\"length\":{}}}\n",
        items.len()
    );
    holes.iter_mut().for_each(|hole| hole.at += text.len());
    holes.push(Hole {
        at: trace_at,
        what: What::Trace(0),
    });
    text.push_str(&items);
    text.push('\n');
    Made {
        bytes: text.into_bytes(),
        holes,
        spans,
        of_trace: spans,
        is_text: true,
        ids,
    }
}
