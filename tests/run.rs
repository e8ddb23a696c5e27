//! `hopline run`: one build over the whole path in one process, as its user sees it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::HashSet;
use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use support::spans::Trace;
use support::{KilledOnDrop, Place, Running, eventually, finish, is_alive};

#[test]
fn a_command_that_ends_well_ends_the_run_well() {
    let place = Place::new();
    let ended = place.run(&["run", "--", "true"]).expect(0);
    assert!(ended.stdout.contains("completed"), "{ended}");
    assert!(
        ended.stdout.contains("POST /api/projects/{id}/build"),
        "{ended}"
    );
    assert_eq!(
        ended.stderr, "",
        "nothing is said on standard error: {ended}"
    );
}

#[test]
fn a_proxy_of_the_network_has_no_part_in_a_run_on_this_machine() {
    let place = Place::new();
    // Nothing answers there: whatever came to it would hang.
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let mut command = place.hopline(&["run", "--json", "--", "true"]);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        command.env(name, &address);
    }
    let line = finish(command).expect(0).last_json();
    assert!(line["spans"].as_u64() > Some(10), "{line}");
    let came = proxy.accept().map(|_| ());
    assert_eq!(
        came.unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "the proxy was asked for nothing"
    );
}

#[test]
fn the_commands_exit_code_is_passed_on() {
    let place = Place::new();
    for code in [1, 3, 77, 255] {
        let script = format!("exit {code}");
        place.run(&["run", "--", "sh", "-c", &script]).expect(code);
    }
}

#[test]
fn a_command_that_a_signal_ended_ends_the_run_as_shells_have_it() {
    let place = Place::new();
    place
        .run(&["run", "--", "sh", "-c", "kill -TERM $$"])
        .expect(143);
    place
        .run(&["run", "--json", "--", "sh", "-c", "kill -KILL $$"])
        .expect(137);
}

#[test]
fn a_command_that_is_not_there_fails_the_run_and_says_so() {
    let place = Place::new();
    let ended = place.run(&["run", "--", "no-such-program-anywhere"]);
    assert_ne!(ended.code(), 0, "{ended}");
    assert!(ended.stdout.contains("no-such-program-anywhere"), "{ended}");
}

#[test]
fn with_json_the_last_line_tells_the_outcome() {
    let place = Place::new();
    let ended = place
        .run(&["run", "--json", "--", "sh", "-c", "echo out; exit 4"])
        .expect(4);
    assert_eq!(ended.stdout.lines().count(), 1, "{ended}");
    let line = ended.last_json();
    let fields: HashSet<_> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "status",
        "exitCode",
        "traceId",
        "sessionId",
        "buildId",
        "commandId",
        "projectId",
        "durationMs",
        "events",
        "spans",
    ];
    assert_eq!(fields, HashSet::from(expected));
    assert_eq!(line["status"], "failed");
    assert_eq!(line["exitCode"], 4);
    assert_eq!(line["traceId"].as_str().map(str::len), Some(32));
    assert!(
        line["events"].as_u64() > Some(3) && line["spans"].as_u64() > Some(10),
        "{line}"
    );
    assert!(
        ended.stderr.contains("out"),
        "progress goes to standard error: {ended}"
    );
}

#[test]
fn the_output_of_a_build_is_whole_however_much_it_is() {
    let place = Place::new();
    // Nearly twice what a build's state holds of it, and written faster than anybody follows.
    let ended = place.run(&["run", "--", "seq", "1", "2000000"]).expect(0);
    let lines = ended.stdout.lines();
    let numbers = lines.filter_map(|line| line.strip_prefix("  │ ")?.parse::<u64>().ok());
    let mut expected = 1..=2_000_000;
    for (number, expected) in numbers.zip(&mut expected) {
        assert_eq!(number, expected, "lines are missing, or there twice");
    }
    assert_eq!(expected.next(), None, "the end is missing");
}

#[test]
fn steps_run_in_order_with_their_output_and_stderr() {
    let place = Place::new();
    place.write(
        "steps.toml",
        r#"
        prompt = "two steps"
        [[steps]]
        name = "first"
        run = "echo one; echo careful >&2"
        [[steps]]
        name = "second"
        run = ["sh", "-c", "echo $WHAT"]
        env = { WHAT = "two" }
        "#,
    );
    let ended = place.run(&["run", "--file", "steps.toml"]).expect(0);
    let at = |what: &str| {
        ended
            .stdout
            .find(what)
            .unwrap_or_else(|| panic!("no {what}: {ended}"))
    };
    let order = [
        "▶ first",
        "one",
        "✔ first",
        "▶ second",
        "two",
        "✔ second",
        "completed",
    ];
    assert!(order.map(at).is_sorted(), "{ended}");
    assert!(at("careful") < at("✔ first"), "{ended}");
    let tree = [
        "runner.step.first",
        "runner.step.second",
        "runner.build",
        "handleCommand.start-build",
    ];
    let _ = tree.map(at);
}

#[test]
fn a_step_that_fails_ends_the_build_with_its_exit_code() {
    let place = Place::new();
    let steps = "[[steps]]\nname = \"breaks\"\nrun = \"exit 9\"\n[[steps]]\nname = \"never\"\nrun = \"touch never\"\n";
    place.write("hopline-steps.toml", steps);
    let ended = place.run(&["run"]).expect(9);
    assert!(ended.stdout.contains("✘ breaks"), "{ended}");
    assert!(!place.project().join("never").exists());
}

#[test]
fn a_mistake_in_a_file_of_steps_is_told_with_its_place_before_anything_starts() {
    let place = Place::new();
    place.write("steps.toml", "[[steps]]\nname = \"a\"\nrun = 5\n");
    let ended = place.run(&["run", "--file", "steps.toml"]).expect(2);
    assert!(ended.stderr.contains("line 3, column 7"), "{ended}");
    assert!(ended.stderr.contains("steps.toml"), "{ended}");
    assert!(!place.data().exists(), "nothing was started");
}

#[test]
fn a_program_that_streams_parts_is_followed() {
    let place = Place::new();
    let script = r#"
        printf '%s\n' '{"type":"tool-input-available","toolCallId":"p","toolName":"TodoWrite","input":{"todos":[{"content":"think","activeForm":"thinking","status":"in_progress"}]}}' \
            'data: {"type":"text-delta","id":"t","delta":"hello "}' \
            '{"type":"text-delta","id":"t","delta":"world\n"}' \
            '{"type":"tool-input-available","toolCallId":"b","toolName":"Bash","input":{"command":"ls"}}' \
            '{"type":"tool-output-available","toolCallId":"b","output":"a file"}' \
            'plain words'
    "#;
    let ended = place
        .run(&["run", "--agent", "stream", "--", "sh", "-c", script])
        .expect(0);
    for what in ["▶ think", "hello world", "Bash", "a file", "plain words"] {
        assert!(ended.stdout.contains(what), "no {what}: {ended}");
    }
}

#[test]
fn builds_of_one_folder_are_of_one_project_and_can_be_looked_at_afterwards() {
    let place = Place::new();
    let first = place
        .run(&["run", "--json", "--", "true"])
        .expect(0)
        .last_json();
    let second = place
        .run(&["run", "--json", "--", "false"])
        .expect(1)
        .last_json();
    assert_eq!(first["projectId"], second["projectId"]);
    let listed = place.run(&["builds", "--json"]).expect(0);
    let lines: Vec<Value> = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert_eq!(
        lines[0]["sessionId"], second["sessionId"],
        "the newest first: {listed}"
    );
    assert_eq!(lines[1]["status"], "completed");
    assert_eq!(lines[1]["project"], "shop");
    let table = place.run(&["builds", "--status", "failed"]).expect(0);
    assert!(
        table.stdout.contains(second["traceId"].as_str().unwrap()),
        "{table}"
    );
    assert!(
        !table.stdout.contains(first["traceId"].as_str().unwrap()),
        "{table}"
    );

    let shown = place
        .run(&["trace", "--json", first["traceId"].as_str().unwrap()])
        .expect(0);
    let trace = Trace::read(&shown.stdout);
    assert_eq!(
        Some(trace.spans.len() as u64),
        first["spans"].as_u64(),
        "all spans are there: {}",
        trace.outline()
    );
    let last = place.run(&["trace", "last"]).expect(0);
    assert!(
        last.stdout.contains(second["traceId"].as_str().unwrap()),
        "{last}"
    );
    place
        .run(&["trace", &"0123456789abcdef".repeat(2)])
        .expect(66);
    place.run(&["trace", "no such build"]).expect(66);
}

#[test]
fn a_trace_that_is_sampled_out_has_no_spans_and_the_build_runs_all_the_same() {
    let place = Place::new();
    let line = place
        .run(&["run", "--json", "--sample-rate", "0", "--", "true"])
        .expect(0)
        .last_json();
    assert_eq!(line["spans"], 0);
    assert_eq!(line["status"], "completed");
}

#[test]
fn a_run_that_is_killed_leaves_no_child() {
    let place = Place::new();
    let mut command = place.hopline(&[
        "run",
        "--",
        "sh",
        "-c",
        "sleep 301 & echo $! > pid2; echo $$ > pid; wait",
    ]);
    let mut run = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let children = ["pid", "pid2"].map(|name| {
        eventually("the command runs", || {
            let text = std::fs::read_to_string(place.project().join(name)).ok()?;
            text.trim().parse::<u32>().ok()
        })
    });
    run.kill().unwrap();
    run.wait().unwrap();
    for child in children {
        eventually("the child has ended", || (!is_alive(child)).then_some(()));
    }
    // The folder is free again, and what the run left unfinished does not keep the next one.
    place.run(&["run", "--", "true"]).expect(0);
    let left = place
        .run(&["builds", "--status", "failed", "--json"])
        .expect(0);
    assert_eq!(
        left.stdout.lines().count(),
        1,
        "the build of the killed run has failed: {left}"
    );
}

#[test]
fn a_run_goes_through_the_hopline_that_holds_the_folder() {
    let place = Place::new();
    let up = place.service(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--broker-listen",
        "127.0.0.1:0",
    ]);
    let line = place
        .run(&["run", "--json", "--", "sh", "-c", "pwd > where; exit 5"])
        .expect(5)
        .last_json();
    assert_eq!(line["exitCode"], 5);
    let there = std::fs::read_to_string(place.project().join("where")).unwrap();
    assert_eq!(
        std::path::Path::new(there.trim()),
        place.project().canonicalize().unwrap()
    );
    let shown = place
        .run(&["trace", "--json", line["traceId"].as_str().unwrap()])
        .expect(0);
    support::spans::assert_whole(&Trace::read(&shown.stdout));
    let listed = place
        .run(&["builds", "--json", "--server", &up.url("server")])
        .expect(0);
    assert!(
        listed.stdout.contains(line["sessionId"].as_str().unwrap()),
        "{listed}"
    );
    let (status, log) = up.terminate();
    assert!(status.success(), "{log}");
}

#[test]
fn two_runs_at_once_share_one_server() {
    let place = Place::new();
    let slow = place.hopline(&[
        "run",
        "--project",
        "one",
        "--",
        "sh",
        "-c",
        "while ! [ -e go ]; do sleep 0.02; done",
    ]);
    let first = Running::start(slow);
    place.holder();
    let second = place
        .run(&["run", "--project", "two", "--", "true"])
        .expect(0);
    assert!(second.stdout.contains("completed"), "{second}");
    place.write("go", "");
    first.finish().expect(0);
}

#[test]
fn the_tree_of_a_long_build_is_folded_unless_asked_for_in_full() {
    let place = Place::new();
    let script = r#"i=0; while [ $i -lt 400 ]; do echo "{\"type\":\"text-delta\",\"id\":\"t\",\"delta\":\"$i\"}"; i=$((i+1)); done"#;
    let ended = place
        .run(&["run", "--agent", "stream", "--", "sh", "-c", script])
        .expect(0);
    assert!(
        ended
            .stdout
            .contains("more runner.sendEvent.build-stream: total"),
        "{ended}"
    );
    assert!(
        ended.stdout.lines().count() < 300,
        "{} lines",
        ended.stdout.lines().count()
    );
    let full = place.run(&["trace", "last", "--full"]).expect(0);
    assert!(
        full.stdout.lines().count() > 1_600,
        "{} lines",
        full.stdout.lines().count()
    );
}

#[test]
fn nothing_to_run_is_a_mistake_of_the_caller() {
    let place = Place::new();
    let ended = place.run(&["run"]).expect(2);
    assert!(ended.stderr.contains("nothing to run"), "{ended}");
    place
        .run(&["run", "--agent", "steps", "--", "true"])
        .expect(2);
    place.run(&["no-such-command"]).expect(2);
    let ended = place.run(&["builds"]).expect(66);
    assert!(ended.stderr.contains("nothing to look at"), "{ended}");
}

#[test]
fn runs_that_begin_and_end_beside_each_other_all_end_well() {
    let place = Place::new();
    for _ in 0..3 {
        let runs: Vec<_> = (0..6)
            .map(|number| {
                let project = format!("p{number}");
                let run =
                    place.hopline(&["run", "--project", &project, "--", "sh", "-c", "exit 4"]);
                // Each begins while another one may be on its way out.
                std::thread::sleep(Duration::from_millis(60));
                Running::start(run)
            })
            .collect();
        for run in runs {
            run.finish().expect(4);
        }
    }
}

#[test]
fn a_trace_that_is_read_slowly_holds_nobody_up() {
    let place = Place::new();
    // More than a pipe holds.
    let stream = r#"i=0; while [ $i -lt 300 ]; do echo "{\"type\":\"text-delta\",\"id\":\"t\",\"delta\":\"$i\"}"; i=$((i+1)); done"#;
    place
        .run(&["run", "--agent", "stream", "--", "sh", "-c", stream])
        .expect(0);
    for shown in ["--full", "--json"] {
        let mut trace = place.hopline(&["trace", "last", shown]);
        trace.stdout(std::process::Stdio::piped());
        let mut trace = KilledOnDrop(trace.spawn().unwrap());
        let mut out = trace.0.stdout.take().unwrap();
        let mut first = [0; 1];
        out.read_exact(&mut first).unwrap();
        place
            .run(&["run", "--project", "other", "--", "true"])
            .expect(0);
        let up = place.service(&[
            "up",
            "--listen",
            "127.0.0.1:0",
            "--broker-listen",
            "127.0.0.1:0",
        ]);
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        assert!(rest.len() > 64 << 10, "{} bytes", rest.len());
        assert!(trace.0.wait().unwrap().success());
        up.terminate();
        // The next form is asked for the same build, not for the short one between.
        place
            .run(&["run", "--agent", "stream", "--", "sh", "-c", stream])
            .expect(0);
    }
}

#[test]
fn a_broker_without_its_server_is_a_mistake_of_the_caller() {
    let place = Place::new();
    let mut command = place.hopline(&["run", "--", "true"]);
    command.env("HOPLINE_BROKER", "http://127.0.0.1:9");
    let ended = support::finish(command).expect(2);
    assert!(ended.stderr.contains("--server"), "{ended}");
}

#[test]
fn a_trace_is_found_by_each_id_of_its_build() {
    let place = Place::new();
    let line = place
        .run(&["run", "--json", "--", "true"])
        .expect(0)
        .last_json();
    let trace = line["traceId"].as_str().unwrap();
    let all_found = || {
        for id in ["traceId", "sessionId", "buildId", "commandId"] {
            let shown = place.run(&["trace", line[id].as_str().unwrap()]).expect(0);
            assert!(shown.stdout.contains(trace), "{id}: {shown}");
        }
        place.run(&["trace", &trace.to_uppercase()]).expect(0);
    };
    all_found();
    let up = place.service(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--broker-listen",
        "127.0.0.1:0",
    ]);
    all_found();
    up.terminate();
}

#[test]
fn an_output_that_is_closed_early_is_no_failure_and_hides_none() {
    let place = Place::new();
    let closed = |args: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.hopline(args);
        let child = command.stdout(writer).stderr(std::process::Stdio::piped());
        let output = child.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), told)
    };
    let (code, told) = closed(&["run", "--", "sh", "-c", "exit 7"]);
    assert!(code == Some(7) && !told.contains("pipe"), "{code:?} {told}");
    let (code, told) = closed(&["builds"]);
    assert!(code == Some(141) && told.is_empty(), "{code:?} {told}");
}
