//! Round trips, and requests as other senders write them.

use std::sync::Arc;

use super::*;
use crate::ids::{SpanId, TraceId};
use crate::span::{
    Attribute, EventKeys, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanName, SpanStatus,
    Text, Value,
};
use crate::time::Timestamp;

const TRACE: &str = "5b8efff798038103d269b633813fc60c";

fn trace_id() -> TraceId {
    TRACE.parse().unwrap()
}

fn span_id(number: u8) -> SpanId {
    SpanId::from_bytes([number; 8]).unwrap()
}

/// A span of which every field says something.
fn full_span() -> Span {
    let nested = Value::Map(Arc::new([
        Attribute::new("list", Value::List(Arc::new([1.into(), Value::Empty]))),
        Attribute::new("bytes", Value::Bytes(Arc::new([0, 255]))),
    ]));
    Span {
        trace_id: trace_id(),
        span_id: span_id(2),
        parent_id: Some(span_id(1)),
        name: SpanName::new("broker.forwardEvent.", "build-stream"),
        op: "broker.event.forward".into(),
        kind: SpanKind::Producer,
        start: Timestamp::from_nanos(1_769_852_096_789_000_001),
        end: Timestamp::from_nanos(1_769_852_096_788_000_000),
        status: SpanStatus::Error("refused".into()),
        pending: true,
        event: Some(EventKeys {
            event_type: "build-stream".into(),
            project_id: "p".into(),
            command_id: "c".into(),
            seq: 7,
            session_id: "s".into(),
        }),
        attributes: vec![
            Attribute::new("text", "é"),
            Attribute::new("double", 0.1),
            Attribute::new("infinite", f64::NEG_INFINITY),
            Attribute::new("large", i64::MIN),
            Attribute::new("nested", nested),
            Attribute::new("empty", Value::Empty),
            Attribute::new(kept::FLAGS, 257),
            Attribute::new(kept::DROPPED_EVENTS, 3),
        ],
        links: Links::Any(vec![Link {
            trace_id: trace_id(),
            span_id: span_id(9),
            attributes: vec![
                Attribute::new("why", "batch"),
                Attribute::new(kept::LINK_TRACE_STATE, "a=b"),
            ],
        }]),
        events: vec![SpanEvent {
            at: Timestamp::from_nanos(5),
            name: "retry".into(),
            attributes: vec![Attribute::new("attempt", 2)],
        }],
        trace_state: "v=1".into(),
        resource: Arc::new(Resource {
            attributes: vec![
                Attribute::new("service.name", "broker"),
                Attribute::new(kept::RESOURCE_SCHEMA, "https://schema/1"),
                Attribute::new(
                    kept::SCOPE_ATTRIBUTES,
                    Value::Map(Arc::new([Attribute::new("scoped", true)])),
                ),
            ],
            scope_name: "hopline".into(),
            scope_version: "0.1.0".into(),
        }),
    }
}

fn read(request: ExportTraceServiceRequest) -> (Vec<Span>, Vec<Refused>) {
    let mut spans = Vec::new();
    let refused = from_request(request, &mut spans);
    (spans, refused)
}

fn read_json(json: &str) -> (Vec<Span>, Vec<Refused>) {
    read(decode_json(json.as_bytes()).unwrap())
}

#[test]
fn a_span_comes_back_whole_through_protobuf_and_through_json() {
    let span = full_span();
    let mut plain = full_span();
    plain.links = Links::SameTrace(Arc::new([span_id(3), span_id(4)]));
    plain.parent_id = None;
    plain.status = SpanStatus::Ok;
    plain.pending = false;
    plain.event = None;
    let spans = vec![span, plain];
    let request = to_request(&spans);
    let through_protobuf = read(decode(&encode(&request)).unwrap());
    assert_eq!(through_protobuf, (spans.clone(), Vec::new()));
    let through_json = read(decode_json(&encode_json(&request)).unwrap());
    assert_eq!(through_json, (spans, Vec::new()));
}

#[test]
fn a_document_written_in_parts_says_what_the_whole_request_says() {
    let spans = vec![full_span(), full_span(), full_span()];
    let mut document = JsonDocument::begin(Vec::new()).unwrap();
    for part in [&spans[..1], &[], &spans[1..]] {
        document.add(&to_request(part)).unwrap();
    }
    let json = document.finish().unwrap();
    assert_eq!(read(decode_json(&json).unwrap()), (spans, Vec::new()));
    let empty = JsonDocument::begin(Vec::new()).unwrap().finish().unwrap();
    assert_eq!(read(decode_json(&empty).unwrap()), (Vec::new(), Vec::new()));
}

#[test]
fn what_has_a_field_in_the_protocol_goes_back_into_it() {
    let request = to_request(&[full_span()]);
    let group = &request.resource_spans[0];
    assert_eq!(group.schema_url, "https://schema/1");
    let scope = group.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!(scope.attributes.len(), 1);
    let span = &group.scope_spans[0].spans[0];
    assert_eq!((span.flags, span.dropped_events_count), (257, 3));
    assert_eq!(span.links[0].trace_state, "a=b");
}

#[test]
fn spans_are_grouped_by_resource_and_scope_however_they_are_shared() {
    let of = |service: &'static str, scope: &'static str| Span {
        resource: Arc::new(Resource {
            attributes: vec![Attribute::new("service.name", service)],
            scope_name: scope.into(),
            scope_version: Text::EMPTY,
        }),
        ..full_span()
    };
    let spans = [of("a", "x"), of("a", "y"), of("b", "x"), of("a", "x")];
    let request = to_request(&spans);
    let shape: Vec<Vec<usize>> = request
        .resource_spans
        .iter()
        .map(|group| group.scope_spans.iter().map(|s| s.spans.len()).collect())
        .collect();
    assert_eq!(shape, [vec![2, 1], vec![1]]);
}

#[test]
fn keys_of_the_wrong_type_stay_attributes() {
    let attributes = r#"[
        {"key":"sentry.op","value":{"intValue":"5"}},
        {"key":"hopline.pending","value":{"boolValue":false}},
        {"key":"event.seq","value":{"stringValue":"7"}},
        {"key":"event.other","value":{"stringValue":"x"}},
        {"key":"event.type","value":{"stringValue":"ack"}},
        {"key":"event.type","value":{"stringValue":"again"}}
    ]"#;
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[
            {{"traceId":"{TRACE}","spanId":"eee19b7ec3c1b174","attributes":{attributes}}}]}}]}}]}}"#
    );
    let (spans, refused) = read_json(&json);
    assert_eq!(refused, []);
    assert_eq!(&*spans[0].op, "");
    assert!(!spans[0].pending);
    assert_eq!(spans[0].attributes.len(), 5);
    assert_eq!(&*spans[0].event.as_ref().unwrap().event_type, "ack");
}

#[test]
fn a_bad_id_costs_its_own_span_and_is_counted() {
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[
        {{"traceId":"{TRACE}","spanId":"EEE19B7EC3C1B174","parentSpanId":"0000000000000000"}},
        {{"traceId":"{TRACE}","spanId":"eee19b7ec3c1b1"}},
        {{"traceId":"{TRACE}","spanId":"eee19b7ec3c1b17z"}},
        {{"traceId":"00000000000000000000000000000000","spanId":"eee19b7ec3c1b174"}},
        {{"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"eee19b7ec3c1b174"}},
        {{"traceId":"{TRACE}","spanId":"eee19b7ec3c1b174","parentSpanId":"eee1"}},
        {{"traceId":"{TRACE}","spanId":"eee19b7ec3c1b175","links":[{{"traceId":"{TRACE}"}}]}},
        {{"traceId":"{TRACE}"}}
        ]}}]}}]}}"#
    );
    let (spans, refused) = read_json(&json);
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].parent_id, None);
    assert_eq!(spans[1].links, Links::None);
    let expected = [
        (RefusedReason::SpanId, 3),
        (RefusedReason::TraceId, 2),
        (RefusedReason::ParentId, 1),
        (RefusedReason::Link, 1),
    ];
    let expected = expected.map(|(reason, count)| Refused { reason, count });
    assert_eq!(refused, expected);
    let answer = response(&refused).partial_success.unwrap();
    assert_eq!(answer.rejected_spans, 6);
    assert!(answer.error_message.contains("span id"), "{answer:?}");
}

/// As the JavaScript, Python and Java SDKs, the collector and hand-written senders put things.
#[test]
fn json_is_read_in_all_the_forms_that_senders_write() {
    let json = format!(
        r#"{{"futureField":{{"a":[1]}},"resourceSpans":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"web"}}}}],"droppedAttributesCount":0}},
          "scopeSpans":[{{"scope":{{"name":"s","version":null}},"schemaUrl":null,"spans":[{{
            "traceId":"{TRACE}","spanId":"EEE19B7EC3C1B174","parentSpanId":null,
            "name":"GET","kind":"SPAN_KIND_SERVER","futureField":1,
            "startTimeUnixNano":1544712660000000000,"endTimeUnixNano":"1544712661000000000",
            "status":{{"code":"STATUS_CODE_ERROR","message":"no"}},"events":null,"links":[],
            "attributes":[
              {{"key":"a","value":{{"intValue":5}}}},
              {{"key":"b","value":{{"intValue":"-6"}}}},
              {{"key":"c","value":{{"doubleValue":3}}}},
              {{"key":"d","value":{{"doubleValue":"Infinity"}}}},
              {{"key":"e","value":{{"arrayValue":{{}}}}}},
              {{"key":"f","value":{{"kvlistValue":{{"values":[{{"key":"g"}}]}}}}}},
              {{"key":"h","value":{{"bytesValue":"-_8"}}}},
              {{"key":"i","value":{{}}}},
              {{"key":"j","value":null}},
              {{"key":"k","value":{{"stringValue":null,"laterValue":[1]}}}},
              {{"value":{{"boolValue":true}}}},
              {{"key":"l","value":{{"intValue":1.7e18}}}},
              {{"key":"m","value":{{"arrayValue":{{"values":[null,{{"intValue":1}}]}}}}}}
            ]}}]}}]}},{{}}]}}"#
    );
    let (spans, refused) = read_json(&json);
    assert_eq!(refused, []);
    let span = &spans[0];
    assert_eq!(&*span.resource.service(), "web");
    assert_eq!(span.kind, SpanKind::Server);
    assert_eq!(span.duration_nanos(), 1_000_000_000);
    assert_eq!(span.status, SpanStatus::Error("no".into()));
    let expected = [
        Attribute::new("a", 5),
        Attribute::new("b", -6),
        Attribute::new("c", 3.0),
        Attribute::new("d", f64::INFINITY),
        Attribute::new("e", Value::List(Arc::new([]))),
        Attribute::new(
            "f",
            Value::Map(Arc::new([Attribute::new("g", Value::Empty)])),
        ),
        Attribute::new("h", Value::Bytes(Arc::new([0xfb, 0xff]))),
        Attribute::new("i", Value::Empty),
        Attribute::new("j", Value::Empty),
        Attribute::new("k", Value::Empty),
        Attribute::new("", true),
        Attribute::new("l", 1_700_000_000_000_000_000),
        Attribute::new("m", Value::List(Arc::new([Value::Empty, 1.into()]))),
    ];
    assert_eq!(span.attributes, expected);
}

/// As JavaScript writes texts that it has cut in the middle of a character.
#[test]
fn half_a_character_costs_only_itself() {
    let span = |id: &str, fields: &str| {
        format!(r#"{{"traceId":"{TRACE}","spanId":"{id}","name":"n",{fields}}}"#)
    };
    let spans = [
        span("eee19b7ec3c1b174", r#""traceState":"whole""#),
        span("eee19b7ec3c1b175", r#""name":"cut \ud83d","x\ude00":1"#),
        span(
            "eee19b7ec3c1b176",
            r#""attributes":[{"key":"\ude00é","value":{"stringValue":"\ud83d\ude00\ud83d\u0000"}}]"#,
        ),
        span("\\ud83d", r#""flags":1"#),
    ];
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    );
    let (spans, refused) = read_json(&json);
    assert_eq!(refused.len(), 1, "the span without an id");
    assert_eq!(&*spans[0].trace_state, "whole");
    assert_eq!(spans[1].name.to_string(), "cut \u{fffd}");
    let expected = Attribute::new("\u{fffd}é", "😀\u{fffd}\0");
    assert_eq!(spans[2].attributes, [expected]);
}

#[test]
fn every_item_of_a_list_is_counted_before_it_is_made() {
    let json = r#"{"resourceSpans":[{},{"resource":{"attributes":[{}]},"scopeSpans":[null,{"spans":[
        {},null,{"attributes":[{"value":{"arrayValue":{"values":[null,{}]}}}],"events":[{}],"links":[{}]}
    ]}]}]}"#;
    let counts = std::cell::Cell::new((0, 0, 0));
    let count = |item| {
        let (groups, spans, parts) = counts.get();
        counts.set(match item {
            Item::Group => (groups + 1, spans, parts),
            Item::Span => (groups, spans + 1, parts),
            Item::Part => (groups, spans, parts + 1),
        });
        true
    };
    decode_json_counted(json.as_bytes(), &count).unwrap();
    assert_eq!(counts.get(), (4, 3, 6));
    let few = std::cell::Cell::new(0);
    let take = |_| {
        few.set(few.get() + 1);
        few.get() < 3
    };
    assert!(decode_json_counted(json.as_bytes(), &take).is_err());
    assert_eq!(few.get(), 3, "it goes on once it was told not to");
}

#[test]
fn what_is_no_request_is_an_error() {
    for json in [
        "",
        "[]",
        "[]x",
        "{} x",
        "{\"resourceSpans\":[[]]}",
        "{\"resourceSpans\":[{\"schemaUrl\":\"\\ud8\"}]}",
        "{\"resourceSpans\":{}}",
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":5}]}]}]}",
        "{\"resourceSpans\":[",
    ] {
        assert!(decode_json(json.as_bytes()).is_err(), "{json:?} was taken");
    }
    assert!(decode_json(b"{\"resourceSpans\":[{\"schemaUrl\":\"\xed\"}]}").is_err());
    let deep = "[".repeat(100_000);
    assert!(decode_json(format!("{{\"resourceSpans\":{deep}").as_bytes()).is_err());
    assert!(decode(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    assert!(decode(b"\x0a\x03abc").is_err());
}

#[test]
fn a_resource_repeated_for_many_scopes_is_bounded() {
    let request = to_request(&[full_span()]);
    let mut group = request.resource_spans[0].clone();
    let attribute = group.resource.as_ref().unwrap().attributes[0].clone();
    group.resource.as_mut().unwrap().attributes = vec![attribute; 10_000];
    group.scope_spans = vec![group.scope_spans[0].clone(); 200];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![group],
    };
    let (spans, refused) = read(request);
    assert_eq!(spans.len() + refused[0].count as usize, 200);
    assert_eq!(refused[0].reason, RefusedReason::Resource);
    assert!(spans.len() >= 100);
}
