//! Envelopes and items as the documentation and the SDKs write them, and tables of bad ones.

use serde_json::json;

use super::envelope::Malformed;
use super::spans::Source;
use super::*;
use crate::span::{Links, SpanKind, SpanStatus, Value};

const TRACE: &str = "771a43a4192642f0b136d5159a501700";

fn read_all(envelope: &str) -> Result<Taken, String> {
    let envelope = Envelope::read(envelope.as_bytes()).map_err(|error| error.to_string())?;
    let source = Source {
        header: &envelope.header,
        service: None,
        received: crate::Timestamp::from_millis(7_000),
        span_bytes: 4_096,
    };
    let mut taken = Taken::default();
    for item in envelope.items() {
        let item = item.map_err(|error| error.to_string())?;
        let read = match notes::holds_notes(&item.header.kind) {
            true => notes::read(&item, &source, &|_| true, &mut taken),
            false => spans::read(&item, &source, &|_| true, &mut taken),
        };
        read.map_err(|error| error.to_string())?;
    }
    Ok(taken)
}

/// An envelope of one item.
fn one(header: serde_json::Value, item: serde_json::Value, payload: serde_json::Value) -> Taken {
    read_all(&format!("{header}\n{item}\n{payload}\n")).unwrap()
}

fn second_version(span: serde_json::Value) -> Taken {
    let item = json!({"type": "span", "item_count": 1, "content_type": "application/vnd.sentry.items.span.v2+json"});
    one(json!({}), item, json!({"items": [span]}))
}

fn minimal() -> serde_json::Value {
    json!({"trace_id": TRACE, "span_id": "b7ad6b7169203331", "name": "n", "status": "ok",
        "start_timestamp": 1.5, "end_timestamp": 2})
}

fn text(span: &Span, key: &str) -> String {
    match span.attribute(key) {
        Some(Value::Text(text)) => text.to_string(),
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn items_end_where_their_length_or_their_line_does() {
    let kinds = |envelope: &str| -> Result<Vec<(String, String)>, String> {
        let envelope = Envelope::read(envelope.as_bytes()).map_err(|error| error.to_string())?;
        let items = envelope.items().map(|item| {
            let item = item.map_err(|error: Malformed| error.to_string())?;
            let payload = String::from_utf8_lossy(item.payload).into_owned();
            Ok((item.header.kind, payload))
        });
        items.collect()
    };
    let pair = |kind: &str, payload: &str| (kind.to_owned(), payload.to_owned());
    for (envelope, items) in [
        ("{}", vec![]),
        ("{}\n", vec![]),
        ("{}\r\n\r\n{\"type\":\"a\"}\r\nx\r\n", vec![pair("a", "x")]),
        (
            "{}\n{\"type\":\"a\",\"length\":0}\n\n{\"type\":\"b\"}\n",
            vec![pair("a", ""), pair("b", "")],
        ),
        (
            "{}\n{\"type\":\"a\",\"length\":3}\nx\ny\n{\"type\":\"b\"}\nz",
            vec![pair("a", "x\ny"), pair("b", "z")],
        ),
        ("{}\n\n\n{\"type\":\"a\"}\nx\n\n", vec![pair("a", "x")]),
    ] {
        assert_eq!(kinds(envelope), Ok(items), "{envelope:?}");
    }
    for (envelope, told) in [
        ("", "envelope's header"),
        ("[]\n", "envelope's header"),
        ("{}\nx\n", "header of item 1"),
        ("{}\n{}\nx\n", "names no type"),
        (
            "{}\n{\"type\":\"a\",\"length\":9}\nx\n",
            "9 bytes, and 2 are there",
        ),
        (
            "{}\n{\"type\":\"a\",\"length\":18446744073709551615}\nx\n",
            "are there",
        ),
        (
            "{}\n{\"type\":\"a\",\"length\":1}\nxy\n",
            "goes on behind the 1 bytes",
        ),
        (
            "{}\n{\"type\":\"a\",\"length\":-1}\nxy\n",
            "header of item 1",
        ),
    ] {
        let error = kinds(envelope).unwrap_err();
        assert!(error.contains(told), "{envelope:?}: {error}");
    }
}

#[test]
fn the_items_before_a_bad_one_stand() {
    let envelope =
        "{}\n{\"type\":\"a\"}\nx\n{\"type\":\"b\",\"length\":9}\ny\n{\"type\":\"c\"}\nz\n";
    let items: Vec<_> = Envelope::read(envelope.as_bytes())
        .unwrap()
        .items()
        .collect();
    assert_eq!(items[0].as_ref().unwrap().payload, b"x");
    assert!(items.len() == 2 && items[1].is_err());
}

#[test]
fn the_key_stands_in_the_dsn() {
    for (dsn, key) in [
        ("https://abc@o1.ingest.sentry.io/42", Some("abc")),
        ("https://abc:@sentry.io/42", Some("abc")),
        ("http://abc:secret@127.0.0.1:4700/1", Some("abc")),
        ("https://sentry.io/42", None),
        ("https://@sentry.io/42", None),
        ("abc", None),
    ] {
        let header = Header {
            dsn: Some(dsn.into()),
            ..Header::default()
        };
        assert_eq!(header.dsn_key(), key, "{dsn}");
    }
}

#[test]
fn a_span_of_the_second_version_keeps_all_it_says() {
    let taken = second_version(json!({
        "trace_id": TRACE, "span_id": "b7ad6b7169203331", "parent_span_id": "00f067aa0ba902b7",
        "name": "GET /", "status": "error", "is_segment": true, "kind": "server",
        "start_timestamp": 1742921669.158, "end_timestamp": "2025-03-25T16:54:29.5Z",
        "attributes": {
            "sentry.op": {"type": "string", "value": "http.server"},
            "sentry.status.message": {"type": "string", "value": "it broke"},
            "service.name": {"type": "string", "value": "shop"},
            "sentry.sdk.name": {"type": "string", "value": "sentry.x"},
            "whole": {"type": "integer", "value": 7}, "part": {"type": "double", "value": 7},
            "yes": {"type": "boolean", "value": true}, "list": {"type": "array", "value": ["a", 1]},
            "event.seq": {"type": "integer", "value": 4}, "event.type": {"type": "string", "value": "ack"},
        },
        "links": [
            {"trace_id": TRACE, "span_id": "00f067aa0ba902b8", "sampled": true,
             "attributes": {"sentry.link.type": {"type": "string", "value": "previous_trace"}}},
            {"trace_id": "zeros", "span_id": "00f067aa0ba902b8"},
        ],
    }));
    let [span] = &taken.spans[..] else {
        panic!("{taken:?}")
    };
    assert_eq!(span.trace_id.to_string(), TRACE);
    assert_eq!(span.parent_id.unwrap().to_string(), "00f067aa0ba902b7");
    assert_eq!(span.name.to_string(), "GET /");
    assert_eq!((&*span.op, span.kind), ("http.server", SpanKind::Server));
    assert_eq!(span.status, SpanStatus::Error("it broke".into()));
    assert_eq!(span.end.as_millis(), 1_742_921_669_500);
    for (key, value) in [
        ("whole", Value::Int(7)),
        ("part", Value::Double(7.0)),
        ("yes", Value::Bool(true)),
        (
            "list",
            Value::List([Value::from("a"), Value::Int(1)].into()),
        ),
        ("event.seq", Value::Int(4)),
        (kept::IS_SEGMENT, Value::Bool(true)),
    ] {
        assert_eq!(span.attribute(key), Some(value), "{key}");
    }
    assert_eq!(span.event.as_ref().unwrap().seq, 4);
    assert_eq!(&*span.resource.service(), "shop");
    let Links::Any(links) = &span.links else {
        panic!("{:?}", span.links)
    };
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].attributes.len(), 2);
    assert_eq!(
        taken.refused,
        [Refused {
            reason: RefusedReason::Link,
            count: 1
        }]
    );
}

#[test]
fn every_digit_of_a_time_counts() {
    for (written, nanos) in [
        ("1742921669.158209123", 1_742_921_669_158_209_123),
        ("1742921669.1582091239", 1_742_921_669_158_209_123),
        ("1742921669", 1_742_921_669_000_000_000),
        ("1.5e3", 1_500_000_000_000),
        ("\"1970-01-01T00:00:01.000000001Z\"", 1_000_000_001),
        ("\"1970-01-01T00:00:01.5\"", 1_500_000_000),
    ] {
        let mut span = minimal();
        span["start_timestamp"] = json!("here");
        let line = json!({"items": [span]})
            .to_string()
            .replace("\"here\"", written);
        let item =
            json!({"type": "span", "content_type": "application/vnd.sentry.items.span.v2+json"});
        let taken = read_all(&format!("{{}}\n{item}\n{line}")).unwrap();
        assert_eq!(taken.spans[0].start.as_nanos(), nanos, "{written}");
    }
}

#[test]
fn a_bad_span_is_refused_alone_and_by_its_reason() {
    for (field, value, reason) in [
        (
            "trace_id",
            json!("00000000000000000000000000000000"),
            RefusedReason::TraceId,
        ),
        ("trace_id", json!("771a"), RefusedReason::TraceId),
        ("span_id", json!("0000000000000000"), RefusedReason::SpanId),
        ("parent_span_id", json!("x"), RefusedReason::ParentId),
        ("start_timestamp", json!(-1), RefusedReason::Time),
        ("start_timestamp", json!(1e300), RefusedReason::Time),
        ("start_timestamp", json!("yesterday"), RefusedReason::Time),
        ("start_timestamp", json!([]), RefusedReason::Time),
        ("start_timestamp", json!([1.5, 2]), RefusedReason::Time),
        (
            "end_timestamp",
            json!(99_999_999_999_999_u64),
            RefusedReason::Time,
        ),
        ("span_id", json!(5), RefusedReason::Malformed),
        ("attributes", json!([1]), RefusedReason::Malformed),
        (
            "attributes",
            json!({"x": {"type": "string", "value": "y".repeat(5_000)}}),
            RefusedReason::TooLarge,
        ),
    ] {
        let mut bad = minimal();
        bad[field] = value.clone();
        let item =
            json!({"type": "span", "content_type": "application/vnd.sentry.items.span.v2+json"});
        let taken = one(
            json!({}),
            item,
            json!({"items": [minimal(), bad, minimal()]}),
        );
        assert_eq!(taken.spans.len(), 2, "{field}: {value}");
        assert_eq!(
            taken.refused,
            [Refused { reason, count: 1 }],
            "{field}: {value}"
        );
    }
}

#[test]
fn a_span_without_an_end_is_unfinished_and_one_that_ends_early_is_kept() {
    let mut span = minimal();
    span["end_timestamp"] = json!(null);
    let taken = second_version(span);
    assert!(taken.spans[0].pending && taken.spans[0].end == taken.spans[0].start);
    let mut span = minimal();
    span["end_timestamp"] = json!(1);
    let taken = second_version(span);
    assert_eq!(taken.spans[0].end.as_millis(), 1_000);
}

#[test]
fn a_transaction_is_a_span_and_so_are_those_in_it() {
    let header = json!({"event_id": "9ec79c33ec9942ab8353589fcb2e04dc", "sdk": {"name": "sentry.x", "version": "1"},
        "trace": {"trace_id": TRACE, "public_key": "k", "sample_rate": "0.25", "nested": {}}});
    let taken = one(
        header,
        json!({"type": "transaction"}),
        json!({
            "type": "transaction", "transaction": "/checkout", "transaction_info": {"source": "route"},
            "release": "shop@1.2", "environment": "prod", "server_name": "box", "platform": "python",
            "start_timestamp": 10.0, "timestamp": 12.5, "tags": {"tier": "gold"}, "user": {"id": 7, "email": "a@b.example"},
            "measurements": {"lcp": {"value": 3, "unit": "millisecond"}},
            "contexts": {"trace": {"trace_id": "771A43A4-1926-42F0-B136-D5159A501700", "span_id": "b7ad6b7169203331", "op": "http.server",
                                   "status": "not_found", "origin": "auto", "data": {"n": 1, "otel.kind": "SERVER"}}},
            "request": {"headers": {"Cookie": "secret"}},
            "spans": [
                {"span_id": "00f067aa0ba902b7", "parent_span_id": "b7ad6b7169203331", "op": "db", "description": "SELECT 1",
                 "start_timestamp": 10.5, "timestamp": 11, "status": "ok", "data": {"db.system": "sqlite"}, "tags": {"db.system": "other", "t": "1"}},
                {"span_id": "00f067aa0ba902b8", "op": "cache.get", "status": "cancelled", "start_timestamp": 10.5, "timestamp": 11},
                {"span_id": "short", "start_timestamp": 1, "timestamp": 1},
            ],
        }),
    );
    let [root, query, cache] = &taken.spans[..] else {
        panic!("{taken:?}")
    };
    assert_eq!(root.name.to_string(), "/checkout");
    assert_eq!((&*root.op, root.kind), ("http.server", SpanKind::Server));
    assert_eq!(root.status, SpanStatus::Error("not_found".into()));
    assert_eq!(root.duration_nanos(), 2_500_000_000);
    assert_eq!(&*root.resource.service(), "shop");
    for (key, value) in [
        (kept::SOURCE, "route"),
        (kept::RELEASE, "shop@1.2"),
        (kept::ENVIRONMENT, "prod"),
        (kept::SERVER, "box"),
        (kept::PLATFORM, "python"),
        (kept::ORIGIN, "auto"),
        ("tier", "gold"),
        ("measurements.lcp.unit", "millisecond"),
    ] {
        assert_eq!(text(root, key), value, "{key}");
    }
    assert_eq!(root.attribute("measurements.lcp"), Some(Value::Double(3.0)));
    assert_eq!(root.attribute("user.id"), Some(Value::Int(7)));
    assert!(!format!("{root:?}").contains("secret"));
    assert_eq!(query.name.to_string(), "SELECT 1");
    assert_eq!((&*query.op, &query.status), ("db", &SpanStatus::Ok));
    assert_eq!(
        (text(query, "db.system"), text(query, "t")),
        ("sqlite".into(), "1".into())
    );
    assert_eq!(query.resource, root.resource);
    assert_eq!(
        (cache.name.to_string(), &cache.status),
        ("cache.get".into(), &SpanStatus::Unset)
    );
    assert_eq!(text(cache, kept::STATUS), "cancelled");
    for span in &taken.spans {
        assert_eq!(span.trace_id.to_string(), TRACE);
        assert_eq!(span.attribute(kept::SAMPLE_RATE), Some(Value::Double(0.25)));
    }
    assert_eq!(
        taken.refused,
        [Refused {
            reason: RefusedReason::SpanId,
            count: 1
        }]
    );
}

#[test]
fn a_large_transaction_is_measured_without_its_spans() {
    let span = json!({"span_id": "00f067aa0ba902b7", "description": "x".repeat(1_000), "start_timestamp": 1, "timestamp": 2});
    let spans = |count: usize, data: usize| {
        one(
            json!({}),
            json!({"type": "transaction"}),
            json!({
            "contexts": {"trace": {"trace_id": TRACE, "span_id": "b7ad6b7169203331", "data": {"x": "y".repeat(data)}}},
            "start_timestamp": 1, "timestamp": 2, "spans": vec![span.clone(); count]}),
        )
    };
    assert_eq!(spans(50, 1).spans.len(), 51);
    let taken = spans(1, 5_000);
    // Without the transaction nobody knows the trace of a span that does not name it.
    assert!(taken.spans.is_empty());
    assert_eq!(taken.refused.len(), 2, "{taken:?}");
}

#[test]
fn an_error_is_a_record_under_its_span() {
    let taken = one(
        json!({"event_id": "9ec79c33ec9942ab8353589fcb2e04dc"}),
        json!({"type": "event"}),
        json!({
            "timestamp": 5, "level": "fatal", "logentry": {"formatted": "told"}, "release": "1",
            "exception": {"values": [{"type": "Cause", "value": "c"},
                                     {"type": "E", "value": "went wrong\nbadly", "stacktrace": {"frames": [{"lineno": 3}]}}]},
            "contexts": {"trace": {"trace_id": TRACE, "span_id": "b7ad6b7169203331"}, "os": {"name": "linux"}},
            "breadcrumbs": {"values": []}, "tags": [["a", "b"]],
        }),
    );
    let [error] = &taken.spans[..] else {
        panic!("{taken:?}")
    };
    assert_eq!(error.name.to_string(), "E: went wrong");
    assert_eq!((&*error.op, error.duration_nanos()), ("event", 0));
    assert_eq!(error.parent_id.unwrap().to_string(), "b7ad6b7169203331");
    assert!(error.status.is_error());
    for (key, value) in [
        (kept::RECORD, "event"),
        ("sentry.event_id", "9ec79c33ec9942ab8353589fcb2e04dc"),
        ("level", "fatal"),
        ("message", "told"),
        ("sentry.contexts", "{\"os\":{\"name\":\"linux\"}}"),
    ] {
        assert_eq!(text(error, key), value, "{key}");
    }
    assert_eq!(text(error, "a"), "b");
    assert_eq!(error.events.len(), 2);
    assert_eq!(error.events[1].attributes.len(), 3);

    let alone = one(
        json!({}),
        json!({"type": "event"}),
        json!({
        "event_id": "9ec79c33ec9942ab8353589fcb2e04dc", "message": "m", "level": "info"}),
    );
    assert_eq!(
        alone.spans[0].trace_id.to_string(),
        "9ec79c33ec9942ab8353589fcb2e04dc"
    );
    assert!(!alone.spans[0].status.is_error());
}

#[test]
fn the_same_log_sent_twice_is_one_record() {
    let log = json!({"timestamp": 5.25, "trace_id": TRACE, "level": "error", "severity_number": 17, "body": "b".repeat(300),
        "attributes": {"sentry.trace.parent_span_id": {"type": "string", "value": "b7ad6b7169203331"},
                       "n": {"type": "integer", "value": 1}}});
    let other = json!({"timestamp": 5.25, "trace_id": TRACE, "body": "x"});
    let item = json!({"type": "log", "item_count": 3, "content_type": "application/vnd.sentry.items.log+json"});
    let taken = one(
        json!({}),
        item,
        json!({"items": [log, log, other, {"body": "lost", "timestamp": 1}]}),
    );
    let [first, second, third] = &taken.spans[..] else {
        panic!("{taken:?}")
    };
    assert_eq!(first, second);
    assert_ne!(first.span_id, third.span_id);
    assert_eq!(first.parent_id.unwrap().to_string(), "b7ad6b7169203331");
    assert_eq!((first.name.len(), text(first, "message").len()), (256, 300));
    assert!(first.status.is_error() && !third.status.is_error());
    assert_eq!(
        taken.refused,
        [Refused {
            reason: RefusedReason::TraceId,
            count: 1
        }]
    );
}

#[test]
fn a_report_of_losses_is_read() {
    let report = br#"{"timestamp": 1, "discarded_events": [{"reason": "sample_rate", "category": "span", "quantity": 12}]}"#;
    let lost = spans::lost_by_client(report).unwrap();
    assert_eq!(lost, [("sample_rate".to_owned(), "span".to_owned(), 12)]);
    assert!(spans::lost_by_client(b"{\"discarded_events\": 5}").is_err());
}

#[test]
fn spans_written_for_sentry_are_read_back_as_they_were() {
    use crate::span::{Attribute, EventKeys, Link, Resource, SpanEvent};
    let attribute = |key: &'static str, value: Value| Attribute::new(key, value);
    let trace_id = TRACE.parse().unwrap();
    let span_id = |number: u8| crate::SpanId::from_bytes([number; 8]).unwrap();
    let plain = Span {
        trace_id,
        span_id: span_id(1),
        parent_id: None,
        name: "handleCommand.start-build".into(),
        op: "runner.command".into(),
        kind: SpanKind::Consumer,
        start: crate::Timestamp::from_nanos(1_790_000_000_123_456_789),
        end: crate::Timestamp::from_nanos(1_790_000_001_000_000_001),
        status: SpanStatus::Ok,
        pending: false,
        event: None,
        attributes: vec![attribute(kept::IS_SEGMENT, true.into())],
        links: Links::None,
        events: Vec::new(),
        trace_state: "ot=th:8".to_owned().into(),
        resource: Resource {
            attributes: vec![attribute("service.name", "hopline-runner".into())],
            ..Resource::default()
        }
        .into(),
    };
    let full = Span {
        span_id: span_id(2),
        parent_id: Some(span_id(1)),
        op: "db.query".into(),
        kind: SpanKind::Client,
        status: SpanStatus::Error("it broke".to_owned().into()),
        event: Some(EventKeys {
            event_type: "build-stream".into(),
            project_id: "p".to_owned().into(),
            command_id: "c".to_owned().into(),
            session_id: "s".to_owned().into(),
            seq: 7,
        }),
        attributes: vec![
            attribute("a.text", "\u{0}\n\"".into()),
            attribute("b.whole", i64::MIN.into()),
            attribute("c.double", 3.0.into()),
            attribute("d.truth", false.into()),
            attribute("e.list", Value::List(["x".into(), "y".into()].into())),
            attribute(kept::IS_SEGMENT, false.into()),
        ],
        links: Links::Any(vec![Link {
            trace_id,
            span_id: span_id(9),
            attributes: vec![attribute("why", "shared".into())],
        }]),
        events: vec![SpanEvent {
            at: crate::Timestamp::from_nanos(1_790_000_000_999_999_999),
            name: "exception".into(),
            attributes: vec![attribute("attempt", 2_i64.into())],
        }],
        ..plain.clone()
    };
    let context = crate::baggage::SamplingContext::default();
    let envelope = write::spans(&context, [&plain, &full].into_iter());
    let taken = read_all(std::str::from_utf8(&envelope).unwrap()).unwrap();
    assert!(taken.refused.is_empty(), "{:?}", taken.refused);
    let sorted = |span: &Span| {
        let mut span = span.clone();
        // Beside what it had it says in Sentry's words what has a field of its own, and what its maker is.
        span.attributes
            .retain(|attribute| ![kept::KIND, "service.name"].contains(&&*attribute.key));
        span.attributes
            .sort_by(|one, other| one.key.cmp(&other.key));
        span.resource = Resource {
            attributes: vec![attribute(
                "service.name",
                span.resource.service().to_string().into(),
            )],
            ..Resource::default()
        }
        .into();
        span
    };
    let read: Vec<_> = taken.spans.iter().map(sorted).collect();
    assert_eq!(read, [sorted(&plain), sorted(&full)]);
}
