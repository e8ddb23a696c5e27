//! Hostile messages: nothing makes a parser panic or take memory out of proportion, and what one has read another reads
//! the same. See the crate `hopline-fuzz`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;

use bytes::Bytes;
use hopline_fuzz::{Bound, fuzz};
use hopline_wire::baggage::Baggage;
use hopline_wire::carrier::CarrierRef;
use hopline_wire::command::{Command, StartBuild};
use hopline_wire::event::EventHead;
use hopline_wire::ingest::IngestReply;
use hopline_wire::limits::{MAX_BAGGAGE_BYTES, MAX_BAGGAGE_ENTRIES};
use hopline_wire::link::LinkFrame;
use hopline_wire::otlp;
use hopline_wire::part::{Part, Plan};
use hopline_wire::sentry::spans::{self, Source};
use hopline_wire::sentry::{Envelope, Taken, notes};
use hopline_wire::splice::{self, Stamp};
use hopline_wire::{SentryTrace, w3c};
use prost::Message as _;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

/// Three bytes, `{},`, are a handle of 32 bytes in a list that may be growing: half empty, beside the one it grows from.
const HANDLES: Bound = Bound {
    base: 64 << 10,
    factor: 64,
};

/// Two bytes, `0,`, are a `serde_json::Value` of 32 bytes; so are six, `"":0,`, a map's entry of more.
const VALUES: Bound = Bound {
    base: 64 << 10,
    factor: 160,
};

/// Three bytes, `{},`, are a span of several hundred.
const SPANS: Bound = Bound {
    base: 64 << 10,
    factor: 1_024,
};

#[test]
fn fuzz_events() {
    let stamp = Stamp {
        carrier: Some(r#"{"trace":"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"}"#),
        runner_id: "runner",
        bound: true,
        link: "link",
        link_seq: 9,
    };
    fuzz(&corpus("events"), HANDLES, |input| {
        let Ok(events) = splice::split(&Bytes::copy_from_slice(input)) else {
            return;
        };
        for event in events {
            let event = std::str::from_utf8(&event).expect("what is split out is a text");
            let head = EventHead::read(event);
            let mut stamped = Vec::new();
            if splice::stamp(event, &stamp, &mut stamped).is_err() {
                continue;
            }
            let stamped = String::from_utf8(stamped).expect("what is stamped stays a text");
            // Whatever it said before, it now says where it came from, and nothing else has changed.
            match (head, EventHead::read(&stamped)) {
                (Ok(before), Ok(after)) => {
                    assert_eq!((before.kind, before.seq), (after.kind.clone(), after.seq));
                    assert_eq!(
                        (after.runner_id.as_deref(), after.runner_bound),
                        (Some("runner"), true)
                    );
                    assert_eq!(
                        (after.link.as_deref(), after.link_seq),
                        (Some("link"), Some(9))
                    );
                }
                (_, Err(bad)) => {
                    assert_eq!(bad.runner_id.as_deref(), Some("runner"), "{event}");
                    assert!(bad.runner_bound, "{event}");
                }
                // One that was wrong in what the stamp replaces.
                (Err(_), Ok(_)) => {}
            }
        }
    });
}

/// Reads a message; what is written of it is read and written the same again. (Times are written to the microsecond.)
fn round<T: DeserializeOwned + serde::Serialize>(input: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<T>(input) {
        let written = serde_json::to_string(&message).unwrap();
        let again: T =
            serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
        assert_eq!(serde_json::to_string(&again).unwrap(), written);
    }
}

#[test]
fn fuzz_link() {
    fuzz(&corpus("link"), VALUES, |input| {
        round::<LinkFrame>(input);
        round::<IngestReply>(input);
        if let Ok(command) = serde_json::from_slice::<Command>(input) {
            let _ = (
                command.command_type(),
                command.read_carrier(),
                command.payload::<StartBuild>(),
            );
        }
    });
}

#[test]
fn fuzz_parts() {
    fuzz(&corpus("parts"), HANDLES, |input| {
        let Ok(data) = std::str::from_utf8(input) else {
            return;
        };
        let _ = Part::read(data);
        if let Ok(part) = Part::in_event(data) {
            let _ = part.kind();
            if let Part::ToolInput { input, .. } = part
                && let Ok(plan) = Plan::read(input)
            {
                let active = usize::try_from(plan.active_index());
                assert!(active.is_err() || active.is_ok_and(|active| active < plan.todos.len()));
            }
        }
    });
}

#[test]
fn fuzz_carrier_and_baggage() {
    fuzz(&corpus("carrier"), HANDLES, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        if let Ok(raw) = serde_json::from_str::<&RawValue>(text)
            && let Ok(carrier) = CarrierRef::read(raw)
        {
            values(&carrier.trace);
            values(carrier.baggage.as_deref().unwrap_or_default());
        }
        values(text);
    });
}

/// Reads a text as each of the headers.
fn values(text: &str) {
    if let Ok(trace) = text.parse::<SentryTrace>() {
        assert_eq!(trace.to_string().parse::<SentryTrace>().ok(), Some(trace));
    }
    if let Some(trace) = w3c::read_traceparent(text) {
        assert_eq!(
            w3c::read_traceparent(&w3c::write_traceparent(&trace)),
            Some(trace)
        );
    }
    let baggage = Baggage::received(text);
    let passed_on = baggage.as_str().unwrap_or_default();
    assert!(passed_on.len() <= MAX_BAGGAGE_BYTES);
    assert!(passed_on.split(',').count() <= MAX_BAGGAGE_ENTRIES);
    assert_eq!(
        Baggage::received(passed_on).as_str(),
        baggage.as_str(),
        "it is passed on the same again"
    );
}

/// What is taken of a request is sent on and taken the same.
fn taken(request: otlp::ExportTraceServiceRequest) {
    let mut spans = Vec::new();
    otlp::from_request(request, &mut spans);
    let sent = otlp::to_request(&spans);
    let json = otlp::encode_json(&sent);
    let again =
        otlp::decode_json(&json).unwrap_or_else(|error| panic!("{error}: {}", json.escape_ascii()));
    let mut spans_again = Vec::new();
    let refused = otlp::from_request(again, &mut spans_again);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(spans_again.len(), spans.len());
}

#[test]
fn fuzz_otlp_json() {
    fuzz(&corpus("otlp-json"), SPANS, |input| {
        if let Ok(request) = otlp::decode_json(input) {
            taken(request);
        }
    });
}

#[test]
fn fuzz_otlp_protobuf() {
    fuzz(&corpus("otlp-protobuf"), SPANS, |input| {
        if let Ok(request) = otlp::ExportTraceServiceRequest::decode(input) {
            taken(request);
        }
    });
}

#[test]
fn fuzz_envelopes() {
    fuzz(&corpus("envelope"), SPANS, |input| {
        let Ok(envelope) = Envelope::read(input) else {
            return;
        };
        let _ = envelope.header.dsn_key();
        let source = Source {
            header: &envelope.header,
            service: None,
            received: hopline_wire::Timestamp::default(),
            span_bytes: 4 << 10,
        };
        for item in envelope.items() {
            let Ok(item) = item else {
                return;
            };
            let read = |room| {
                let mut taken = Taken::default();
                let read = match notes::holds_notes(&item.header.kind) {
                    true => notes::read(&item, &source, &|_| room, &mut taken),
                    false => spans::read(&item, &source, &|_| room, &mut taken),
                };
                read.map(|()| taken)
            };
            let taken = read(true);
            assert!(read(false).is_err() || taken.is_ok_and(|taken| taken.spans.is_empty()));
            let _ = spans::lost_by_client(item.payload);
        }
    });
}
