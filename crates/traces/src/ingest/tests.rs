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
    decode_otlp(content_type, encoding, body, &Limits::default())
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
    let objects = "{".repeat(1_000_001);
    let large = vec![b' '; (20 << 20) + 1];
    type Case<'a> = (Option<&'a str>, Option<&'a str>, &'a [u8], u16, &'a str);
    let cases: [Case<'_>; 14] = [
        (None, None, b"", 415, "content type"),
        (Some("text/plain"), None, b"{}", 415, "content type"),
        (Some("application/jsonx"), None, b"{}", 415, "content type"),
        (JSON, Some("br"), b"{}", 415, "content encoding"),
        (JSON, Some("gzip, gzip"), b"{}", 415, "content encoding"),
        (JSON, Some("gzip"), b"{}", 400, "no gzip"),
        (JSON, Some("gzip"), &cut, 400, "no gzip"),
        (JSON, Some("gzip"), &bomb, 413, "larger than 104857600"),
        (JSON, None, &large, 413, "larger than 20971520"),
        (JSON, None, b"{\"resourceSpans\":", 400, "read the spans"),
        (JSON, None, objects.as_bytes(), 413, "more than 1000000"),
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
