//! Reading in parts, beside a model that holds everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hopline_wire::ops;
use hopline_wire::span::{Attribute, Resource, Span, Text, Value};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::overview::Facts;
use crate::path;
use crate::testing::{span, span_id, spans, spans_of, trace_id};
use hopline_files::power::Power;

/// A store of segments of a few frames, so that a trace is in several of them.
fn store() -> LogStore {
    let options = LogOptions {
        segment_bytes: 2_000,
        ..LogOptions::default()
    };
    let power = Arc::new(Power::default());
    LogStore::open_on(power, Path::new("/traces"), options)
        .unwrap()
        .0
}

/// Appends that repeat spans, finished and not, of a few traces.
fn appends() -> impl Strategy<Value = Vec<Vec<Span>>> {
    let op = prop_oneof![
        Just(ops::BUILD),
        Just(ops::DB_QUERY),
        Just(ops::EVENT_SEND),
        Just(ops::EVENT_FORWARD),
        Just(ops::PERSIST_FINALIZE),
    ];
    let identity = (0..12_u64, 0..12_u64, op, 0..3_u64);
    let span = (spans(), identity).prop_map(|(mut spans, (id, parent, op, seq))| {
        let mut span = spans.swap_remove(0);
        span.span_id = span_id(id);
        span.parent_id = span.parent_id.map(|_| span_id(parent));
        span.op = Text::Static(op);
        if let Some(keys) = &mut span.event {
            keys.seq = seq;
            // Of a hop that was made twice, either may tell the type.
            keys.event_type = Text::Static(op);
        }
        // A name that a stem is part of comes back whole.
        span.name = span.name.to_string().into();
        span
    });
    vec(vec(span, 1..8), 1..8)
}

/// What counts of a trace, by the words of the trait.
fn model(appends: &[Vec<Span>], trace: TraceId) -> Vec<Span> {
    let mut once: BTreeMap<_, Span> = BTreeMap::new();
    let own = appends.iter().flatten().filter(|s| s.trace_id == trace);
    for span in own {
        let known = once.get(&span.span_id);
        if known.is_none_or(|known| known.pending || !span.pending) {
            once.insert(span.span_id, span.clone());
        }
    }
    let mut spans: Vec<_> = once.into_values().collect();
    spans.sort_by_key(|span| (span.start, span.span_id));
    spans
}

proptest! {
    // Each case is a store with its thread, and read in six ways.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_way_of_reading_sees_each_span_once(appends in appends(), limit in 0..14_usize) {
        let store = store();
        for spans in &appends {
            store.append(spans, Durability::Buffered).unwrap();
        }
        for trace in (0..4).map(trace_id) {
            let expected = model(&appends, trace);
            prop_assert_eq!(&spans_of(&store, trace), &expected);
            let mut visited = Vec::new();
            store
                .for_each(trace, &mut |part| {
                    assert!(!part.spans.is_empty());
                    assert_eq!(part.total, expected.len() as u64);
                    visited.extend_from_slice(part.spans);
                    ControlFlow::Continue(())
                })
                .unwrap();
            visited.sort_by_key(|span| (span.start, span.span_id));
            prop_assert_eq!(&visited, &expected);

            for id in (0..13).map(span_id) {
                let one = expected.iter().find(|span| span.span_id == id);
                let found = store.span(trace, id).unwrap();
                prop_assert_eq!(found.as_ref(), one);
            }

            let part = store.trace(trace, limit).unwrap();
            prop_assert_eq!(part.total, expected.len() as u64);
            let mut first: Vec<_> = expected.clone();
            first.sort_by_key(|span| !Facts::of(span).is_structural());
            first.truncate(limit);
            first.sort_by_key(|span| (span.start, span.span_id));
            prop_assert_eq!(part.spans, first);

            let overview = store.overview(trace).unwrap();
            prop_assert_eq!(overview.is_none(), expected.is_empty());
            if let Some(overview) = overview {
                agrees(&overview, &expected);
            }
        }
    }
}

/// Whether an overview says the same as the tree and the path that are made of all spans.
fn agrees(overview: &Overview, spans: &[Span]) {
    assert_eq!(overview.arrivals, path::Path::of(spans).arrivals);
    let count = |condition: fn(&Span) -> bool| spans.iter().filter(|s| condition(s)).count() as u64;
    assert_eq!(overview.total, spans.len() as u64);
    assert_eq!(overview.errors, count(|span| span.status.is_error()));
    assert_eq!(overview.pending, count(|span| span.pending));
    let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id).collect();
    let parents = spans.iter().filter_map(|span| span.parent_id);
    let orphans = parents.filter(|parent| !ids.contains(parent)).count();
    assert_eq!(overview.orphans, orphans as u64);
    let summary = crate::tree::Tree::build(spans).summary();
    assert_eq!((overview.start, overview.end), (summary.start, summary.end));
    let ended = spans.iter().any(|span| &*span.op == ops::PERSIST_FINALIZE);
    assert_eq!(overview.ended, ended);
}

#[test]
fn a_visit_ends_when_it_is_broken_off() {
    let store = store();
    for number in 0..100 {
        store
            .append(&[span(1, number)], Durability::Buffered)
            .unwrap();
    }
    let mut visits = 0;
    let visit = &mut |_: Part<'_>| {
        visits += 1;
        match visits {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    store.for_each(trace_id(1), visit).unwrap();
    assert_eq!(visits, 3);
}

#[test]
fn a_part_of_a_trace_keeps_what_holds_it_together() {
    let store = store();
    let numbered = |number| {
        let keys = hopline_wire::span::EventKeys {
            seq: number,
            ..Default::default()
        };
        Span {
            event: Some(keys),
            ..span(1, number)
        }
    };
    let mut spans: Vec<_> = (1..50).map(numbered).collect();
    // The build's end comes last of all.
    spans.push(Span {
        op: ops::BUILD.into(),
        ..span(1, 60)
    });
    spans.push(Span {
        op: ops::DB_QUERY.into(),
        ..span(1, 61)
    });
    store.append(&spans, Durability::Buffered).unwrap();
    let part = store.trace(trace_id(1), 3).unwrap();
    assert_eq!(part.total, 51);
    assert!(part.is_part());
    assert_eq!(part.spans, [numbered(1), numbered(2), spans[49].clone()]);
}

#[test]
fn a_reading_takes_no_more_memory_than_it_may() {
    let options = LogOptions {
        read_bytes: 1 << 20,
        ..LogOptions::default()
    };
    let power = Arc::new(Power::default());
    let store = LogStore::open_on(power, Path::new("/traces"), options)
        .unwrap()
        .0;
    let text = |bytes: usize| vec![Attribute::new("text", "x".repeat(bytes))];
    // Each of these takes 48 bytes for every two that it is stored in.
    let many = || vec![Attribute::new("", Value::Empty); 4_000];
    type Maker<'m> = &'m dyn Fn() -> Vec<Attribute>;
    let makers: [Maker<'_>; 2] = [&|| text(200_000), &many];
    for (number, make) in makers.into_iter().enumerate() {
        let trace = number as u64;
        let mut spans: Vec<_> = (0..30)
            .map(|number| Span {
                attributes: make(),
                ..span(trace, number)
            })
            .collect();
        // Small, but behind those that find no room.
        spans.push(span(trace, 40));
        store.append(&spans, Durability::Buffered).unwrap();
        let part = store.trace(trace_id(trace), 100).unwrap();
        assert_eq!((part.total, part.is_part()), (31, true));
        assert!(
            part.spans == spans[..5],
            "other spans than the earliest that fit"
        );
        let mut visited = 0;
        let visit = &mut |part: Part<'_>| {
            visited += part.spans.len();
            ControlFlow::Continue(())
        };
        store.for_each(trace_id(trace), visit).unwrap();
        assert_eq!(visited, 31);
    }
    // What a span shares with others counts as well: here each is alone with it.
    for number in 0..30 {
        let resource = Arc::new(Resource {
            attributes: text(200_000),
            ..Resource::default()
        });
        let alone = Span {
            resource,
            ..span(5, number)
        };
        store.append(&[alone], Durability::Buffered).unwrap();
    }
    let part = store.trace(trace_id(5), 100).unwrap();
    assert_eq!((part.spans.len(), part.total), (5, 30));
    // One is shown, however large it is.
    let large = Span {
        attributes: text(2 << 20),
        ..span(2, 0)
    };
    let spans = [large, span(2, 1)];
    store.append(&spans, Durability::Buffered).unwrap();
    let part = store.trace(trace_id(2), 100).unwrap();
    assert!(part.total == 2 && part.spans == spans[..1]);
    // And nothing is cut that fits, however long its records are.
    let spans: Vec<_> = (0..4)
        .map(|number| Span {
            attributes: text(200_000),
            ..span(3, number)
        })
        .collect();
    store.append(&spans, Durability::Buffered).unwrap();
    assert!(spans_of(&store, trace_id(3)) == spans);
}

#[test]
fn what_is_appended_while_a_trace_is_visited_is_not_seen_and_harms_nothing() {
    let store = store();
    store
        .append(&[span(1, 0), span(1, 1)], Durability::Buffered)
        .unwrap();
    let mut visited = Vec::new();
    store
        .for_each(trace_id(1), &mut |part| {
            // Enough to have the segments sealed meanwhile.
            for number in 2..100 {
                store
                    .append(&[span(1, number)], Durability::Buffered)
                    .unwrap();
            }
            visited.extend_from_slice(part.spans);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(visited, [span(1, 0), span(1, 1)]);
    assert_eq!(spans_of(&store, trace_id(1)).len(), 100);
}
