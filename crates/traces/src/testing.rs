//! Spans for tests: typical ones by number, arbitrary ones for properties.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use hopline_wire::span::{
    Attribute, EventKeys, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanName, SpanStatus,
    Text, Value,
};
use hopline_wire::{SpanId, Timestamp, TraceId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::store::TraceStore;

/// The trace with this number.
#[must_use]
pub fn trace_id(number: u64) -> TraceId {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TraceId::from_bytes(bytes).unwrap()
}

/// The span with this number.
#[must_use]
pub fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes((number + 1).to_be_bytes()).unwrap()
}

/// A plain span: number `number` of trace `trace`.
#[must_use]
pub fn span(trace: u64, number: u64) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: span_id(number),
        parent_id: None,
        name: SpanName::new("test.", number.to_string()),
        op: Text::EMPTY,
        kind: SpanKind::Internal,
        start: Timestamp::from_nanos(1_769_852_096_789_000_000 + number * 1_000),
        end: Timestamp::from_nanos(1_769_852_096_789_000_500 + number * 1_000),
        status: SpanStatus::Unset,
        pending: false,
        event: None,
        attributes: Vec::new(),
        links: Links::None,
        events: Vec::new(),
        trace_state: Text::EMPTY,
        resource: Arc::default(),
    }
}

/// All spans of a trace in a store.
pub fn spans_of(store: &dyn TraceStore, trace: TraceId) -> Vec<Span> {
    let found = store.trace(trace, usize::MAX).unwrap();
    assert!(!found.is_part());
    found.spans
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        Just(Text::EMPTY),
        Just(Text::Static("build-stream")),
        Just(Text::Static("build")),
        ".{0,12}".prop_map(Text::from),
        Just(Text::from("long ".repeat(60))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Empty),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (0..300_i64).prop_map(Value::Int),
        // No NaN, which equals nothing; its bits are kept like all others.
        (-1e300..1e300).prop_map(Value::Double),
        (0..5_000_000_u32).prop_map(|nanos| Value::Double(f64::from(nanos) / 1e6)),
        prop_oneof![Just(f64::INFINITY), Just(-0.0), Just(f64::MIN_POSITIVE)]
            .prop_map(Value::Double),
        text().prop_map(Value::Text),
        vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let attribute = (text(), inner.clone()).prop_map(|(key, value)| Attribute { key, value });
        prop_oneof![
            vec(inner, 0..4).prop_map(|list| Value::List(list.into())),
            vec(attribute, 0..4).prop_map(|map| Value::Map(map.into())),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    vec(
        (text(), value()).prop_map(|(key, value)| Attribute { key, value }),
        0..5,
    )
}

fn ids() -> impl Strategy<Value = (TraceId, SpanId)> {
    (0..4_u64, any::<u32>()).prop_map(|(trace, span)| (trace_id(trace), span_id(span.into())))
}

fn links() -> impl Strategy<Value = Links> {
    let link = (ids(), attributes()).prop_map(|((trace_id, span_id), attributes)| Link {
        trace_id,
        span_id,
        attributes,
    });
    prop_oneof![
        3 => Just(Links::None),
        1 => vec(any::<u16>(), 1..5).prop_map(|ids| {
            Links::SameTrace(ids.into_iter().map(|id| span_id(id.into())).collect())
        }),
        1 => vec(link, 1..3).prop_map(Links::Any),
    ]
}

fn event_keys() -> impl Strategy<Value = EventKeys> {
    (text(), text(), text(), any::<u64>(), text()).prop_map(|(a, b, c, seq, d)| EventKeys {
        event_type: a,
        project_id: b,
        command_id: c,
        seq,
        session_id: d,
    })
}

fn span_event() -> impl Strategy<Value = SpanEvent> {
    (any::<u64>(), text(), attributes()).prop_map(|(at, name, attributes)| SpanEvent {
        at: Timestamp::from_nanos(at),
        name,
        attributes,
    })
}

fn status() -> impl Strategy<Value = SpanStatus> {
    prop_oneof![
        Just(SpanStatus::Unset),
        Just(SpanStatus::Ok),
        text().prop_map(SpanStatus::Error),
    ]
}

fn name() -> impl Strategy<Value = SpanName> {
    (
        prop_oneof![Just(""), Just("broker.forwardEvent."), Just("broker.")],
        text(),
    )
        .prop_map(|(stem, rest)| SpanName { stem, rest })
}

fn one_span(resource: Arc<Resource>) -> impl Strategy<Value = Span> {
    let identity = (ids(), option::of(any::<u32>()), name(), text(), 0..6_i32);
    let times = (any::<u64>(), any::<u64>());
    let fixed = (status(), any::<bool>(), option::of(event_keys()));
    let rest = (attributes(), links(), vec(span_event(), 0..3), text());
    (identity, times, fixed, rest).prop_map(move |(identity, times, fixed, rest)| Span {
        trace_id: identity.0.0,
        span_id: identity.0.1,
        parent_id: identity.1.map(|id| span_id(id.into())),
        name: identity.2,
        op: identity.3,
        kind: SpanKind::from_number(identity.4),
        start: Timestamp::from_nanos(times.0),
        end: Timestamp::from_nanos(times.1),
        status: fixed.0,
        pending: fixed.1,
        event: fixed.2,
        attributes: rest.0,
        links: rest.1,
        events: rest.2,
        trace_state: rest.3,
        resource: Arc::clone(&resource),
    })
}

/// Spans of up to two resources, with anything in them.
pub fn spans() -> impl Strategy<Value = Vec<Span>> {
    let resource = || {
        (attributes(), text(), text()).prop_map(|(attributes, scope_name, scope_version)| {
            Arc::new(Resource {
                attributes,
                scope_name,
                scope_version,
            })
        })
    };
    (resource(), resource())
        .prop_flat_map(|(first, second)| vec(prop_oneof![one_span(first), one_span(second)], 1..20))
}
