//! Good bodies in every form, and a table of bad ones.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hopline_wire::span::{EventKeys, Links};
use proptest::prelude::*;

use super::*;
use crate::testing::{span, spans};

/// A span in the form that reading gives: what says nothing is not there.
fn plain(mut span: Span) -> Span {
    if let Some(keys) = &mut span.event {
        keys.seq &= u64::MAX >> 1;
    }
    span.event = span.event.filter(|keys| *keys != EventKeys::default());
    if let Links::Any(links) = &span.links
        && links
            .iter()
            .all(|link| link.trace_id == span.trace_id && link.attributes.is_empty())
    {
        span.links = Links::SameTrace(links.iter().map(|link| link.span_id).collect());
    }
    span
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_span_comes_through_otlp_without_loss(spans in spans()) {
        for span in spans.into_iter().map(plain) {
            let request = otlp::to_request(std::slice::from_ref(&span));
            for (content_type, body) in [
                (PROTOBUF, otlp::encode(&request)),
                (JSON, otlp::encode_json(&request)),
            ] {
                let decoded = decode(content_type, None, &body).unwrap();
                prop_assert_eq!(&decoded.spans[..], std::slice::from_ref(&span));
            }
        }
    }

    /// Spans are read without the messages that they come in; what comes of it is what comes of those.
    #[test]
    fn spans_are_read_as_by_way_of_their_messages(spans in spans()) {
        let body = otlp::encode(&otlp::to_request(&spans));
        let (mut own, mut expected) = (Vec::new(), Vec::new());
        let refused = otlp::decode_spans(&body, usize::MAX, &|_| true, &mut own).unwrap();
        let messages = otlp::decode(&body).unwrap();
        prop_assert_eq!(refused, otlp::from_request(messages, &mut expected));
        prop_assert_eq!(own, expected);
    }

    #[test]
    fn damaged_bodies_end_in_spans_or_errors(spans in spans(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let request = otlp::to_request(&spans);
        for (content_type, mut body) in [
            (PROTOBUF, otlp::encode(&request)),
            (JSON, otlp::encode_json(&request)),
        ] {
            for (at, byte) in &damage {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            let _ = decode(content_type, None, &body);
            let _ = decode(content_type, Some("gzip"), &body);
        }
    }
}

const PROTOBUF: Option<&str> = Some("application/x-protobuf");
const JSON: Option<&str> = Some("application/json; charset=utf-8");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn decode(
    content_type: Option<&str>,
    encoding: Option<&str>,
    body: &[u8],
) -> Result<Decoded, IngestError> {
    decode_otlp(content_type, encoding, body, &Limits::default(), &|_| true)
}

#[test]
fn protobuf_and_json_come_in_plain_and_gzipped() {
    let spans: Vec<_> = (0..5).map(|n| span(1, n)).collect();
    let request = otlp::to_request(&spans);
    let bodies = [
        (PROTOBUF, otlp::encode(&request)),
        (Some("Application/Protobuf"), otlp::encode(&request)),
        (JSON, otlp::encode_json(&request)),
    ];
    for (content_type, body) in bodies {
        for (encoding, body) in [
            (None, body.clone()),
            (Some("identity"), body.clone()),
            (Some("GZIP"), gzip(&body)),
        ] {
            let decoded = decode(content_type, encoding, &body).unwrap();
            assert_eq!(decoded.spans, spans);
            assert!(decoded.refused.is_empty());
        }
    }
}

#[test]
fn bad_bodies_get_the_right_status_and_a_clear_message() {
    let cut = gzip(b"{}")[..8].to_vec();
    let bomb = gzip(&vec![0; (100 << 20) + 1]);
    assert!(bomb.len() < 1 << 20);
    let many = [0x12, 0x00].repeat(200_000);
    let mut spans = vec![0x0a, 0x84, 0xb5, 0x18, 0x12, 0x80, 0xb5, 0x18];
    spans.extend(&many);
    let group = [&[0x0b][..], &vec![0; 300 << 10]].concat();
    let empty = in_json(&["{}"; 100_000]);
    let texts = format!("{{\"x\":\"{}\"}}", "x".repeat(60 << 20));
    let texts = gzip(in_json(&[&texts, &"[],".repeat(20 << 20)]).as_bytes());
    let values = in_json(&[&format!(
        r#"{{"attributes":[{{"value":{{"arrayValue":{{"values":[{}null]}}}}}}]}}"#,
        "null,".repeat(1_000_000)
    )]);
    let large = vec![b' '; (20 << 20) + 1];
    type Case<'a> = (Option<&'a str>, Option<&'a str>, &'a [u8], u16, &'a str);
    let cases: [Case<'_>; 18] = [
        (None, None, b"", 415, "content type"),
        (Some("text/plain"), None, b"{}", 415, "content type"),
        (Some("application/jsonx"), None, b"{}", 415, "content type"),
        (JSON, Some("compress"), b"{}", 415, "content encoding"),
        (
            JSON,
            Some("zstd"),
            b"{}",
            400,
            "not in its content encoding",
        ),
        (JSON, Some("gzip, gzip"), b"{}", 415, "content encoding"),
        (
            JSON,
            Some("gzip"),
            b"{}",
            400,
            "not in its content encoding",
        ),
        (JSON, Some("gzip"), &cut, 400, "not in its content encoding"),
        (JSON, Some("gzip"), &bomb, 413, "larger than 104857600"),
        (JSON, None, &large, 413, "larger than 20971520"),
        (JSON, None, b"{\"resourceSpans\":", 400, "read the spans"),
        (JSON, None, empty.as_bytes(), 413, "more than 100000 spans"),
        (JSON, None, values.as_bytes(), 413, "more than 1000000 attr"),
        (JSON, None, b"{\"resourceSpans\":[[]]}", 400, "an object"),
        (JSON, Some("gzip"), &texts, 413, "bytes"),
        (PROTOBUF, None, b"\xff\xff", 400, "read the spans"),
        (PROTOBUF, None, &spans, 413, "more than 100000 spans"),
        (PROTOBUF, None, &group, 400, "group"),
    ];
    for (number, (content_type, encoding, body, status, message)) in cases.into_iter().enumerate() {
        let error = decode(content_type, encoding, body).unwrap_err();
        assert_eq!(error.status(), status, "case {number}: {error}");
        assert!(error.to_string().contains(message), "{number}: {error}");
    }
}

/// A request with these spans.
fn in_json(spans: &[&str]) -> String {
    let spans = spans.join(",");
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#)
}

#[test]
fn memory_is_asked_for_before_it_is_taken() {
    let json = in_json(&["{}"; 50_000]);
    let mut protobuf = vec![0x0a, 0xa4, 0x8d, 0x06, 0x12, 0xa0, 0x8d, 0x06];
    protobuf.extend([0x12, 0x00].repeat(50_000));
    for (content_type, body) in [(JSON, json.as_bytes()), (PROTOBUF, &protobuf)] {
        let decode = |encoding, body: &[u8], room: usize| {
            let asked = std::cell::Cell::new(0);
            let take = |bytes| {
                asked.set(asked.get() + bytes);
                asked.get() <= room
            };
            let decoded = decode_otlp(content_type, encoding, body, &Limits::default(), &take);
            (decoded, asked.get())
        };
        for (encoding, body) in [(None, body.to_vec()), (Some("gzip"), gzip(body))] {
            let (decoded, all) = decode(encoding, &body, usize::MAX);
            assert_eq!(decoded.unwrap().refused[0].count, 50_000);
            // The messages and our own spans.
            assert!(all > 50_000 * 500, "asked for {all} bytes only");
            let (decoded, asked) = decode(encoding, &body, all - 1);
            let error = decoded.unwrap_err();
            assert_eq!((error.status(), error.code()), (429, "overloaded"));
            assert_eq!(asked, all);
        }
        // It does not go on once there is no room.
        let (decoded, asked) = decode(None, body, 1 << 20);
        assert_eq!(decoded.unwrap_err().status(), 429);
        assert!(asked < 2 << 20);
    }
}

#[test]
fn an_enormous_span_is_refused_alone() {
    let mut spans: Vec<_> = (0..3).map(|n| span(1, n)).collect();
    spans[1].name = "x".repeat(2 << 20).into();
    let body = otlp::encode(&otlp::to_request(&spans));
    let decoded = decode(PROTOBUF, None, &body).unwrap();
    assert_eq!(decoded.spans, [span(1, 0), span(1, 2)]);
    let reason = RefusedReason::TooLarge;
    assert_eq!(decoded.refused, [Refused { reason, count: 1 }]);
}

#[test]
fn the_answer_tells_what_was_refused_in_the_senders_format() {
    assert_eq!(response(Format::Protobuf, &[]), b"");
    assert_eq!(response(Format::Json, &[]), b"{}");
    let reason = RefusedReason::SpanId;
    let refused = [Refused { reason, count: 3 }];
    let json: serde_json::Value =
        serde_json::from_slice(&response(Format::Json, &refused)).unwrap();
    assert_eq!(json["partialSuccess"]["rejectedSpans"], "3");
    let bytes = response(Format::Protobuf, &refused);
    // partial_success { rejected_spans: 3 …
    assert_eq!((bytes[0], &bytes[2..4]), (0x0a, &[0x08, 3][..]));
    assert_eq!(error_response(Format::Protobuf, "no"), b"\x12\x02no");
    assert_eq!(error_response(Format::Json, "no"), b"{\"message\":\"no\"}");
}
