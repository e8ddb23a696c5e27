//! Outlines of small traces, read as JSON as a console reads them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use hopline_files::power::Power;
use hopline_wire::ops;
use hopline_wire::span::{
    Attribute, DROPPED, EventKeys, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanStatus,
    Text, Value as Said,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::gather::{MOST_CALL_BYTES, MOST_LINKS};
use super::linked::{LINKS_OF_SPAN, links_of};
use super::*;
use crate::log::{LogOptions, LogStore};
use crate::store::Durability;
use crate::testing::{span, span_id, spans, trace_id};

/// The outline of trace 1, of which these are the appends.
fn outline_of(appends: &[Vec<Span>], limit: usize) -> Option<Outline> {
    let options = LogOptions {
        segment_bytes: 2_000,
        ..LogOptions::default()
    };
    let power = Arc::new(Power::default());
    let (store, _) = LogStore::open_on(power, Path::new("/traces"), options).unwrap();
    for spans in appends {
        store.append(spans, Durability::Buffered).unwrap();
    }
    Outline::read(&store, trace_id(1), limit).unwrap()
}

fn shown(spans: &[Span]) -> Value {
    serde_json::to_value(outline_of(&[spans.to_vec()], 100_000).unwrap()).unwrap()
}

fn made_by(service: &str) -> Arc<Resource> {
    Arc::new(Resource {
        attributes: vec![Attribute::new("service.name", service.to_owned())],
        ..Resource::default()
    })
}

/// Span `number` of trace 1, caused by `parent`.
fn child(number: u64, parent: u64) -> Span {
    Span {
        parent_id: Some(span_id(parent)),
        ..span(1, number)
    }
}

#[test]
fn spans_are_rows_by_start_and_words_stand_once() {
    let keys = EventKeys {
        seq: 7,
        ..EventKeys::default()
    };
    let step = Span {
        name: "step".into(),
        op: ops::SUBPROCESS.into(),
        resource: made_by("runner"),
        ..span(1, 1)
    };
    let sent = Span {
        name: "sent".into(),
        op: ops::EVENT_SEND.into(),
        kind: SpanKind::Producer,
        status: SpanStatus::Error("no".into()),
        event: Some(keys),
        resource: made_by("runner"),
        ..child(3, 1)
    };
    let tool = Span {
        name: "step".into(),
        status: SpanStatus::Ok,
        attributes: vec![Attribute::new("gen_ai.tool.call.id", "call-1")],
        ..child(2, 1)
    };
    let got = shown(&[sent, tool, step]);
    let expected = json!({
        "traceId": trace_id(1), "startNanos": "1769852096789001000", "total": 3,
        "names": ["step", "sent"],
        "ops": ["subprocess", "", "runner.event.send"],
        "services": ["runner", "unknown_service"],
        "kinds": ["internal", "producer"],
        "spans": {
            "id": [span_id(1), span_id(2), span_id(3)],
            "parent": [-1, 0, 0],
            "name": [0, 0, 1], "op": [0, 1, 2], "service": [0, 1, 0], "kind": [0, 0, 1],
            "start": [0, 1_000, 2_000], "duration": [500, 500, 500],
            "status": [0, 1, 2], "flags": [0, 0, 0], "seq": [0, 0, 7],
        },
        "toolCalls": {"call-1": [1]},
        "records": [],
    });
    assert_eq!(got, expected);
}

#[test]
fn what_is_odd_about_a_span_is_told_in_its_flags() {
    let event = SpanEvent {
        at: span(1, 5).start,
        name: "retry".into(),
        attributes: Vec::new(),
    };
    let link = Link {
        trace_id: trace_id(2),
        span_id: span_id(9),
        attributes: Vec::new(),
    };
    let spans = [
        Span {
            pending: true,
            ..span(1, 1)
        },
        child(2, 99),
        Span {
            links: Links::SameTrace([span_id(1)].into()),
            ..span(1, 3)
        },
        Span {
            links: Links::Any(vec![link]),
            ..span(1, 4)
        },
        Span {
            events: vec![event],
            ..child(5, 4)
        },
    ];
    let got = shown(&spans);
    let flags = [
        flag::PENDING,
        flag::ORPHAN,
        flag::LINKS,
        flag::LINKS,
        flag::EVENTS,
    ];
    assert_eq!(got["spans"]["flags"], json!(flags));
    assert_eq!(got["spans"]["parent"], json!([-1, -1, -1, -1, 3]));
    assert_eq!(got["spans"]["duration"][0], 0);
}

#[test]
fn work_done_for_several_stands_under_each_of_them() {
    let done_for = |number, others: &[u64]| Span {
        links: Links::SameTrace(others.iter().map(|other| span_id(*other)).collect()),
        ..child(number, 2)
    };
    let elsewhere = Link {
        trace_id: trace_id(2),
        span_id: span_id(3),
        attributes: Vec::new(),
    };
    let here = Link {
        trace_id: trace_id(1),
        ..elsewhere.clone()
    };
    let got = shown(&[
        span(1, 1),
        child(2, 1),
        child(3, 1),
        child(4, 1),
        // Its parent, itself and what is not there are nothing to stand under once more.
        done_for(5, &[2, 3, 4, 5, 99]),
        done_for(6, &[4, 3]),
        Span {
            links: Links::Any(vec![elsewhere, here]),
            ..child(7, 2)
        },
    ]);
    let expected = json!([{"spans": [4, 5], "under": [2, 3]}, {"spans": [6], "under": [2]}]);
    assert_eq!(got["linked"], expected);
}

/// The outline of spans as they come, without a store.
fn gathered(spans: &[Span]) -> Outline {
    let mut gathered = Gathered::default();
    gathered.add(spans);
    gathered.outline(trace_id(1), spans.len() as u64)
}

#[test]
fn links_beyond_all_reason_are_not_followed() {
    let ids: Arc<[_]> = (1..=300).map(span_id).collect();
    let linking = Span {
        links: Links::SameTrace(ids),
        ..span(1, 0)
    };
    let followed = MOST_LINKS / LINKS_OF_SPAN;
    let all: Vec<_> = (1..=300)
        .map(|number| span(1, number))
        .chain((1_000..1_010 + followed as u64).map(|number| Span {
            span_id: span_id(number),
            start: span(1, number).start,
            ..linking.clone()
        }))
        .collect();
    let outline = gathered(&all);
    let [linked] = &outline.linked[..] else {
        panic!("{:?}", outline.linked.len());
    };
    let shown = serde_json::to_value(linked).unwrap();
    let first: Vec<_> = (0..256).collect();
    assert_eq!(shown["under"], json!(first));
    assert_eq!(shown["spans"].as_array().unwrap().len(), followed);
    let flags = &outline.spans.flags[300..];
    assert!(flags.iter().all(|flags| *flags == flag::LINKS));

    let link = |number| Link {
        trace_id: trace_id(1),
        span_id: span_id(number),
        attributes: Vec::new(),
    };
    let any = Span {
        links: Links::Any((1..=300).map(link).collect()),
        ..linking
    };
    assert_eq!(links_of(&any).unwrap().len(), 256);
}

#[test]
fn ids_of_tool_calls_beyond_all_reason_are_not_kept() {
    let kept = MOST_CALL_BYTES / 1_024;
    let call = |number: u64| Span {
        attributes: vec![Attribute::new(
            "gen_ai.tool.call.id",
            format!("{number:01024}"),
        )],
        ..span(1, number)
    };
    let spans: Vec<_> = (1..=10 + kept as u64).map(call).collect();
    let outline = gathered(&spans);
    assert_eq!(outline.tool_calls.len(), kept);
    assert_eq!(outline.spans.id.len(), kept + 10);
}

#[test]
fn a_clock_that_was_off_is_corrected_and_told() {
    let ahead: i64 = 3_000_000_000;
    let command = Span {
        op: ops::RUNNER_COMMAND.into(),
        attributes: vec![Attribute::new("hopline.clock.offset_ns", ahead)],
        resource: made_by("runner"),
        ..span(1, 1)
    };
    // By its own clock it began long after the broker's span that it caused.
    let shift = u64::try_from(ahead).unwrap() + 1_000;
    let late = |span: Span| Span {
        start: hopline_wire::Timestamp::from_nanos(span.start.as_nanos() + shift),
        end: hopline_wire::Timestamp::from_nanos(span.end.as_nanos() + shift),
        ..span
    };
    let got = shown(&[
        late(command),
        Span {
            resource: made_by("broker"),
            ..child(9, 1)
        },
    ]);
    assert_eq!(got["spans"]["id"], json!([span_id(1), span_id(9)]));
    assert_eq!(got["spans"]["start"], json!([0, 7_000]));
    assert_eq!(got["spans"]["flags"], json!([flag::CORRECTED, 0]));
}

#[test]
fn errors_and_logs_are_records_and_drops_are_told() {
    let record = |number, kind: &'static str, level: &'static str| Span {
        name: format!("{kind} {number}").into(),
        attributes: vec![
            Attribute::new("hopline.record", kind),
            Attribute::new("level", level),
        ],
        ..child(number, 1)
    };
    let notice = Span {
        name: DROPPED.into(),
        attributes: vec![Attribute::new("hopline.dropped_spans", 12)],
        ..span(1, 9)
    };
    let stray = Span {
        parent_id: None,
        ..record(4, "log", "info")
    };
    let got = shown(&[span(1, 1), stray, record(3, "event", "error"), notice]);
    assert_eq!(got["total"], 4);
    assert_eq!(got["spans"]["id"], json!([span_id(1)]));
    let records = json!([
        {"id": span_id(3), "parent": 0, "kind": "event", "at": 2_000, "level": "error", "message": "event 3"},
        {"id": span_id(4), "parent": -1, "kind": "log", "at": 3_000, "level": "info", "message": "log 4"},
    ]);
    assert_eq!(got["records"], records);
    assert_eq!(got["missing"], json!({"dropped": 12, "leftOut": 0}));
}

#[test]
fn a_trace_of_more_spans_than_asked_for_keeps_what_holds_it_together() {
    let build = Span {
        op: ops::BUILD.into(),
        ..span(1, 90)
    };
    let numbered = |number| Span {
        event: Some(EventKeys {
            seq: number,
            ..EventKeys::default()
        }),
        ..child(number, 90)
    };
    let spans: Vec<_> = (1..=50).map(numbered).chain([build]).collect();
    let outline = outline_of(&[spans], 3).unwrap();
    let got = serde_json::to_value(&outline).unwrap();
    assert_eq!(got["total"], 51);
    assert_eq!(got["missing"], json!({"dropped": 0, "leftOut": 48}));
    // The build began last, and they name it for their parent all the same.
    assert_eq!(got["spans"]["parent"], json!([2, 2, -1]));
    assert!(outline_of(&[vec![span(2, 1)]], 3).is_none());
}

#[test]
fn a_span_that_is_stored_as_another_each_time_takes_no_more_room_than_one() {
    let again = |number: u64| Span {
        name: format!("name {number}").into(),
        pending: number < 30_000,
        ..span(1, 1)
    };
    let all: Vec<_> = (1..=30_000).map(again).collect();
    let mut gathered = Gathered::default();
    let parts = all.chunks(1_000);
    let taken = parts.take_while(|part| {
        gathered.add(part);
        !gathered.is_wasteful()
    });
    assert!(taken.count() < 12);
    let got = shown(&all);
    assert_eq!(
        (&got["total"], &got["names"]),
        (&json!(1), &json!(["name 30000"]))
    );
}

#[test]
fn long_words_are_cut_whoever_says_them() {
    let long = || "é".repeat(100_000);
    let spans = [Span {
        name: long().into(),
        op: long().into(),
        resource: made_by(&long()),
        attributes: vec![Attribute::new("gen_ai.tool.call.id", long())],
        ..span(1, 1)
    }];
    let got = shown(&spans);
    for words in ["names", "ops", "services"] {
        let word = got[words][0].as_str().unwrap();
        assert!(word.len() < 300 && word.ends_with('…'), "{word}");
    }
    assert_eq!(got["toolCalls"], json!({}));
}

/// Any spans, each id once, all of trace 1.
fn any_spans() -> impl Strategy<Value = Vec<Span>> {
    spans().prop_map(|spans| {
        let numbered = spans.into_iter().zip(1..);
        let own = numbered.map(|(mut span, number)| {
            span.trace_id = trace_id(1);
            span.span_id = span_id(number);
            span.parent_id = span.parent_id.map(|_| span_id(number / 2));
            if number % 5 == 0 {
                let kind = Said::Text(Text::Static("log"));
                span.attributes.push(Attribute::new("hopline.record", kind));
            }
            span
        });
        own.collect()
    })
}

fn hash(outline: &Outline) -> u64 {
    let mut hasher = DefaultHasher::new();
    outline.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_outline_says_the_same_however_its_spans_are_stored(spans in any_spans()) {
        let at_once = outline_of(std::slice::from_ref(&spans), 100_000).unwrap();
        let mut one_by_one: Vec<_> = spans.iter().map(|span| vec![span.clone()]).collect();
        one_by_one.reverse();
        let one_by_one = outline_of(&one_by_one, 100_000).unwrap();
        prop_assert_eq!(&at_once, &one_by_one);
        prop_assert_eq!(hash(&at_once), hash(&one_by_one));
        // As they began, as they were told wrongly at first, as they are, and once more as they began.
        let pending = |span: &Span| Span {
            pending: true,
            name: "before".into(),
            attributes: vec![Attribute::new("gen_ai.tool.call.id", "before")],
            links: Links::SameTrace([span_id(1), span_id(2)].into()),
            ..span.clone()
        };
        let finished: Vec<_> = spans.iter().filter(|span| !span.pending).collect();
        let begun: Vec<_> = finished.iter().map(|span| pending(span)).collect();
        let wrong = finished.iter().map(|span| Span {
            pending: false,
            ..pending(span)
        });
        let appends = [begun.clone(), wrong.collect(), spans.clone(), begun];
        prop_assert_eq!(&outline_of(&appends, 100_000).unwrap(), &at_once);

        let mut changed = spans;
        changed[0].status = match changed[0].status {
            SpanStatus::Ok => SpanStatus::Unset,
            _ => SpanStatus::Ok,
        };
        let changed = outline_of(&[changed], 100_000).unwrap();
        prop_assert!(hash(&at_once) != hash(&changed));
    }
}
