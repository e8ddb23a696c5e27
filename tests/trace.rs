//! The trace of a build: one tree from the request to the statements, with the right names, kinds and parents.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::HashSet;

use support::Place;
use support::spans::{Trace, assert_whole};

fn traced(args: &[&str]) -> Trace {
    let place = Place::new();
    let mut whole = vec!["run", "--json", "--"];
    whole.extend(args);
    let line = place.run(&whole).last_json();
    let shown = place
        .run(&["trace", "--json", line["traceId"].as_str().unwrap()])
        .expect(0);
    Trace::read(&shown.stdout)
}

#[test]
fn every_event_goes_from_the_runner_to_the_statements() {
    let trace = traced(&["sh", "-c", "for i in 1 2 3; do echo $i; echo $i >&2; done"]);
    assert_whole(&trace);
}

#[test]
fn spans_have_the_kinds_ops_and_attributes_that_the_contract_names() {
    // OpenTelemetry's numbers: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    let trace = traced(&["sh", "-c", "echo out; exit 1"]);
    let expected = [
        ("POST /api/projects/{id}/build", "http.server", 2),
        ("broker.routeCommand.start-build", "broker.command.route", 4),
        ("handleCommand.start-build", "runner.command", 5),
        ("runner.build", "build", 1),
        ("runner.sendEvent.build-failed", "runner.event.send", 4),
        (
            "broker.forwardEvent.build-failed",
            "broker.event.forward",
            4,
        ),
        (
            "api.runner.events.build-failed",
            "api.runner.event.process",
            2,
        ),
        (
            "persistent-processor.finalizeSession.failed",
            "db.persist.finalize",
            1,
        ),
    ];
    for (name, op, kind) in expected {
        let span = trace.only(name);
        assert_eq!((span.op(), span.kind), (op, kind), "{name}");
    }
    for span in trace.named("runner.sendEvent.") {
        assert_eq!(
            span.text("event.type"),
            span.name.strip_prefix("runner.sendEvent.")
        );
        assert!(span.text("event.projectId").is_some() && span.text("event.commandId").is_some());
    }
    for span in trace.named("persistent-processor.") {
        assert!(
            span.text("event.sessionId").is_some(),
            "{} has no session",
            span.name
        );
    }
    assert_eq!(
        trace
            .only("persistent-processor.finalizeSession")
            .text("session.status"),
        Some("failed")
    );
    for span in trace.spans.iter().filter(|span| span.op() == "db.query") {
        assert_eq!(span.text("db.system.name"), Some("sqlite"), "{}", span.name);
        assert_eq!(span.kind, 3, "{}", span.name);
        assert!(span.end >= span.start);
    }
    assert!(
        trace.only("runner.step.sh").is_error,
        "a failed step is marked: {}",
        trace.outline()
    );
}

#[test]
fn a_hop_begins_within_the_hop_before_it() {
    let trace = traced(&["true"]);
    for span in &trace.spans {
        if let Some(parent) = trace.parent(span) {
            assert!(
                span.start >= parent.start,
                "{} begins before {}",
                span.name,
                parent.name
            );
        }
    }
    let ids: HashSet<_> = trace.spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), trace.spans.len(), "each span is there once");
}

#[test]
fn the_way_of_a_builds_events_is_told_for_people_and_for_programs() {
    let place = Place::new();
    place
        .run(&["run", "--", "sh", "-c", "echo one; echo two"])
        .expect(0);
    let told = place.run(&["trace", "last", "--path"]).expect(0).stdout;
    for expected in [
        "runner.sendEvent ",
        "until broker.forwardEvent ",
        "until persistent-processor.persistEvent ",
        "traced events went all the way",
        "every span has its parent",
    ] {
        assert!(told.contains(expected), "no {expected:?} in {told}");
    }
    let path = place
        .run(&["trace", "last", "--path", "--json"])
        .expect(0)
        .last_json();
    assert_eq!(
        (&path["complete"], &path["gapCount"]),
        (&path["events"], &0.into())
    );
    assert_eq!(
        (&path["brokenParentCount"], &path["clocks"]),
        (&0.into(), &serde_json::json!([]))
    );
    let hops: Vec<_> = path["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| &hop["op"])
        .collect();
    let ways = [
        "runner.event.send",
        "broker.event.forward",
        "api.runner.event.process",
        "db.persist.event",
    ];
    assert_eq!(hops[..4], ways);
}
