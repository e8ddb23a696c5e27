//! Events with and without gaps, and times by hand.

use std::sync::Arc;

use hopline_wire::Timestamp;
use hopline_wire::span::{
    Attribute, CREATION_TIME, DROPPED, EventKeys, Resource, SpanStatus, Text,
};

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
    let missing = |gap: usize| path.arrivals.gaps[gap].missing.iter();
    assert!(
        missing(0)
            .map(|missing| missing.op)
            .eq(HOPS[1..].iter().copied())
    );
    assert_eq!(missing(1).copied().collect::<Vec<_>>(), [unknown(HOPS[0])]);
    assert_eq!(&*path.arrivals.gaps[1].event_type, "build-stream");
}

fn unknown(op: &'static str) -> Missing {
    Missing {
        op,
        reason: Reason::Unknown,
    }
}

/// A span made by the process of a service that was started then, at this place.
fn made_at(span: Span, service: &'static str, place: &'static str, started: u64) -> Span {
    let started = Timestamp::from_nanos(started).to_string();
    let resource = Resource {
        attributes: vec![
            Attribute::new("service.name", service),
            Attribute::new("service.instance.id", place),
            Attribute::new(CREATION_TIME, started),
        ],
        ..Resource::default()
    };
    Span {
        resource: Arc::new(resource),
        ..span
    }
}

/// Milliseconds, in nanoseconds.
const MS: u64 = 1_000_000;

/// An event whose spans are made at `at`, the runner's by the process started at `runner`, all others by processes
/// started at 0.
fn journey_by(seq: u64, at: u64, runner: u64) -> Vec<Span> {
    let services = ["runner", "broker", "server", "server"];
    let hops = HOPS.into_iter().zip(services);
    hops.map(|(op, service)| {
        let started = if service == "runner" { runner } else { 0 };
        made_at(hop(seq, op, at, MS), service, "here", started)
    })
    .collect()
}

#[test]
fn a_missing_hop_says_that_the_process_that_owed_it_has_ended() {
    // The runner is killed with the span of its second event in its memory; its successor sends the third.
    let mut spans = journey_by(1, MS, 0);
    spans.extend(journey_by(2, 2 * MS, 0).split_off(1));
    let before = Path::of(&spans).arrivals;
    assert_eq!(before.gaps[0].missing, [unknown(ops::EVENT_SEND)]);
    spans.extend(journey_by(3, 9 * MS, 8 * MS));
    let after = Path::of(&spans).arrivals;
    assert_eq!((after.complete, after.gap_count), (2, 1));
    let expected = Missing {
        op: ops::EVENT_SEND,
        reason: Reason::ProcessEnded,
    };
    assert_eq!(after.gaps[0].missing, [expected]);
    let told = serde_json::to_value(&after.gaps[0]).unwrap();
    let reason = &told["missing"][0]["reason"];
    assert_eq!(reason, "process ended");
    assert_eq!(serde_json::from_value::<Gap>(told).unwrap(), after.gaps[0]);
}

#[test]
fn a_process_elsewhere_takes_nobodys_place() {
    // The server at one place is started while the one at another works on its first event, and has the second.
    let mut spans = journey_by(1, MS, 0);
    spans.truncate(3);
    spans[2].pending = true;
    let mut second = journey_by(2, 9 * MS, 0);
    second.retain(|span| !span.op.starts_with("api."));
    second.push(made_at(
        hop(2, ops::EVENT_PROCESS, 9 * MS, MS),
        "server",
        "there",
        8 * MS,
    ));
    spans.extend(second);
    // Of a third event both have lost their spans.
    spans.extend(journey_by(3, 12 * MS, 0).into_iter().take(2));
    let arrivals = Path::of(&spans).arrivals;
    assert_eq!((arrivals.complete, arrivals.under_way), (1, 1));
    assert_eq!(arrivals.gaps[0].missing[0], unknown(ops::EVENT_PROCESS));
}

#[test]
fn what_comes_after_a_process_has_ended_is_not_its_fault() {
    let mut spans = journey_by(1, MS, 0);
    spans.extend(journey_by(2, 9 * MS, 8 * MS));
    // The new one's span of this is lost, nobody knows why.
    spans.extend(journey_by(3, 20 * MS, 8 * MS).split_off(1));
    let arrivals = Path::of(&spans).arrivals;
    assert_eq!(arrivals.gaps[0].missing, [unknown(ops::EVENT_SEND)]);
}

#[test]
fn what_a_process_left_unfinished_is_under_way_until_another_has_taken_its_place() {
    let mut spans = journey_by(1, MS, 0);
    spans.truncate(1);
    spans[0].pending = true;
    assert_eq!(Path::of(&spans).arrivals.under_way, 1);
    spans.extend(journey_by(2, 9 * MS, 8 * MS));
    let arrivals = Path::of(&spans).arrivals;
    assert_eq!((arrivals.under_way, arrivals.gap_count), (0, 1));
    // Those of the broker and the server, who are still there.
    assert!(
        arrivals.gaps[0]
            .missing
            .iter()
            .all(|missing| missing.reason == Reason::Unknown)
    );
}

#[test]
fn a_missing_hop_says_that_spans_were_dropped_if_its_part_has_said_so() {
    let mut spans = journey_by(1, MS, 0);
    let mut second = journey_by(2, 2 * MS, 0);
    let mut told = second.remove(0);
    told.name = DROPPED.into();
    (told.op, told.event) = (Text::EMPTY, None);
    spans.extend(second);
    spans.push(told);
    let expected = Missing {
        op: ops::EVENT_SEND,
        reason: Reason::Dropped,
    };
    assert_eq!(Path::of(&spans).arrivals.gaps[0].missing, [expected]);
}

/// Runners and brokers of the older link know no numbers: the server gives them.
#[test]
fn a_hop_before_an_event_had_its_number_is_found_as_the_parent_of_the_next() {
    let mut spans: Vec<_> = (1..=3).flat_map(journey).collect();
    for span in &mut spans {
        let is_early = [ops::EVENT_SEND, ops::EVENT_FORWARD].contains(&&*span.op);
        span.event.as_mut().unwrap().seq *= u64::from(!is_early);
    }
    let whole = Path::of(&spans).arrivals;
    assert_eq!((whole.events, whole.complete), (3, 3));
    // Where the runner keeps its spans to itself, its hop alone is missing.
    spans.retain(|span| &*span.op != ops::EVENT_SEND);
    let arrivals = Path::of(&spans).arrivals;
    assert_eq!(arrivals.gap_count, 3);
    assert_eq!(arrivals.gaps[0].missing, [unknown(ops::EVENT_SEND)]);
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

#[test]
fn a_clock_that_is_off_is_corrected_as_far_as_its_runner_has_measured_it() {
    let runner = |instance: &'static str| {
        Arc::new(Resource {
            attributes: vec![
                Attribute::new("service.name", "hopline-runner"),
                Attribute::new("service.instance.id", instance),
            ],
            ..Resource::default()
        })
    };
    // An hour ahead, a blink ahead, and never measured.
    let clocks = [
        ("ahead", Some(3_600_000_000_000_i64)),
        ("near", Some(4_999_999)),
        ("unknown", None),
    ];
    for (instance, offset) in clocks {
        let ahead = offset.unwrap_or(0).unsigned_abs();
        let mut spans = journey(1);
        spans[0].resource = runner(instance);
        spans[0].start = Timestamp::from_nanos(spans[0].start.as_nanos() + ahead);
        spans[0].end = Timestamp::from_nanos(spans[0].end.as_nanos() + ahead);
        let mut command = span(1, 9);
        command.op = ops::RUNNER_COMMAND.into();
        // Read from elsewhere, a resource is another one that says the same.
        command.resource = runner(instance);
        command
            .attributes
            .extend(offset.map(|offset| Attribute::new("hopline.clock.offset_ns", offset)));
        spans.push(command);
        let path = Path::of(&spans);
        let sent = &path.hops[0];
        assert_eq!(
            (sent.op, sent.duration.max_nanos, sent.own_nanos),
            (ops::EVENT_SEND, 10, 10)
        );
        let reached = path.hops[1].reached_after.unwrap().max_nanos;
        let corrected: Vec<_> = path.clocks.iter().map(|clock| clock.offset_nanos).collect();
        match instance {
            "ahead" => {
                assert_eq!((reached, corrected), (5, vec![3_600_000_000_000]));
                assert_eq!(path.clocks[0].instance, "ahead");
            }
            // What a measurement cannot tell is left as the clocks had it.
            "near" => assert_eq!((reached, corrected), (0, vec![])),
            _ => assert_eq!((reached, corrected), (5, vec![])),
        }
    }
}

#[test]
fn spans_whose_parents_are_not_there_are_told_of_a_whole_trace() {
    let mut spans: Vec<_> = (1..=2).flat_map(journey).collect();
    let lost = spans.remove(5);
    let path = Path::of(&spans);
    assert_eq!(path.broken_parent_count, Some(1));
    let broken = &path.broken_parents[0];
    assert_eq!(
        (broken.span_id, broken.parent_id),
        (span_id(22), lost.span_id)
    );
    // Of a part nobody can say.
    let part = Path::of_part(&spans[1..], spans.len() as u64, path.arrivals);
    assert_eq!(
        (part.broken_parent_count, part.broken_parents),
        (None, Vec::new())
    );
}
