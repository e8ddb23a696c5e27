//! Round trips, and bytes that are no frames.

use std::sync::Arc;

use hopline_wire::span::{Attribute, Links, Span, Value};
use proptest::prelude::*;

use super::*;
use crate::testing::{span, span_id, spans, trace_id};

/// All spans as frames, in one buffer.
fn encode(spans: &[Span]) -> Vec<u8> {
    let mut encoder = FrameEncoder::new();
    let mut out = Vec::new();
    let mut rest = spans;
    while !rest.is_empty() {
        let encoded = encoder.encode(rest, &mut out).unwrap();
        rest = &rest[encoded.spans..];
    }
    out
}

/// Reads frames until the bytes end or are none.
fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some(header) = Header::from_bytes(bytes) {
        let end = HEADER_BYTES + header.length as usize;
        let Some(payload) = bytes.get(HEADER_BYTES..end) else {
            break;
        };
        if !header.fits(payload) {
            break;
        }
        found.push(payload);
        bytes = &bytes[end..];
    }
    found
}

fn read(bytes: &[u8]) -> Vec<Span> {
    let mut out = Vec::new();
    for payload in payloads(bytes) {
        decode(payload, |_, _| true, &mut out).unwrap();
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn spans_come_back_as_they_were(spans in spans()) {
        let bytes = encode(&spans);
        prop_assert_eq!(read(&bytes), spans);
    }

    #[test]
    fn one_trace_is_read_out_of_a_frame_alone(spans in spans()) {
        let bytes = encode(&spans);
        let all = payloads(&bytes);
        for trace in 0..4 {
            let trace = trace_id(trace);
            let expected: Vec<_> = spans.iter().filter(|s| s.trace_id == trace).cloned().collect();
            let mut found = Vec::new();
            decode(all[0], |_, own| own == trace, &mut found).unwrap();
            let named = contents(all[0]).unwrap().traces.contains(&trace);
            prop_assert_eq!(named, !expected.is_empty());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed(spans in spans(), at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut bytes = encode(&spans);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(payloads(&bytes).is_empty());
    }

    /// Past the checksum nothing is trusted either.
    #[test]
    fn damaged_payloads_end_in_spans_or_errors(spans in spans(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&spans);
        let mut payload = bytes[HEADER_BYTES..].to_vec();
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        let mut out = Vec::new();
        let _ = decode(&payload, |_, _| true, &mut out);
        let _ = decode(&payload[..cut.index(payload.len())], |_, _| true, &mut out);
        let _ = contents(&payload);
    }

    #[test]
    fn arbitrary_bytes_end_in_spans_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, |_, _| true, &mut Vec::new());
        let _ = contents(&bytes);
        let _ = Header::from_bytes(&bytes);
    }
}

#[test]
fn many_spans_become_frames_of_bounded_size() {
    let all: Vec<_> = (0..20_000).map(|n| span(n % 3, n)).collect();
    let bytes = encode(&all);
    let frames = payloads(&bytes);
    assert!(frames.len() > 1);
    assert!(frames.iter().all(|payload| payload.len() < 300 << 10));
    assert_eq!(read(&bytes), all);
}

#[test]
fn the_links_of_a_group_commits_statements_are_written_once() {
    let ids: Arc<[_]> = (0..100).map(span_id).collect();
    let statement = |number, ids: &Arc<[_]>| Span {
        links: Links::SameTrace(Arc::clone(ids)),
        ..span(1, number)
    };
    let shared: Vec<_> = (0..10).map(|n| statement(n, &ids)).collect();
    // Those that came in by OTLP are equal, though not shared.
    let equal: Vec<_> = (0..10)
        .map(|n| statement(n, &ids.iter().copied().collect()))
        .collect();
    for spans in [shared, equal] {
        let bytes = encode(&spans);
        assert!(bytes.len() < 800 + 10 * 40, "{} bytes", bytes.len());
        assert_eq!(read(&bytes), spans);
    }
}

#[test]
fn a_value_nested_without_end_is_cut() {
    let mut value = Value::Int(1);
    for _ in 0..1_000 {
        value = Value::List(Arc::new([value]));
    }
    let deep = Span {
        attributes: vec![Attribute::new("deep", value)],
        ..span(1, 1)
    };
    let read = read(&encode(&[deep]));
    let shown = format!("{:?}", read[0].attributes);
    assert!(shown.contains(super::record::TOO_DEEP));
}

#[test]
fn counts_that_cannot_be_true_ask_for_no_memory() {
    // One span said, no traces; then 2^60 texts.
    let mut payload = vec![1, 0];
    payload.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(decode(&payload, |_, _| true, &mut Vec::new()).is_err());
}
