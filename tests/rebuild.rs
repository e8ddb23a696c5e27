//! `hopline rebuild`: what builds have left is what their logs say, on a data folder and on a running server; what
//! somebody changed since is told, and put right if asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use rusqlite::Connection;
use serde_json::Value;
use support::{Ended, Place};

const STEPS: &str = r#"
[[steps]]
name = "compile"
run = "echo compiled"

[[steps]]
name = "test"
run = "echo tested; exit 3"
"#;

/// The reports of `hopline rebuild --json`.
fn reports(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn verdicts(place: &Place, args: &[&str], code: i32) -> Vec<String> {
    let mut whole = vec!["rebuild", "--json"];
    whole.extend(args);
    let reports = reports(&place.run(&whole).expect(code));
    let verdicts = reports.iter().map(|report| report["verdict"].as_str());
    verdicts
        .map(|verdict| verdict.unwrap().to_owned())
        .collect()
}

/// Changes rows behind the program's back.
fn tamper(place: &Place, sql: &str) {
    let database = Connection::open(place.data().join("hopline.db")).unwrap();
    assert!(database.execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn rows_at_rest_are_what_the_log_says_until_somebody_changes_them() {
    let place = Place::new();
    place.write("steps.toml", STEPS);
    let first = place
        .run(&["run", "--json", "--", "echo", "hello"])
        .expect(0);
    let second = place
        .run(&["run", "--json", "--file", "steps.toml"])
        .expect(3);
    let [first, second] = [first, second].map(|ended| ended.last_json());
    assert_eq!(verdicts(&place, &["--all"], 0), ["same", "same"]);
    let session = second["sessionId"].as_str().unwrap();
    let sql = format!(
        "UPDATE generation_notes SET content = 'forged' WHERE session_id = '{session}' AND part = 0"
    );
    tamper(&place, &sql);
    assert_eq!(verdicts(&place, &["--all"], 1), ["differs", "same"]);
    let told = place.run(&["rebuild", session]).expect(1).stdout;
    assert!(
        told.contains("generation_notes") && told.contains("found     forged"),
        "{told}"
    );
    let command = first["commandId"].as_str().unwrap();
    assert_eq!(verdicts(&place, &[command], 0), ["same"]);
    let told = place.run(&["rebuild", "--all", "--write"]).expect(0).stdout;
    assert!(
        told.contains("2 builds: 1 as the log says, 1 put right"),
        "{told}"
    );
    assert_eq!(verdicts(&place, &["--all"], 0), ["same", "same"]);
    tamper(&place, "DELETE FROM runner_events");
    assert_eq!(
        verdicts(&place, &["--all", "--write"], 0),
        ["log_removed"; 2]
    );
    place.run(&["rebuild", session]).expect(66);
    place.run(&["rebuild", "no-such-build"]).expect(66);
    place.run(&["rebuild"]).expect(2);
}

#[test]
fn rows_of_a_running_server_are_put_right_while_it_runs() {
    let place = Place::new();
    let _up = place.service(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--broker-listen",
        "127.0.0.1:0",
    ]);
    let build = ["build", "shop", "--json", "--", "echo", "hello"];
    let build = place.run(&build).expect(0).last_json();
    let session = build["sessionId"].as_str().unwrap();
    assert_eq!(verdicts(&place, &[session], 0), ["same"]);
    tamper(&place, "UPDATE generation_sessions SET exit_code = 9");
    tamper(&place, "DELETE FROM generation_notes");
    assert_eq!(verdicts(&place, &["--all"], 1), ["differs"]);
    assert_eq!(verdicts(&place, &[session, "--write"], 0), ["repaired"]);
    assert_eq!(verdicts(&place, &["--all"], 0), ["same"]);
}
