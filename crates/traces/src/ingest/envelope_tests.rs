//! Envelopes as SDKs send them, in every encoding, and a table of bad ones.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::*;

const TRACE: &str = "771a43a4192642f0b136d5159a501700";

fn decode(encoding: Option<&str>, body: &[u8]) -> Result<Received, IngestError> {
    decode_envelope(encoding, body, Some("shop"), &Limits::default(), &|_| true)
}

fn spans(count: usize) -> Vec<u8> {
    let span = json!({"trace_id": TRACE, "span_id": "b7ad6b7169203331", "name": "n", "status": "ok",
        "start_timestamp": 1.5, "end_timestamp": 2, "attributes": {"a": {"type": "string", "value": "b"}}});
    let item = json!({"type": "span", "content_type": "application/vnd.sentry.items.span.v2+json"});
    let payload = json!({"items": vec![span; count]});
    format!("{{}}\n{item}\n{payload}\n").into_bytes()
}

fn written<W: Write>(mut writer: W, bytes: &[u8], finish: impl FnOnce(W) -> Vec<u8>) -> Vec<u8> {
    writer.write_all(bytes).unwrap();
    finish(writer)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    written(writer, bytes, |writer| writer.finish().unwrap())
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    written(writer, bytes, |writer| writer.finish().unwrap())
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    written(writer, bytes, |writer| writer.finish().unwrap())
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

#[test]
fn every_encoding_is_taken() {
    let plain = spans(3);
    for (encoding, body) in [
        (None, plain.clone()),
        (Some("identity"), plain.clone()),
        (Some("gzip"), gzip(&plain)),
        (Some("deflate"), zlib(&plain)),
        (Some("deflate"), raw_deflate(&plain)),
        (Some("zstd"), zstd(&plain)),
        // The same in brotli: written by other hands, since nothing here writes it.
        (Some("br"), brotli_of(&plain)),
    ] {
        let received = decode(encoding, &body).unwrap();
        assert_eq!(received.spans.len(), 3, "{encoding:?}");
        assert_eq!(&*received.spans[0].resource.service(), "shop");
        assert_eq!(received.items["span"], 1);
        assert!(received.malformed.is_empty() && received.refused.is_empty());
    }
}

/// Brotli's format allows stretches that are not compressed (RFC 7932, section 9.2): a header for a window of 64 KiB,
/// one such stretch, and the end.
fn brotli_of(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - 1).unwrap();
    assert!(length < 1 << 16);
    // Window (1 bit: 0), not last (0), four nibbles of length (00), the length, uncompressed (1).
    let head = length << 4 | 1 << 20;
    let mut body = head.to_le_bytes()[..3].to_vec();
    body.extend_from_slice(bytes);
    body.push(0b11);
    body
}

#[test]
fn bad_envelopes_get_the_right_status_and_a_clear_message() {
    let zeros = vec![b' '; (100 << 20) + 1];
    let large = vec![b' '; (20 << 20) + 1];
    let many = spans(100_001);
    let header = format!("{{\"x\":\"{}\"}}\n", "x".repeat(64 << 10)).into_bytes();
    for (encoding, body, status, message) in [
        (Some("compress"), &b"{}"[..], 415, "content encoding"),
        (Some("gzip"), b"{}", 400, "not in its content encoding"),
        (Some("br"), b"{}", 400, "not in its content encoding"),
        (
            Some("zstd"),
            &zstd(b"{}")[..5],
            400,
            "not in its content encoding",
        ),
        (None, b"", 400, "the envelope's header"),
        (None, b"nonsense\n", 400, "the envelope's header"),
        (None, &header, 400, "header is longer"),
        (None, &large, 413, "larger than 20971520"),
        (Some("gzip"), &gzip(&zeros), 413, "larger than 104857600"),
        (Some("zstd"), &zstd(&zeros), 413, "larger than 104857600"),
        (Some("gzip"), &gzip(&many), 413, "more than 100000 spans"),
    ] {
        let error = decode(encoding, body).unwrap_err();
        assert_eq!(error.status(), status, "{encoding:?}: {error}");
        assert!(error.to_string().contains(message), "{encoding:?}: {error}");
    }
}

#[test]
fn what_is_whole_of_a_broken_envelope_is_taken() {
    let mut body = spans(2);
    body.extend_from_slice(b"{\"type\":\"transaction\"}\n{\"no\":\n{\"type\":\"unheard-of\"}\nx\n{\"type\":\"event\",\"length\":99}\n{}");
    let received = decode(None, &body).unwrap();
    assert_eq!(received.spans.len(), 2);
    assert_eq!(received.malformed.len(), 2, "{:?}", received.malformed);
    assert!(received.malformed[0].contains("item 2 (transaction)"));
    assert!(received.malformed[1].contains("said to have 99 bytes"));
    assert_eq!(received.items["other"], 1);
}

#[test]
fn a_hundred_thousand_attributes_cost_little_and_one_too_large_span_nothing_else() {
    let attributes: serde_json::Map<_, _> = (0..100_000)
        .map(|n| (format!("{n}"), json!({"value": 1})))
        .collect();
    let span = |attributes: &serde_json::Value| {
        json!({"trace_id": TRACE, "span_id": "b7ad6b7169203331", "name": "n", "start_timestamp": 1, "end_timestamp": 2,
               "attributes": attributes})
    };
    let item = json!({"type": "span", "content_type": "application/vnd.sentry.items.span.v2+json"});
    let payload = json!({"items": [span(&attributes.into()), span(&json!({}))]});
    let received = decode(None, format!("{{}}\n{item}\n{payload}").as_bytes()).unwrap();
    assert_eq!(received.spans.len(), 1);
    assert_eq!(received.refused[0].reason, RefusedReason::TooLarge);
    // As many as fit are kept, in a time that does not grow with their square.
    let attributes: serde_json::Map<_, _> =
        (0..40_000).map(|n| (format!("{n}"), json!(1))).collect();
    let trace = json!({"trace_id": TRACE, "span_id": "b7ad6b7169203331", "data": attributes});
    let payload = json!({"contexts": {"trace": trace}, "tags": {}, "measurements": attributes, "start_timestamp": 1, "timestamp": 2});
    let received = decode(
        None,
        format!("{{}}\n{{\"type\":\"transaction\"}}\n{payload}").as_bytes(),
    );
    assert!(received.unwrap().spans[0].attributes.len() >= 40_000);
}

#[test]
fn memory_is_asked_for_span_by_span() {
    let body = spans(10_000);
    let asked = std::cell::Cell::new(0);
    let read = |room: usize| {
        asked.set(0);
        let take = |bytes| {
            asked.set(asked.get() + bytes);
            asked.get() <= room
        };
        decode_envelope(None, &body, None, &Limits::default(), &take)
    };
    assert_eq!(read(usize::MAX).unwrap().spans.len(), 10_000);
    assert!(asked.get() > 10_000 * 1_000);
    let error = read(body.len() + (1 << 20)).unwrap_err();
    assert_eq!((error.status(), error.code()), (429, "overloaded"));
    assert!(
        asked.get() < body.len() + (2 << 20),
        "it went on without room"
    );
}

/// How many spans, errors and logs real envelopes of several SDKs hold, and how many of their items are counted only.
#[test]
fn envelopes_of_real_sdks_are_taken_whole() {
    let folder = std::env::var_os("HOPLINE_ENVELOPES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/envelopes"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        eprintln!("not tested: no real envelopes at {}", folder.display());
        return;
    }
    for (name, records, items) in [
        ("ai_sdk_1.txt", 9, "transaction"),
        ("ai_sdk_2.txt", 25, "transaction"),
        ("envelope_astro_ssr_node.txt", 1, "transaction"),
        ("envelope_binary.bin", 1, "attachment event"),
        ("envelope_empty.txt", 0, ""),
        ("envelope_java.txt", 3, "transaction"),
        ("envelope_no_len_w_eof.txt", 0, "attachment"),
        ("envelope_no_len_w_eof_empty_headers.txt", 0, "session"),
        ("envelope_php.txt", 6, "transaction"),
        ("envelope_php_error.txt", 1, "event"),
        ("envelope_php_metrics.txt", 0, "statsd"),
        ("envelope_python.txt", 75, "transaction"),
        ("envelope_with_css.txt", 1, "attachment event"),
        ("envelope_with_only_span.txt", 1, "span"),
        ("large_transaction_1.txt", 78, "transaction"),
        ("large_transaction_2.txt", 28, "transaction"),
        ("large_transaction_3.txt", 82, "transaction"),
        ("large_transaction_4.txt", 49, "transaction"),
        ("large_transaction_5.txt", 40, "transaction"),
        ("log_envelope.txt", 7, "log"),
        // The ids of its three spans are no hexadecimal numbers.
        ("profiled_transaction.txt", 1, "transaction"),
    ] {
        let body = std::fs::read(folder.join(name)).unwrap();
        let received = decode(None, &body).unwrap();
        let kinds: Vec<_> = received.items.keys().copied().collect();
        assert_eq!(kinds.join(" "), items, "{name}: {:?}", received.malformed);
        assert_eq!(
            received.spans.len(),
            records,
            "{name}: {:?}",
            received.refused
        );
        assert!(
            received.malformed.is_empty(),
            "{name}: {:?}",
            received.malformed
        );
        let refused: u64 = received.refused.iter().map(|refused| refused.count).sum();
        assert_eq!(
            refused,
            if name.starts_with("profiled") { 3 } else { 0 },
            "{name}"
        );
        for span in &received.spans {
            let is_record = span.attribute("hopline.record").is_some();
            assert!(
                !span.name.is_empty() && (is_record || span.end >= span.start),
                "{name}: {span:?}"
            );
        }
    }
}
