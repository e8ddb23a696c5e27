use super::*;
use hopline_traces::path::{Missing, Reason};
use hopline_wire::span::{Attribute, EventKeys, Links, Resource, SpanKind, Text};
use hopline_wire::{SpanId, TraceId, ops};
use std::sync::Arc;

const MILLI: u64 = 1_000_000;

fn id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

/// A span of these milliseconds.
fn span(number: u64, parent: Option<u64>, name: &'static str, from: u64, to: u64) -> Span {
    let service = vec![Attribute::new("service.name", "hopline-test")];
    Span {
        trace_id: TraceId::from_bytes([7; 16]).unwrap(),
        span_id: id(number),
        parent_id: parent.map(id),
        name: name.into(),
        op: Text::EMPTY,
        kind: SpanKind::Internal,
        start: Timestamp::from_nanos(MILLI * (1_000 + from)),
        end: Timestamp::from_nanos(MILLI * (1_000 + to)),
        status: SpanStatus::Unset,
        pending: false,
        event: None,
        attributes: Vec::new(),
        links: Links::None,
        events: Vec::new(),
        trace_state: Text::EMPTY,
        resource: Arc::new(Resource {
            attributes: service,
            ..Resource::default()
        }),
    }
}

fn rendered(spans: &[Span], gaps: &[Gap], folding: Folding) -> String {
    render(&Tree::build(spans), gaps, folding, Style::plain())
}

#[test]
fn the_tree_shows_when_and_how_long_and_under_whom() {
    let spans = [
        span(1, None, "request", 0, 30),
        span(2, Some(1), "command", 2, 30),
        span(3, Some(2), "first", 3, 4),
        span(4, Some(3), "below", 3, 4),
        span(5, Some(2), "second", 5, 6),
    ];
    let expected = "       at      took
     0 ns   30.0 ms  request  hopline-test
  2.00 ms   28.0 ms  └─ command
  3.00 ms   1.00 ms     ├─ first
  3.00 ms   1.00 ms     │  └─ below
  5.00 ms   1.00 ms     └─ second
";
    assert_eq!(rendered(&spans, &[], Folding::Full), expected);
}

#[test]
fn a_statement_stands_under_each_event_that_it_served() {
    let mut spans = vec![
        span(1, None, "command", 0, 10),
        span(2, Some(1), "one", 1, 5),
        span(3, Some(1), "two", 2, 5),
        span(4, Some(2), "COMMIT", 3, 4),
    ];
    spans[3].links = Links::SameTrace(vec![id(3)].into());
    for folding in [Folding::Full, Folding::Folded] {
        let text = rendered(&spans, &[], folding);
        assert_eq!(text.matches("COMMIT").count(), 2, "{text}");
        assert_eq!(text.matches("⇢ COMMIT").count(), 1, "{text}");
    }
}

#[test]
fn a_run_of_likes_is_folded_but_for_the_first_and_those_to_look_at() {
    let mut spans = vec![span(1, None, "command", 0, 5_000)];
    for number in 0..1_000 {
        let mut event = span(10 + number, Some(1), "event", number, number + 2);
        event.op = ops::EVENT_SEND.into();
        spans.push(event);
    }
    spans[600].status = SpanStatus::Error("refused\n\x1b[31m".into());
    spans[700].pending = true;
    let text = rendered(&spans, &[], Folding::Folded);
    assert!(text.lines().count() < 12, "{text}");
    assert!(
        text.contains("… 596 more event: total 1.19 s, p50 2.00 ms, max 2.00 ms"),
        "{text}"
    );
    assert!(
        text.contains("✘ refused\u{fffd}\u{fffd}[31m") && text.contains("unfinished"),
        "{text}"
    );
    assert_eq!(rendered(&spans, &[], Folding::Full).lines().count(), 1_002);
    spans.truncate(101);
    assert_eq!(
        rendered(&spans, &[], Folding::Folded).lines().count(),
        102,
        "a person looks at so many"
    );
}

#[test]
fn an_event_that_was_lost_says_which_hop_it_misses() {
    let mut spans = vec![
        span(1, None, "command", 0, 9),
        span(2, Some(1), "send", 1, 2),
    ];
    spans[1].event = Some(EventKeys {
        command_id: "c".into(),
        seq: 4,
        ..EventKeys::default()
    });
    let gap = Gap {
        command_id: "c".into(),
        seq: 4,
        event_type: "build-stream".into(),
        missing: vec![Missing {
            op: ops::EVENT_FORWARD,
            reason: Reason::ProcessEnded,
        }],
    };
    let text = rendered(&spans, &[gap], Folding::Folded);
    assert!(text.contains("send #4"), "{text}");
    assert!(
        text.contains("✘ lost: no broker.event.forward (process ended)"),
        "{text}"
    );
}

#[test]
fn a_chain_of_any_length_is_printed() {
    let spans: Vec<_> = (1..3_000)
        .map(|number| span(number, (number > 1).then(|| number - 1), "link", 0, 1))
        .collect();
    assert_eq!(
        rendered(&spans, &[], Folding::Folded).lines().count(),
        3_000
    );
}
