//! Trees of good traces and bad ones.

use std::sync::Arc;

use hopline_wire::span::{EventKeys, Link};

use super::*;
use crate::testing::{span, span_id, trace_id};

fn child(number: u64, parent: u64) -> Span {
    Span {
        parent_id: Some(span_id(parent)),
        ..span(1, number)
    }
}

/// The tree as `depth place number`, one for each line.
fn shape(spans: &[Span]) -> Vec<(usize, Place, u64)> {
    let tree = Tree::build(spans);
    let number = |entry: &Entry| u64::from_be_bytes(tree.span(entry).span_id.to_bytes()) - 1;
    let entries = tree.entries().iter();
    entries
        .map(|entry| (entry.depth, entry.place, number(entry)))
        .collect()
}

#[test]
fn children_stand_under_their_parents_in_the_order_of_their_beginning() {
    let spans = [
        child(4, 1),
        span(1, 0),
        child(2, 1),
        child(1, 0),
        child(3, 2),
    ];
    let expected = [
        (0, Place::Root, 0),
        (1, Place::Child, 1),
        (2, Place::Child, 2),
        (3, Place::Child, 3),
        (2, Place::Child, 4),
    ];
    assert_eq!(shape(&spans), expected);
}

#[test]
fn a_statement_stands_under_every_event_that_it_served() {
    let statement = Span {
        links: Links::SameTrace(Arc::new([span_id(2), span_id(3)])),
        ..child(4, 1)
    };
    let other = Span {
        links: Links::Any(vec![
            Link {
                trace_id: trace_id(1),
                span_id: span_id(3),
                attributes: Vec::new(),
            },
            Link {
                trace_id: trace_id(2),
                span_id: span_id(3),
                attributes: Vec::new(),
            },
        ]),
        ..child(5, 1)
    };
    let spans = [
        span(1, 0),
        child(1, 0),
        child(2, 0),
        child(3, 0),
        statement,
        other,
    ];
    let expected = [
        (0, Place::Root, 0),
        (1, Place::Child, 1),
        (2, Place::Child, 4),
        (2, Place::Child, 5),
        (1, Place::Child, 2),
        (2, Place::Linked, 4),
        (1, Place::Child, 3),
        (2, Place::Linked, 4),
        (2, Place::Linked, 5),
    ];
    assert_eq!(shape(&spans), expected);
}

#[test]
fn orphans_are_marked_and_stand_at_the_top() {
    let spans = [span(1, 0), child(1, 77), child(2, 1)];
    let expected = [
        (0, Place::Root, 0),
        (0, Place::Orphan, 1),
        (1, Place::Child, 2),
    ];
    assert_eq!(shape(&spans), expected);
    assert_eq!(Tree::build(&spans).summary().orphans, 1);
}

#[test]
fn circles_end_and_ids_may_come_twice() {
    // 1 and 2 are each other's parents, 3 is its own; 0 comes twice.
    let spans = [
        span(1, 0),
        span(1, 0),
        child(1, 2),
        child(2, 1),
        child(3, 3),
        child(4, 0),
    ];
    let expected = [
        (0, Place::Root, 0),
        (1, Place::Child, 4),
        (0, Place::Root, 0),
        (0, Place::Cycle, 1),
        (1, Place::Child, 2),
        (0, Place::Cycle, 3),
    ];
    assert_eq!(shape(&spans), expected);
    assert!(shape(&[]).is_empty());
}

#[test]
fn a_chain_of_any_length_is_built_and_written() {
    let mut spans = vec![span(1, 0)];
    spans.extend((1..100_000).map(|n| child(n, n - 1)));
    let tree = Tree::build(&spans);
    assert_eq!(tree.entries().last().unwrap().depth, 99_999);
    assert!(serde_json::to_vec(&tree).unwrap().len() > 1 << 20);
}

#[test]
fn the_json_says_all_of_a_span_once() {
    let mut hop = child(1, 0);
    hop.event = Some(EventKeys {
        event_type: "ack".into(),
        seq: 3,
        ..EventKeys::default()
    });
    hop.status = hopline_wire::span::SpanStatus::Error("refused".into());
    let mut statement = child(2, 0);
    statement.links = Links::SameTrace(Arc::new([span_id(1)]));
    let spans = [span(1, 0), hop, statement];
    let json = serde_json::to_value(Tree::build(&spans)).unwrap();
    assert_eq!(json["startUnixNano"], "1769852096789000000");
    assert_eq!(json["summary"]["errors"], 1);
    let lines = json["spans"].as_array().unwrap();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["attributes"]["event.seq"], 3);
    assert_eq!(lines[1]["status"], "error");
    assert_eq!(lines[1]["error"], "refused");
    assert_eq!(lines[1]["offsetNanos"], 1_000);
    assert_eq!(lines[1]["durationNanos"], 500);
    assert_eq!(lines[2]["place"], "linked");
    assert_eq!(lines[2]["spanId"], lines[3]["spanId"]);
    assert!(lines[2].get("attributes").is_none());
}
