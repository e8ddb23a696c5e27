//! The body of a request: the events as they came, with the broker's own members spliced in.
//!
//! An event is copied once, here. In nearly every one the carrier changes by the sixteen digits of the
//! span alone and the broker's members are appended, so nothing is parsed again; the others go through
//! [`hopline_wire::splice`].

use bytes::Bytes;
use hopline_telemetry::TraceContext;
use hopline_telemetry::context::BaggageCache;
use hopline_wire::carrier::CarrierRef;
use hopline_wire::splice::{self, Stamp};
use serde_json::value::RawValue;

use super::transport::Delivery;
use crate::hub::{Connection, Held, Part, Trail, own_carrier};

/// The bytes that the broker adds to most events, and some more.
const USUAL_ADDITION: usize = 160;

/// Writes the events of a request: an array, or the one event alone with its trace in headers too.
pub(super) fn compose(parts: &[Part], single: bool) -> Delivery {
    let events = || parts.iter().flat_map(|part| &part.events);
    let size = events().map(|held| held.json.len() + USUAL_ADDITION).sum();
    let mut body = Vec::with_capacity(size);
    let mut scratch = Vec::new();
    if !single {
        body.push(b'[');
    }
    for (at, held) in events().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        write(held, &mut body, &mut scratch);
    }
    if !single {
        body.push(b']');
    }
    let headers = single
        .then(|| events().next().and_then(trace))
        .flatten()
        .map_or_else(Vec::new, |trace| trace.headers());
    Delivery {
        body: Bytes::from(body),
        headers,
    }
}

/// Writes one event. `scratch` is memory to use.
fn write(held: &Held, body: &mut Vec<u8>, scratch: &mut Vec<u8>) {
    let Some(origin) = &held.origin else {
        body.extend_from_slice(&held.json);
        return;
    };
    match &held.trail {
        Trail::AsItCame if held.plain => append(&held.json, origin, held.link_seq, body),
        Trail::Recorded {
            span_id,
            digits_at: Some(digits_at),
            ..
        } if held.plain => {
            let start = body.len();
            append(&held.json, origin, held.link_seq, body);
            scratch.clear();
            span_id.write_hex(scratch);
            let digits = start + digits_at..start + digits_at + scratch.len();
            if let Some(digits) = body.get_mut(digits) {
                digits.copy_from_slice(scratch);
            }
        }
        trail => splice(held, trail, origin, body, scratch),
    }
}

/// The event with the connection's members before its closing brace. It has a member already: its type.
fn append(json: &[u8], origin: &Connection, link_seq: u64, body: &mut Vec<u8>) {
    body.extend_from_slice(&json[..json.len() - 1]);
    close(origin, link_seq, body);
}

fn close(origin: &Connection, link_seq: u64, body: &mut Vec<u8>) {
    body.extend_from_slice(origin.tail.as_bytes());
    write_number(link_seq, body);
    body.push(b'}');
}

fn splice(
    held: &Held,
    trail: &Trail,
    origin: &Connection,
    body: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) {
    scratch.clear();
    match trail {
        Trail::AsItCame => {}
        Trail::Decided(trace) => trace.write_carrier(scratch),
        Trail::Recorded {
            parent, span_id, ..
        } => parent.child(*span_id).write_carrier(scratch),
    }
    let carrier = std::str::from_utf8(scratch).ok().filter(|c| !c.is_empty());
    let stamp = Stamp {
        carrier,
        runner_id: &origin.runner,
        bound: origin.token.is_some(),
        link: &origin.id,
        link_seq: held.link_seq,
    };
    let start = body.len();
    let json = std::str::from_utf8(&held.json).unwrap_or_default();
    if splice::stamp(json, &stamp, body).is_err() {
        // A member that is there twice cannot be set, but added: of several the last one counts. The server refuses
        // such an event, as this runner's.
        body.truncate(start);
        body.extend_from_slice(&held.json[..held.json.len() - 1]);
        if let Some(carrier) = carrier {
            body.extend_from_slice(b",\"_sentry\":");
            body.extend_from_slice(carrier.as_bytes());
        }
        close(origin, held.link_seq, body);
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A digit is below ten.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Where the trace of a single event stands for its receiver.
fn trace(held: &Held) -> Option<TraceContext> {
    match &held.trail {
        Trail::Decided(trace) => Some(trace.clone()),
        Trail::Recorded {
            parent, span_id, ..
        } => Some(parent.child(*span_id)),
        Trail::AsItCame => {
            let carrier: &RawValue = serde_json::from_str(own_carrier(&held.json)?).ok()?;
            let carrier = CarrierRef::read(carrier).ok()?;
            TraceContext::from_carrier(&carrier, &mut BaggageCache::default()).ok()
        }
    }
}
