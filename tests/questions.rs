//! Questions about the spans of real builds, asked in a terminal and over HTTP, of a data folder and of a running Hopline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "query")]

mod support;

use serde_json::{Value, json};
use support::{Place, UP, eventually, http};

fn build(place: &Place) -> Value {
    let built = place.run(&["run", "--json", "--", "sh", "-c", "echo one; echo two"]);
    built.expect(0).last_json()
}

fn rows(place: &Place, question: &str) -> Vec<Vec<Value>> {
    let answer = place
        .run(&["query", "--json", question])
        .expect(0)
        .last_json();
    serde_json::from_value(answer["rows"].clone()).unwrap()
}

#[test]
fn a_build_is_asked_about_in_the_folder_and_at_a_server() {
    let place = Place::new();
    let built = build(&place);
    let trace = built["traceId"].as_str().unwrap();
    let spans = built["spans"].as_u64().unwrap();
    let ask = || {
        // What the trace has, the questions see.
        let counted = rows(&place, &format!("count(span_id) where trace_id:{trace}"));
        let distinct = rows(
            &place,
            &format!("count_unique(span_id) where trace_id:{trace}"),
        );
        assert_eq!(distinct, [[json!(spans)]]);
        assert!(
            counted[0][0].as_f64().unwrap() <= spans as f64,
            "shared ones weigh less"
        );
        let hops = rows(
            &place,
            "count(spans) where name:\"persistent-processor.*\" by op order by op",
        );
        assert_eq!(hops[0][0], "db.persist.event");
        assert_eq!(hops[1], [json!("db.persist.finalize"), json!(1)]);
        let forwarded = rows(
            &place,
            "count() where op:broker.event.forward by event.type order by event.type",
        );
        let events: f64 = forwarded.iter().map(|row| row[1].as_f64().unwrap()).sum();
        let traced = rows(&place, "count() where op:runner.event.send");
        assert_eq!(traced, [[json!(events as u64)]]);
    };
    ask();
    let up = place.service(&UP);
    ask();
    let sql = place.run(&[
        "sql",
        "select op from spans where op = 'runner.command'",
        "--csv",
    ]);
    assert_eq!(sql.expect(0).stdout, "op\r\nrunner.command\r\n");
    drop(up);
    ask();
}

#[test]
fn the_same_is_asked_over_http() {
    let place = Place::new();
    build(&place);
    let up = place.service(&UP);
    let address = place.holder()["server"].as_str().unwrap().parse().unwrap();
    let secret = place.secret("admin_secret");
    let get = |path: &str| {
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
        );
        http(address, &request)
    };
    let answer = get("/api/query?q=count(spans)%20where%20op%3Abuild&format=csv");
    assert!(
        answer.contains("text/csv") && answer.ends_with("count(spans)\r\n1\r\n"),
        "{answer}"
    );
    let answer = get("/api/query?q=cuont(spans)");
    assert!(answer.starts_with("HTTP/1.0 400"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(
        (
            &body["code"],
            &body["start"],
            &body["end"],
            &body["suggestion"]
        ),
        (&json!("bad_query"), &json!(0), &json!(5), &json!("count"))
    );
    drop(up);
}

#[test]
fn a_mistake_is_shown_under_the_question() {
    let place = Place::new();
    build(&place);
    let asked = place.run(&["query", "avg(span.duration) wher op:x"]);
    let asked = asked.expect(2);
    assert!(
        asked.stderr.contains(
            "  avg(span.duration) wher op:x\n                     ^^^^\ndid you mean `where`?"
        ),
        "{}",
        asked.stderr
    );
    let asked = place.run(&["sql", "select nothing from spans"]);
    assert!(asked.expect(2).stderr.contains("nothing"));
    eventually("the folder is free again", || {
        (place.run(&["query", "count()"]).code() == 0).then_some(())
    });
}

#[test]
fn traces_are_looked_for_by_what_their_spans_are_and_a_builds_way_is_told_by_its_id() {
    let place = Place::new();
    let up = place.service(&UP);
    let good = build(&place);
    let bad = place
        .run(&["run", "--json", "--", "sh", "-c", "exit 3"])
        .expect(3)
        .last_json();
    let (address, admin) = (up.address("server"), place.secret("admin_secret"));
    let get = |path: &str| -> (bool, Value) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {admin}\r\nConnection: close\r\n\r\n"
        );
        let answer = http(address, &request);
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        let (from, to) = (answer.find('{').unwrap(), answer.rfind('}').unwrap());
        let body = serde_json::from_str(&answer[from..=to]).unwrap();
        (head.starts_with("HTTP/1.1 200"), body)
    };
    let found = |q: &str| -> Vec<Value> {
        let (_, body) = get(&format!("/api/traces?{q}"));
        let traces = body["traces"].as_array().unwrap().iter();
        traces.map(|trace| trace["traceId"].clone()).collect()
    };
    eventually("the failed build is found", || {
        let failed = found("q=op:runner.command%20status:error");
        (failed == [bad["traceId"].clone()]).then_some(())
    });
    let both = [bad["traceId"].clone(), good["traceId"].clone()];
    assert_eq!(found("q=name:%22handleCommand.*%22"), both);
    assert_eq!(found("q=name:%22handleCommand.*%22&limit=1"), both[..1]);
    let long_ago = "from=2000-01-01T00:00Z&to=2000-01-02T00:00Z";
    assert!(found(&format!("q=op:build%20or%20op:x&{long_ago}")).is_empty());
    assert_eq!(found("").len(), 2, "without conditions those of builds");
    let (is_good, mistake) = get("/api/traces?q=op:build%20duration%3E%3E5");
    assert!(!is_good);
    let place_of = (&mistake["start"], &mistake["code"]);
    assert_eq!(place_of, (&json!(18), &json!("bad_query")), "{mistake}");

    let session = good["sessionId"].as_str().unwrap();
    let (_, path) = get(&format!("/api/builds/{session}/path"));
    assert_eq!(
        (&path["complete"], &path["gapCount"]),
        (&path["events"], &json!(0))
    );
    assert_eq!(path["hops"][0]["op"], "runner.event.send");
    let (is_good, _) = get("/api/builds/3dcb3049-d3da-4769-a27d-f631b2b2ccdd/path");
    assert!(!is_good, "there is no such build");
}
