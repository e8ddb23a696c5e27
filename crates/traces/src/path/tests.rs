//! Events with and without gaps, and times by hand.

use std::sync::Arc;

use hopline_wire::Timestamp;
use hopline_wire::span::{Attribute, EventKeys, SpanStatus};

use super::*;
use crate::testing::{span, span_id};

const HOPS: [&str; 4] = [
    ops::EVENT_SEND,
    ops::EVENT_FORWARD,
    ops::EVENT_PROCESS,
    ops::PERSIST_EVENT,
];

/// The hop of an event that begins at `start` and lasts `length`, child of the hop before it.
fn hop(seq: u64, op: &'static str, start: u64, length: u64) -> Span {
    let place = HOPS.iter().position(|hop| *hop == op).unwrap() as u64;
    Span {
        op: op.into(),
        parent_id: (place > 0).then(|| span_id(seq * 10 + place - 1)),
        start: Timestamp::from_nanos(start),
        end: Timestamp::from_nanos(start + length),
        event: Some(EventKeys {
            event_type: "build-stream".into(),
            command_id: "c".into(),
            seq,
            ..EventKeys::default()
        }),
        ..span(1, seq * 10 + place)
    }
}

/// All hops of an event: sent in 10, on the way for 5, forwarded for 100, of which 80 in the server, of
/// which 50 in the processor.
fn journey(seq: u64) -> Vec<Span> {
    let at = seq * 1_000;
    vec![
        hop(seq, ops::EVENT_SEND, at, 10),
        hop(seq, ops::EVENT_FORWARD, at + 15, 100),
        hop(seq, ops::EVENT_PROCESS, at + 25, 80),
        hop(seq, ops::PERSIST_EVENT, at + 45, 50),
    ]
}

#[test]
fn an_event_that_misses_a_hop_is_a_gap_and_says_which() {
    let mut spans: Vec<_> = (1..=4).flat_map(journey).collect();
    spans.retain(|span| {
        let seq = span.event.as_ref().unwrap().seq;
        // The second event was never forwarded; of the third the runner's span is lost.
        !(seq == 2 && &*span.op != ops::EVENT_SEND || seq == 3 && &*span.op == ops::EVENT_SEND)
    });
    let path = Path::of(&spans);
    assert_eq!(
        (
            path.arrivals.events,
            path.arrivals.complete,
            path.arrivals.gap_count
        ),
        (4, 2, 2)
    );
    assert_eq!(path.arrivals.gaps[0].seq, 2);
    assert_eq!(path.arrivals.gaps[0].missing, HOPS[1..]);
    assert_eq!(path.arrivals.gaps[1].missing, HOPS[..1]);
    assert_eq!(&*path.arrivals.gaps[1].event_type, "build-stream");
}

#[test]
fn an_event_under_way_or_refused_is_no_gap() {
    let mut spans = Vec::new();
    let mut pending = hop(1, ops::EVENT_FORWARD, 10, 0);
    pending.pending = true;
    spans.extend([hop(1, ops::EVENT_SEND, 0, 1), pending]);
    let mut refused = hop(2, ops::EVENT_PROCESS, 20, 1);
    refused.status = SpanStatus::Error("bad_event".into());
    let before = [
        hop(2, ops::EVENT_SEND, 0, 1),
        hop(2, ops::EVENT_FORWARD, 0, 9),
    ];
    spans.extend(before);
    spans.push(refused);
    let path = Path::of(&spans);
    assert_eq!(
        (
            path.arrivals.events,
            path.arrivals.under_way,
            path.arrivals.failed
        ),
        (2, 1, 1)
    );
    assert_eq!(path.arrivals.gap_count, 0);
}

#[test]
fn the_last_event_may_finalize_and_carried_events_have_no_hops() {
    let mut last = journey(1);
    last[3].op = ops::PERSIST_FINALIZE.into();
    // A log chunk has a span of its persisting at most.
    last.push(hop(2, ops::PERSIST_EVENT, 0, 1));
    let path = Path::of(&last);
    assert_eq!((path.arrivals.events, path.arrivals.complete), (1, 1));
}

#[test]
fn each_hop_has_its_own_time_without_that_of_the_hops_inside() {
    let mut spans: Vec<_> = (1..=20).flat_map(journey).collect();
    for span in &mut spans {
        if &*span.op == ops::EVENT_PROCESS {
            // 20 of the 30 that are its own.
            span.attributes.push(Attribute::new(WAIT_MS, 20e-6));
        }
    }
    let path = Path::of(&spans);
    let own: Vec<_> = path.hops.iter().map(|hop| hop.own_nanos / 20).collect();
    assert_eq!(own, [10, 20, 30, 50]);
    let process = &path.hops[2];
    assert_eq!((process.waiting_nanos, process.working_nanos), (400, 200));
    assert!((process.share - 30.0 / 110.0).abs() < 1e-9);
    assert_eq!(process.duration.p50_nanos, 80);
    assert_eq!(process.duration.total_nanos, 1_600);
    let reached = path.hops.iter().map(|hop| hop.reached_after);
    let reached: Vec<_> = reached.map(|times| times.map(|t| t.max_nanos)).collect();
    assert_eq!(reached, [None, Some(5), Some(10), Some(20)]);
}

#[test]
fn a_shared_statement_takes_its_time_from_every_event_that_it_served() {
    let mut spans = Vec::new();
    for seq in [1, 2] {
        let mut persist = hop(seq, ops::PERSIST_EVENT, 100, 50);
        persist.parent_id = None;
        spans.push(persist);
    }
    let mut statement = span(1, 99);
    statement.op = ops::DB_QUERY.into();
    statement.start = Timestamp::from_nanos(110);
    statement.end = Timestamp::from_nanos(140);
    statement.parent_id = Some(spans[0].span_id);
    statement.links = Links::SameTrace(Arc::new([spans[1].span_id]));
    // Another that lies half within the first.
    let mut commit = statement.clone();
    commit.span_id = span_id(98);
    commit.start = Timestamp::from_nanos(125);
    commit.end = Timestamp::from_nanos(145);
    spans.extend([statement, commit]);
    let path = Path::of(&spans);
    assert_eq!(path.hops[0].op, ops::PERSIST_EVENT);
    assert_eq!(path.hops[0].own_nanos, 2 * (50 - 35));
    assert_eq!(path.hops[1].count, 2);
}

#[test]
fn percentiles_are_values_that_occurred() {
    let times = Times::of((1..=100).collect());
    assert_eq!(
        (times.p50_nanos, times.p95_nanos, times.max_nanos),
        (50, 95, 100)
    );
    assert_eq!(Times::of(vec![7]).p50_nanos, 7);
    assert_eq!(Times::of(Vec::new()), Times::default());
}

#[test]
fn a_trace_of_others_has_no_path() {
    let path = Path::of(&[span(1, 1), span(1, 2)]);
    assert_eq!((path.arrivals.events, path.hops.len()), (0, 0));
    assert!(
        serde_json::to_string(&path)
            .unwrap()
            .contains("\"gapCount\":0")
    );
}
