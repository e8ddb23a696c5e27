//! What a runner has made is not lost when its process is killed: the next one sends it, and says of what was running
//! that it ended.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::spans::Trace;
use support::{Place, Service, eventually};

const ANY: &str = "127.0.0.1:0";

/// The builds of the project `shop` so far, the newest first.
fn builds(place: &Place) -> Vec<Value> {
    let listed = place.run(&["builds", "--json"]);
    let lines = listed.stdout.lines();
    let builds = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    builds.filter(|build| build["project"] == "shop").collect()
}

fn start_runner(place: &Place, broker: &str) -> Service {
    place.service(&["runner", "--id", "far", "--broker", broker])
}

/// Whether some file in this folder holds the text.
fn holds(folder: &Path, text: &str) -> Option<()> {
    let files = std::fs::read_dir(folder).ok()?;
    let mut contents = files.filter_map(|file| std::fs::read(file.ok()?.path()).ok());
    let holds = |bytes: Vec<u8>| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    contents.any(holds).then_some(())
}

/// What a build's program wrote, as the rows have it.
fn output(place: &Place, build: &Value) -> String {
    let rows = rusqlite::Connection::open(place.data().join("hopline.db")).unwrap();
    let mut query = rows
        .prepare(
            "SELECT content FROM generation_notes WHERE session_id = ? ORDER BY first_seq, part",
        )
        .unwrap();
    let session = build["sessionId"].as_str().unwrap();
    let parts = query
        .query_map([session], |row| row.get::<_, String>(0))
        .unwrap();
    parts.map(Result::unwrap).collect()
}

/// Waits until the newest but `newer` build has its final word.
fn ended(place: &Place, newer: usize) -> Value {
    eventually("the build has ended for good", || {
        let build = builds(place).into_iter().nth(newer)?;
        (build["final"] == true).then_some(build)
    })
}

#[test]
fn what_a_killed_runner_had_made_is_sent_by_the_next_one_and_its_build_ends_with_it() {
    let place = Place::new();
    let server = place.service(&["server", "--listen", ANY]);
    let broker = place.service(&["broker", "--listen", ANY]);
    let runner = start_runner(&place, &broker.url("broker"));
    let address = broker.address("broker").to_string();
    // The build runs on while there is no broker any more to take what it says.
    let script = "echo begun; until test -e go; do sleep 0.02; done; seq 1 5000; echo all-$((6*7)); sleep 304";
    let mut build = place.hopline(&["build", "shop", "--", "sh", "-c", script]);
    build.stdout(Stdio::null()).stderr(Stdio::null());
    eventually("the runner is known to the server", || {
        (place.run(&["build", "warm-up", "--", "true"]).code() == 0).then_some(())
    });
    let mut follower = build.spawn().unwrap();
    let running = eventually("the build runs", || {
        let build = builds(&place).into_iter().next()?;
        (build["events"].as_u64()? >= 5).then_some(build)
    });
    broker.kill();
    let folder = place.data().join("projects");
    let project = std::fs::read_dir(&folder).unwrap().flatten();
    project
        .filter(|entry| entry.file_name() != "warm-up")
        .for_each(|entry| std::fs::write(entry.path().join("go"), "").unwrap());
    eventually("everything said is on disk", || {
        holds(&place.data().join("outbox").join("far"), "all-42")
    });
    runner.kill();
    let broker = place.service(&["broker", "--listen", &address]);
    let runner = start_runner(&place, &broker.url("broker"));
    let ended = ended(&place, 0);
    assert_eq!(ended["sessionId"], running["sessionId"]);
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (&"failed".into(), &"runner restarted".into())
    );
    let said: Vec<String> = (1..=5_000).map(|line| line.to_string()).collect();
    let expected = format!("begun\n{}\nall-42\n", said.join("\n"));
    assert_eq!(output(&place, &ended), expected);
    assert_ne!(follower.wait().unwrap().code(), Some(0));
    // The trace is whole: the events of both processes went all the way, and the command has its end.
    let trace = ended["traceId"].as_str().unwrap();
    eventually("every event went all the way", || {
        let shown = place.run(&["trace", trace]);
        shown
            .stdout
            .contains("events went all the way")
            .then_some(())
    });
    let shown = place.run(&["trace", "--json", trace]).expect(0);
    let trace = Trace::read(&shown.stdout);
    let handled: Vec<_> = trace.named("handleCommand.start-build").collect();
    assert_eq!(handled.len(), 1, "{}", trace.outline());
    // And the next build has a runner.
    place.run(&["build", "shop", "--", "true"]).expect(0);
    drop((server, broker, runner));
}

#[test]
fn a_killed_run_leaves_its_project_free_and_its_build_ended() {
    let place = Place::new();
    let up = place.service(&["up", "--listen", ANY, "--broker-listen", ANY]);
    let script = "echo begun; echo $$ > begun; sleep 305";
    let mut run = place.hopline(&["run", "--", "sh", "-c", script]);
    let mut run = run
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the build runs", || {
        let build = builds(&place).into_iter().next()?;
        (build["events"].as_u64()? >= 5).then_some(())
    });
    run.kill().unwrap();
    run.wait().unwrap();
    let next = place.run(&["run", "--", "sh", "-c", "echo next"]).expect(0);
    assert!(next.stdout.contains("next"), "{next}");
    let ended = ended(&place, 1);
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (&"failed".into(), &"runner restarted".into())
    );
    assert_eq!(output(&place, &ended), "begun\n");
    let outboxes = std::fs::read_dir(place.data().join("outbox")).unwrap();
    let names: Vec<_> = outboxes.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["local"], "what is done with is removed");
    drop(up);
}

#[test]
fn two_runners_of_one_name_do_not_share_an_outbox() {
    let place = Place::new();
    let server = place.service(&["server", "--listen", ANY]);
    let broker = place.service(&["broker", "--listen", ANY]);
    let runner = start_runner(&place, &broker.url("broker"));
    let url = broker.url("broker");
    let second = place
        .run(&["runner", "--id", "far", "--broker", &url])
        .expect(75);
    assert!(
        second
            .stderr
            .contains("another runner of this name is running"),
        "{second}"
    );
    drop((server, broker, runner));
}
