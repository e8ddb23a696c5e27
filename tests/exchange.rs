//! Spans taken from one Hopline to another, as files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "query")]

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::{Place, UP};

/// A build, and the id of its trace.
fn build(place: &Place) -> String {
    let built = place.run(&["run", "--json", "--", "sh", "-c", "echo one; echo two"]);
    let built = built.expect(0).last_json();
    built["traceId"].as_str().unwrap().to_owned()
}

/// Each span of a trace with its resource, in JSON. Attributes have no order of their own.
fn spans(place: &Place, trace: &str) -> Vec<String> {
    let shown = place.run(&["trace", trace, "--json"]).expect(0).stdout;
    let mut document: Value = serde_json::from_str(&shown).unwrap();
    let mut spans = Vec::new();
    for group in document["resourceSpans"].as_array_mut().unwrap() {
        let resource = group["resource"].clone();
        for scope in group["scopeSpans"].as_array_mut().unwrap() {
            let name = scope["scope"].clone();
            for span in scope["spans"].as_array_mut().unwrap() {
                if let Some(attributes) = span["attributes"].as_array_mut() {
                    attributes.sort_by_key(|one| one["key"].to_string());
                }
                spans.push(format!("{span} {resource} {name}"));
            }
        }
    }
    spans.sort();
    spans
}

#[test]
fn what_is_exported_is_taken_in_elsewhere_span_for_span() {
    let place = Place::new();
    let traces = [build(&place), build(&place)];
    let expected = traces.each_ref().map(|trace| spans(&place, trace));
    let count = expected.iter().map(Vec::len).sum::<usize>();
    assert!(count > 40, "{count}");
    let arrives = |to: &Place, file: &str| {
        let taken = to.run(&["import", file]).expect(0);
        assert_eq!(taken.stderr, format!("took {count} spans in\n"));
        for (trace, expected) in traces.iter().zip(&expected) {
            assert_eq!(&spans(to, trace), expected, "{file}");
        }
    };
    // Of a folder, and of a running Hopline; to a folder, and to a running one.
    let file = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (lines, columns) = (file("spans.jsonl"), file("spans.parquet"));
    let told = place.run(&["export", &columns]).expect(0).stderr;
    assert_eq!(told, format!("wrote {count} spans to {columns}\n"));
    place.run(&["export", &lines]).expect(0);
    let up = place.service(&UP);
    let (other_lines, other_columns) = (file("again.jsonl"), file("again.parquet"));
    place.run(&["export", &other_lines]).expect(0);
    place.run(&["export", &other_columns]).expect(0);
    drop(up);
    for file in [&lines, &columns] {
        arrives(&Place::new(), file);
    }
    let other = Place::new();
    let _up = other.service(&UP);
    for file in [&other_lines, &other_columns, &lines] {
        // More than once, it is there once.
        arrives(&other, file);
    }
}

#[test]
fn a_time_is_chosen_and_nothing_is_a_file_too() {
    let place = Place::new();
    let trace = build(&place);
    let all = place.run(&["export"]).expect(0).stdout;
    assert!(all.contains(&trace), "{all}");
    let recent = place
        .run(&["export", "-", "--since", "1h"])
        .expect(0)
        .stdout;
    assert_eq!(recent, all);
    let later = ["export", "--from", "2100-01-01T00:00:00Z"];
    assert_eq!(place.run(&later).expect(0).stdout, "");
    let earlier = ["export", "none.parquet", "--to", "2001-01-01T00:00:00Z"];
    let told = place.run(&earlier).expect(0).stderr;
    assert_eq!(told, "wrote 0 spans to none.parquet\n");
    let taken = place.run(&["import", "none.parquet"]).expect(0);
    assert_eq!(taken.stderr, "took 0 spans in\n");
    let never = place.run(&["export", "--from", "yesterday"]).expect(2);
    assert!(never.stderr.contains("2026-01-31T09:30:00.000Z"), "{never}");
    let columns = place.run(&["export", "--format", "parquet"]).expect(2);
    assert!(columns.stderr.contains("expected the name of a file"));
}

#[test]
fn what_is_no_file_of_spans_is_told_and_what_came_before_it_is_kept() {
    let place = Place::new();
    let trace = build(&place);
    let lines = place.run(&["export"]).expect(0).stdout;
    let other = Place::new();
    let half = &lines[..lines.len() - 20];
    other.write("half.jsonl", &format!("{lines}{half}"));
    let told = other.run(&["import", "half.jsonl"]).expect(2).stderr;
    assert!(
        told.contains("half.jsonl") && told.contains("EOF"),
        "{told}"
    );
    assert!(!told.contains("took 0 spans"), "{told}");
    assert_eq!(spans(&other, &trace), spans(&place, &trace));

    for (name, content, expected) in [
        ("text", "no JSON", "expected OTLP in JSON"),
        ("list", "[1]", "expected OTLP in JSON"),
        ("other.parquet", "PAR1 and no more", "other.parquet"),
    ] {
        other.write(name, content);
        let told = other.run(&["import", name]);
        assert_ne!(told.code(), 0, "{told}");
        assert!(told.stderr.contains(expected), "{name}: {told}");
    }
    let none = other.run(&["import", "missing"]).expect(66).stderr;
    assert!(none.contains("missing"), "{none}");

    // A document as other programs write it, of which one span is none; from standard input.
    let document = r#"{ "resourceSpans": [{ "scopeSpans": [{ "spans": [
        {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "good",
         "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000"},
        {"traceId": "00000000000000000000000000000000", "spanId": "eee19b7ec3c1b174", "name": "bad"}]}]}]}"#;
    other.write("document.json", document);
    let mut command = other.hopline(&["import", "-"]);
    let file = std::fs::File::open(other.project().join("document.json")).unwrap();
    command.stdin(Stdio::from(file));
    let taken = support::finish(command).expect(0).stderr;
    assert_eq!(taken, "took 1 spans in, refused 1 that are no spans\n");
    assert_eq!(spans(&other, "5b8efff798038103d269b633813fc60c").len(), 1);
}
