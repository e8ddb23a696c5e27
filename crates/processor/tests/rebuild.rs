//! Folding a log again: what the processor made of any build is what the log says, what somebody changed since is told
//! and put right, and where nobody can say, nothing is touched.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::said::{Said, decision, events, part, whole};
use common::{Build, World, delta, naive, quick_options, unnumbered};
use hopline_processor::Options;
use hopline_processor::rebuild::{Report, Verdict, rebuild};
use hopline_state::rows::DecisionKind;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;

/// Events that are wrong, that say little, or whose body the log does not keep.
fn odd() -> impl Strategy<Value = Said> {
    let part = |fields| Said::Whole("build-stream", fields);
    prop_oneof![
        Just(part(json!({"data": 5}))),
        Just(part(json!({"data": "data: {\"type\":\"text-delta\"}\n\n"}))),
        Just(part(json!({"data": "x".repeat(5_000)}))),
        Just(Said::Whole("build-completed", json!({"exitCode": "none"}))),
        Just(Said::Whole("build-failed", json!({"error": {}}))),
        Just(Said::Whole(
            "build-failed",
            json!({"error": "x", "projectId": "no project"})
        )),
        Just(Said::Whole(
            "log-chunk",
            json!({"stream": "stdout", "data": "x"})
        )),
        Just(Said::Whole("log-chunk", json!({}))),
        Just(Said::Whole("file-list", json!({"slug": "s", "files": []}))),
        Just(Said::Whole("error", json!({"error": "no end"}))),
        Just(Said::Whole(
            "events-lost",
            json!({"from": 1, "reason": "full"})
        )),
        Just(Said::Whole("port-detected", json!({"port": 70_000}))),
        Just(Said::Whole("of-later", json!({"anything": [1, null]}))),
    ]
}

/// Small enough that some of the generated events are too large.
fn options() -> Options {
    Options {
        max_event_bytes: 4_000,
        ..quick_options()
    }
}

async fn look(world: &World, build: &Build) -> Report {
    let report = world.handle.rebuild(build.session, false).await.unwrap();
    report.unwrap()
}

async fn repair(world: &World, build: &Build) -> Report {
    let report = world.handle.rebuild(build.session, true).await.unwrap();
    report.unwrap()
}

fn database(world: &World) -> Connection {
    Connection::open(world.folder().join("state.db")).unwrap()
}

/// Changes rows behind the program's back.
fn tamper(world: &World, build: &Build, sql: &str) {
    let sql = sql.replace("$session", &build.session.to_string());
    let sql = sql.replace("$command", &build.command);
    database(world).execute_batch(&sql).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rows_of_any_build_are_what_its_log_says(
        said in prop::collection::vec(prop_oneof![20 => part(), 1 => whole(), 3 => odd()], 1..120),
        runs in prop::collection::vec((1usize..30, prop::bool::weighted(0.1), decision()), 1..12),
        legacy in prop::bool::weighted(0.2),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::with(options()).await;
            let build = world.build().await;
            let mut events = events(&build, &said);
            if legacy {
                let numbered = std::mem::take(&mut events).into_iter().zip(1..);
                events = numbered.map(|(event, number)| unnumbered(event, "l", number)).collect();
            }
            let mut left = &events[..];
            let mut runs = runs.iter().cycle();
            while !left.is_empty() {
                let (length, restart, decision) = runs.next().unwrap();
                let (now, later) = left.split_at((*length).min(left.len()));
                world.submit(now).await;
                left = later;
                if let Some(kind) = *decision {
                    let decided = world.handle.decide(&build.command, kind, "gone".into());
                    decided.await.unwrap();
                }
                if *restart {
                    world = world.restart().await;
                }
            }
            let report = look(&world, &build).await;
            assert_eq!((report.verdict, &report.differences), (Verdict::Same, &Vec::new()));
            assert_eq!(report.last_seq, world.session(&build).await.last_seq);
        });
    }
}

/// A build with something in each of its tables, ended and quiet.
async fn full_build(world: &World) -> Build {
    let build = world.build().await;
    let plan = json!({"todos": [
        {"content": "one", "activeForm": "doing one", "status": "completed"},
        {"content": "two", "activeForm": "doing two", "status": "in_progress"},
    ]});
    let input = |seq, id: &str, name: &str, input| {
        let part = json!({"type": "tool-input-available", "toolCallId": id, "toolName": name, "input": input});
        build.part(seq, &part)
    };
    let output =
        json!({"type": "tool-output-available", "toolCallId": "c2", "output": {"is": "done"}});
    let before = [
        build.event("ack", 1, json!({})),
        input(2, "c1", "TodoWrite", plan),
        delta(&build, 3, "some text"),
    ];
    world.submit(&before).await;
    let silence = DecisionKind::Silence;
    let decided = world.handle.decide(&build.command, silence, "gone".into());
    assert!(decided.await.unwrap());
    let after = [
        input(4, "c2", "Read", json!({"a": 1})),
        build.part(5, &output),
        delta(&build, 6, " and more"),
        build.event(
            "build-completed",
            7,
            json!({"payload": {"todos": [], "summary": "done"}, "exitCode": 0}),
        ),
    ];
    world.submit(&after).await;
    world
        .raw_state(&build, |state| state["isActive"] == false)
        .await;
    build
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_in_any_table_is_told_and_put_right() {
    let world = World::new().await;
    let build = full_build(&world).await;
    assert_eq!(look(&world, &build).await.verdict, Verdict::Same);
    let good = naive::stored(&*world.store, &build).await;
    let session = "generation_sessions";
    for (sql, table, column) in [
        ("UPDATE generation_sessions SET status = 'failed' WHERE id = '$session'", session, Some("status")),
        ("UPDATE generation_sessions SET final = 0 WHERE id = '$session'", session, Some("final")),
        ("UPDATE generation_sessions SET incomplete = 1 WHERE id = '$session'", session, Some("incomplete")),
        ("UPDATE generation_sessions SET error_message = 'x' WHERE id = '$session'", session, Some("error_message")),
        ("UPDATE generation_sessions SET exit_code = NULL WHERE id = '$session'", session, Some("exit_code")),
        ("UPDATE generation_sessions SET ended_at = 5 WHERE id = '$session'", session, Some("ended_at")),
        ("UPDATE generation_sessions SET summary = 'x' WHERE id = '$session'", session, Some("summary")),
        ("UPDATE generation_sessions SET last_seq = 6 WHERE id = '$session'", session, Some("last_seq")),
        ("UPDATE generation_sessions SET updated_at = 6 WHERE id = '$session'", session, Some("updated_at")),
        (
            "UPDATE generation_sessions SET fold = replace(fold, '\"todoCount\":2', '\"todoCount\":1')
             WHERE id = '$session'",
            session,
            Some("fold"),
        ),
        (
            "UPDATE generation_sessions SET fold = replace(fold, '\"b\":18', '\"b\":9') WHERE id = '$session'",
            session,
            Some("fold"),
        ),
        (
            "UPDATE generation_sessions SET raw_state = replace(raw_state, 'more', 'less') WHERE id = '$session'",
            session,
            Some("raw_state"),
        ),
        ("UPDATE commands SET last_seq = 6 WHERE id = '$command'", "commands", Some("last_seq")),
        ("UPDATE commands SET status = 'failed' WHERE id = '$command'", "commands", Some("status")),
        ("UPDATE commands SET ended_at = NULL WHERE id = '$command'", "commands", Some("ended_at")),
        ("UPDATE generation_todos SET content = 'x' WHERE todo_index = 1", "generation_todos", Some("content")),
        ("DELETE FROM generation_todos WHERE todo_index = 0", "generation_todos", None),
        (
            "INSERT INTO generation_todos VALUES ('x', '$session', 7, 'x', 'x', 'pending', 1, 1)",
            "generation_todos",
            None,
        ),
        ("UPDATE generation_tool_calls SET output = '1' WHERE tool_call_id = 'c2'", "generation_tool_calls", Some("output")),
        ("UPDATE generation_tool_calls SET first_seq = 9 WHERE tool_call_id = 'c1'", "generation_tool_calls", Some("first_seq")),
        ("UPDATE generation_tool_calls SET first_seq = 4", "generation_tool_calls", Some("first_seq")),
        ("DELETE FROM generation_tool_calls WHERE tool_call_id = 'c1'", "generation_tool_calls", None),
        ("UPDATE generation_tool_calls SET tool_call_id = 'x' WHERE tool_call_id = 'c1'", "generation_tool_calls", None),
        ("UPDATE generation_notes SET content = content || '!'", "generation_notes", Some("content")),
        ("UPDATE generation_notes SET todo_index = 0", "generation_notes", Some("todo_index")),
        ("UPDATE generation_notes SET part = 1", "generation_notes", None),
        ("DELETE FROM generation_notes", "generation_notes", None),
    ] {
        tamper(&world, &build, sql);
        let report = look(&world, &build).await;
        assert_eq!(report.verdict, Verdict::Differs, "{sql}");
        let told = report.differences.iter();
        let mut told = told.map(|difference| (difference.table.as_str(), difference.column.as_deref()));
        assert!(told.any(|told| told == (table, column)), "{sql}: {report:?}");
        let report = repair(&world, &build).await;
        assert_eq!(report.verdict, Verdict::Repaired, "{sql}");
        let report = look(&world, &build).await;
        assert_eq!((report.verdict, report.differences), (Verdict::Same, Vec::new()), "{sql}");
        assert_eq!(naive::stored(&*world.store, &build).await, good, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_names_what_is_there_and_what_should_be() {
    let world = World::new().await;
    let build = full_build(&world).await;
    let long = "y".repeat(10_000);
    let sql = format!("UPDATE generation_notes SET content = '{long}'");
    tamper(&world, &build, &sql);
    let report = look(&world, &build).await;
    let [difference] = &report.differences[..] else {
        panic!("{report:?}");
    };
    assert_eq!(difference.key, "text t part 0");
    assert_eq!(difference.expected.as_deref(), Some("some text and more"));
    let found = difference.found.as_deref().unwrap();
    assert!(
        found.len() < 300 && found.ends_with("(10000 bytes)"),
        "{found}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_build_goes_on_from_rows_that_were_put_right() {
    let world = World::new().await;
    let build = world.build().await;
    let mut events: Vec<_> = (1..=3).map(|seq| delta(&build, seq, "text")).collect();
    world.submit(&events).await;
    tamper(&world, &build, "DELETE FROM generation_notes");
    tamper(
        &world,
        &build,
        "UPDATE generation_sessions SET incomplete = 1",
    );
    // Whoever takes the build up now believes what the rows say.
    let world = world.restart().await;
    let next = delta(&build, 4, " goes on");
    world.submit(std::slice::from_ref(&next)).await;
    events.push(next);
    assert_eq!(repair(&world, &build).await.verdict, Verdict::Repaired);
    let last = delta(&build, 5, " to its end");
    world.submit(std::slice::from_ref(&last)).await;
    events.push(last);
    assert_eq!(
        naive::stored(&*world.store, &build).await,
        naive::fold(&events)
    );
    assert_eq!(look(&world, &build).await.verdict, Verdict::Same);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rows_are_folded_from_is_told_to_be_wrong_and_left_alone() {
    let world = World::new().await;
    let build = full_build(&world).await;
    tamper(
        &world,
        &build,
        "DELETE FROM session_decisions WHERE kind = 'silence'",
    );
    for write in [false, true] {
        let report = world
            .handle
            .rebuild(build.session, write)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(report.verdict, Verdict::Differs);
        let difference = &report.differences[0];
        assert_eq!(difference.table, "session_decisions");
        assert_eq!(difference.found.as_deref(), Some("reopened: an event came"));
    }
    assert_eq!(world.store.decisions(build.session).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_whose_log_is_not_whole_is_left_alone() {
    let world = World::new().await;
    for (sql, verdict, missing) in [
        (
            "DELETE FROM runner_events WHERE command_id = '$command'",
            Verdict::LogRemoved,
            1,
        ),
        (
            "DELETE FROM runner_events WHERE command_id = '$command' AND seq < 3",
            Verdict::LogRemoved,
            1,
        ),
        (
            "DELETE FROM runner_events WHERE command_id = '$command' AND seq = 4",
            Verdict::LogIncomplete,
            4,
        ),
    ] {
        let build = full_build(&world).await;
        tamper(&world, &build, sql);
        tamper(
            &world,
            &build,
            "DELETE FROM generation_notes WHERE session_id = '$session'",
        );
        let broken = naive::stored(&*world.store, &build).await;
        let report = repair(&world, &build).await;
        assert_eq!(
            (report.verdict, report.missing_from),
            (verdict, Some(missing)),
            "{sql}"
        );
        assert_eq!(naive::stored(&*world.store, &build).await, broken);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_at_rest_are_put_right_without_a_processor() {
    let world = World::new().await;
    let build = full_build(&world).await;
    tamper(&world, &build, "DELETE FROM generation_notes");
    let scratch = tempfile::tempdir().unwrap();
    for verdict in [Verdict::Repaired, Verdict::Same] {
        let report = rebuild(&world.store, build.session, scratch.path(), true).await;
        assert_eq!(report.unwrap().unwrap().verdict, verdict);
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    let nobody = uuid::Uuid::new_v4();
    let none = rebuild(&world.store, nobody, scratch.path(), false).await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_nothing_was_heard_of_is_what_its_empty_log_says() {
    let world = World::new().await;
    let (silent, unreached) = (world.build().await, world.build().await);
    let unreachable = DecisionKind::Unreachable;
    let decided = world
        .handle
        .decide(&unreached.command, unreachable, "away".into());
    assert!(decided.await.unwrap());
    for build in [silent, unreached] {
        let report = look(&world, &build).await;
        assert_eq!(
            (report.verdict, report.differences),
            (Verdict::Same, Vec::new())
        );
    }
}
