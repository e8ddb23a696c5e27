//! Which events are settled, refused or held up, and what each kind of bad input gets.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Build, World, at, delta, incoming, naive, unnumbered};
use hopline_processor::Options;
use hopline_state::Page;
use hopline_state::rows::{CommandStatus, DecisionKind, Outcome, SessionStatus};
use hopline_wire::ingest::RejectCode;
use serde_json::{Value, json};

async fn text(world: &World, build: &Build) -> String {
    let notes = world.store.notes(build.session, None, Page::default());
    notes
        .await
        .unwrap()
        .into_iter()
        .map(|note| note.content)
        .collect()
}

#[tokio::test]
async fn an_event_sent_twice_changes_nothing() {
    let world = World::new().await;
    let build = world.build().await;
    let events = [delta(&build, 1, "a"), delta(&build, 2, "b")];
    for _ in 0..3 {
        let reply = world.submit(&events).await;
        assert_eq!(reply.acked[&build.command], 2);
        assert!(reply.ok && reply.rejected.is_empty() && reply.gaps.is_empty());
    }
    assert_eq!(text(&world, &build).await, "ab");
    let told = world.metrics.render();
    assert!(
        told.contains(r#"hopline_events_total{outcome="committed",reason=""} 2"#),
        "{told}"
    );
    assert!(
        told.contains(r#"hopline_events_total{outcome="duplicate",reason=""} 4"#),
        "{told}"
    );
    // Nobody looks into an event that was settled before.
    for (part_type, count) in [("text-delta", 2), ("build-stream", 4), ("other", 0)] {
        let line = format!(r#"events_processed_total{{part_type="{part_type}"}} {count}"#);
        assert!(told.contains(&line), "{told}");
    }
    assert!(
        told.contains(r#"persistence_duration_seconds_count{part_type="text-delta"} 2"#),
        "{told}"
    );
}

#[tokio::test]
async fn a_gap_holds_up_what_follows_it_and_nothing_of_others() {
    let world = World::new().await;
    let (build, other) = (world.build().await, world.build().await);
    let reply = world
        .submit(&[
            delta(&build, 1, "a"),
            delta(&build, 3, "c"),
            delta(&other, 1, "x"),
            delta(&build, 4, "d"),
        ])
        .await;
    assert_eq!(
        (reply.acked[&build.command], reply.acked[&other.command]),
        (1, 1)
    );
    assert_eq!(reply.gaps[&build.command], 2);
    assert!(reply.ok && !reply.gaps.contains_key(&other.command));
    let reply = world.submit(&[delta(&build, 4, "d")]).await;
    assert!(!reply.ok && reply.gaps[&build.command] == 2);
    let late = [
        delta(&build, 2, "b"),
        delta(&build, 3, "c"),
        delta(&build, 4, "d"),
    ];
    assert_eq!(world.submit(&late).await.acked[&build.command], 4);
    assert_eq!(text(&world, &build).await, "abcd");
}

#[tokio::test]
async fn events_of_one_request_are_taken_in_the_order_of_their_numbers() {
    let world = World::new().await;
    let build = world.build().await;
    let swapped = [delta(&build, 2, "b"), delta(&build, 1, "a")];
    assert_eq!(world.submit(&swapped).await.acked[&build.command], 2);
    assert_eq!(text(&world, &build).await, "ab");
}

#[tokio::test]
async fn unnumbered_events_are_numbered_and_a_retry_is_told_from_a_new_one() {
    let world = World::new().await;
    let build = world.build().await;
    let event = |text: &str, link: &str, number| unnumbered(delta(&build, 9, text), link, number);
    let first = [event("a", "l", 3), event("b", "l", 7)];
    assert_eq!(world.submit(&first).await.acked[&build.command], 2);
    let again = [event("b", "l", 7), event("c", "l", 8)];
    assert_eq!(world.submit(&again).await.acked[&build.command], 3);
    let world = world.restart().await;
    let reconnected = [event("c", "l", 8), event("d", "m", 1), event("d", "m", 1)];
    assert_eq!(world.submit(&reconnected).await.acked[&build.command], 4);
    assert_eq!(text(&world, &build).await, "abcd");
}

#[tokio::test]
async fn each_bad_event_is_refused_with_its_reason_uses_up_its_number_and_blocks_nothing() {
    let options = Options {
        max_event_bytes: 4_000,
        ..common::quick_options()
    };
    let world = World::with(options).await;
    let build = world.build().await;
    let good = delta(&build, 1, "a");
    let with = |key: &str, value: Value| {
        let mut event = good.clone();
        event[key] = value;
        event
    };
    let data = |data: &str| with("data", data.into());
    let cases = [
        (
            with("projectId", Value::Null),
            RejectCode::NoProject,
            "expected a projectId",
        ),
        (
            with("projectId", "elsewhere".into()),
            RejectCode::BadEvent,
            "expected the projectId",
        ),
        (
            with("projectId", json!(5)),
            RejectCode::BadEvent,
            "projectId to be a text",
        ),
        (
            with("type", json!(5)),
            RejectCode::BadEvent,
            "expected type",
        ),
        (
            with("data", json!({"a": 1})),
            RejectCode::BadEvent,
            "data to be a text",
        ),
        (data("hello"), RejectCode::BadPart, "server-sent"),
        (data("data: {\n\n"), RejectCode::BadPart, "JSON object"),
        (
            data("data: {\"type\":\"text-delta\",\"id\":\"t\",\"delta\":5}\n\n"),
            RejectCode::BadPart,
            "delta",
        ),
        (
            data(
                "data: {\"type\":\"tool-input-available\",\"toolCallId\":\"c\",\"toolName\":\"TodoWrite\",\"input\":{\"todos\":5}}\n\n",
            ),
            RejectCode::BadPart,
            "todos",
        ),
        (
            with("more", "x".repeat(5_000).into()),
            RejectCode::TooLarge,
            "at most 4000 bytes",
        ),
        (
            build.event("port-detected", 1, json!({"port": 70_000})),
            RejectCode::BadEvent,
            "expected port to be a whole number up to 65535",
        ),
    ];
    let count = cases.len() as u64;
    for (seq, (mut event, code, told)) in (1..).zip(cases) {
        event["seq"] = seq.into();
        let reply = world.submit(&[event]).await;
        let [rejection] = &reply.rejected[..] else {
            panic!("{reply:?}");
        };
        assert_eq!((rejection.code, rejection.seq), (code, Some(seq)));
        assert!(
            rejection.error.contains(told),
            "{} lacks {told:?}",
            rejection.error
        );
        assert_eq!(reply.acked[&build.command], seq);
    }
    let reply = world.submit(&[delta(&build, count + 1, "b")]).await;
    assert_eq!(reply.acked[&build.command], count + 1);
    assert_eq!(text(&world, &build).await, "b");
    let log = world
        .store
        .events(&build.command, 0, Page::default())
        .await
        .unwrap();
    assert_eq!(log.len() as u64, count + 1);
    assert!(
        log[..log.len() - 1]
            .iter()
            .all(|row| row.outcome == Outcome::Rejected)
    );
    assert_eq!(
        log[0].reason.as_deref(),
        Some("no_project: expected a projectId")
    );
    assert!(log[9].body.is_none(), "too large a body was kept");
}

#[tokio::test]
async fn an_event_that_nobody_can_place_is_refused_without_using_up_a_number() {
    let world = World::new().await;
    let build = world.build().await;
    let mut nowhere = delta(&build, 1, "a");
    nowhere["seq"] = "one".into();
    let mut nobodys = delta(&build, 1, "a");
    nobodys["commandId"] = json!(7);
    let reply = world
        .submit(&[nowhere, nobodys, delta(&build, 1, "a")])
        .await;
    assert_eq!(reply.rejected.len(), 2);
    assert!(
        reply
            .rejected
            .iter()
            .all(|rejection| rejection.code == RejectCode::BadEvent)
    );
    assert_eq!(reply.acked[&build.command], 1);
}

#[tokio::test]
async fn events_of_an_unknown_command_are_stored_and_settled() {
    let world = World::new().await;
    let mut build = world.build().await;
    build.command = "nobody-gave-this".into();
    let events = [delta(&build, 1, "a"), delta(&build, 2, "b")];
    for _ in 0..2 {
        let reply = world.submit(&events).await;
        assert_eq!(reply.acked[&build.command], 2);
        assert!(reply.rejected.is_empty());
    }
    let log = world
        .store
        .events(&build.command, 0, Page::default())
        .await
        .unwrap();
    assert_eq!(log.len(), 2);
    build.project = uuid::Uuid::new_v4();
    build.command = "of-no-project".into();
    let reply = world.submit(&[delta(&build, 1, "a")]).await;
    assert_eq!(reply.rejected[0].code, RejectCode::NoProject);
    assert_eq!(reply.acked[&build.command], 1);
}

#[tokio::test]
async fn lost_events_expire_and_mark_the_build_incomplete() {
    let world = World::new().await;
    let build = world.build().await;
    let lost = build.event(
        "events-lost",
        9,
        json!({"from": 2, "to": 9, "reason": "disk full"}),
    );
    let reply = world
        .submit(&[delta(&build, 1, "a"), lost, delta(&build, 10, "b")])
        .await;
    assert_eq!(reply.acked[&build.command], 10);
    assert!(world.session(&build).await.incomplete);
    let log = world
        .store
        .events(&build.command, 0, Page::default())
        .await
        .unwrap();
    let told: Vec<_> = log.iter().map(|row| (row.seq, row.outcome)).collect();
    let expected = [
        (1, Outcome::Committed),
        (9, Outcome::Expired),
        (10, Outcome::Committed),
    ];
    assert_eq!(told, expected);
    assert_eq!(log[1].reason.as_deref(), Some("disk full"));
    assert!(
        world
            .metrics
            .render()
            .contains(r#"outcome="expired",reason=""} 8"#)
    );
}

#[tokio::test]
async fn the_first_final_event_ends_the_build_and_late_parts_still_fold() {
    let world = World::new().await;
    let build = world.build().await;
    let error = build.event("error", 2, json!({"error": "odd", "code": "x"}));
    world
        .submit(&[build.event("ack", 1, json!({})), error])
        .await;
    assert_eq!(world.session(&build).await.status, SessionStatus::Active);
    assert_eq!(world.command_row(&build).await.status, CommandStatus::Acked);
    let failed = build.event(
        "build-failed",
        3,
        json!({"error": "cancelled", "exitCode": null}),
    );
    let completed = build.event("build-completed", 4, json!({"payload": {"todos": []}}));
    world
        .submit(&[failed, completed, delta(&build, 5, "late")])
        .await;
    let session = world.session(&build).await;
    assert_eq!(
        (session.status, session.is_final),
        (SessionStatus::Failed, true)
    );
    assert_eq!(session.error_message.as_deref(), Some("cancelled"));
    assert_eq!(session.ended_at, Some(at(3)));
    assert_eq!(
        world.command_row(&build).await.status,
        CommandStatus::Failed
    );
    let project = world.store.project(build.project).await.unwrap().unwrap();
    assert_eq!(project.error_message.as_deref(), Some("cancelled"));
    let state = world
        .raw_state(&build, |state| state["isActive"] == false)
        .await;
    assert_eq!(state["textByTodo"]["-1"][0]["text"], "late");
}

#[tokio::test]
async fn a_legacy_build_whose_todos_are_done_has_ended_until_something_else_comes() {
    let world = World::new().await;
    let build = world.build().await;
    let todos = json!([{"content": "a", "activeForm": "doing a", "status": "completed"}]);
    let plan = json!({"type": "tool-input-available", "toolCallId": "c", "toolName": "TodoWrite",
        "input": {"todos": todos}});
    world
        .submit(&[unnumbered(build.part(1, &plan), "l", 1)])
        .await;
    let session = world.session(&build).await;
    assert_eq!(
        (session.status, session.is_final),
        (SessionStatus::Completed, false)
    );
    world
        .submit(&[unnumbered(delta(&build, 2, "x"), "l", 2)])
        .await;
    assert_eq!(world.session(&build).await.status, SessionStatus::Active);
    let state = world
        .raw_state(&build, |state| state["isActive"] == true)
        .await;
    assert_eq!(state["todos"][0]["content"], "a");
    let numbered = world.build().await;
    world.submit(&[numbered.part(1, &plan)]).await;
    assert_eq!(world.session(&numbered).await.status, SessionStatus::Active);
}

#[tokio::test]
async fn a_decision_holds_until_the_next_event_takes_it_back() {
    let world = World::new().await;
    let build = world.build().await;
    world.submit(&[delta(&build, 1, "a")]).await;
    let decide = |kind| world.handle.decide(&build.command, kind, "gone".into());
    assert!(decide(DecisionKind::Silence).await.unwrap());
    assert!(!decide(DecisionKind::Silence).await.unwrap());
    let session = world.session(&build).await;
    assert_eq!(
        (session.status, session.is_final),
        (SessionStatus::Failed, false)
    );
    assert_eq!(
        world.command_row(&build).await.status,
        CommandStatus::Failed
    );
    world
        .raw_state(&build, |state| state["isActive"] == false)
        .await;
    world.submit(&[delta(&build, 2, "b")]).await;
    assert_eq!(world.session(&build).await.status, SessionStatus::Active);
    assert_eq!(world.command_row(&build).await.status, CommandStatus::Acked);
    let decisions = world.store.decisions(build.session).await.unwrap();
    let told: Vec<_> = decisions
        .iter()
        .map(|row| (row.after_seq, row.kind))
        .collect();
    assert_eq!(
        told,
        [(1, DecisionKind::Silence), (1, DecisionKind::Reopened)]
    );
    let done = build.event("build-completed", 3, json!({"payload": {}, "exitCode": 0}));
    world.submit(&[done]).await;
    assert!(!decide(DecisionKind::Silence).await.unwrap());
    assert_eq!(world.session(&build).await.status, SessionStatus::Completed);
    assert_eq!(world.command_row(&build).await.status, CommandStatus::Ended);
}

#[tokio::test]
async fn whether_a_projects_events_are_refused_does_not_depend_on_the_request_they_are_in() {
    let world = World::new().await;
    for together in [true, false] {
        let known = world.build().await;
        let unknown = Build {
            project: uuid::Uuid::new_v4(),
            command: uuid::Uuid::new_v4().to_string(),
            ..known.clone()
        };
        let late = Build {
            project: known.project,
            ..unknown.clone()
        };
        let events = [
            delta(&unknown, 1, "a"),
            delta(&unknown, 2, "b"),
            delta(&late, 3, "c"),
            delta(&unknown, 4, "d"),
        ];
        let mut told = Vec::new();
        for request in events.chunks(if together { 4 } else { 1 }) {
            told.extend(world.submit(request).await.rejected);
        }
        let told: Vec<_> = told.into_iter().map(|told| (told.seq, told.code)).collect();
        let expected = [
            (Some(1), RejectCode::NoProject),
            (Some(2), RejectCode::NoProject),
            (Some(4), RejectCode::BadEvent),
        ];
        assert_eq!(told, expected, "together: {together}");
    }
}

#[tokio::test]
async fn a_restart_goes_on_where_the_last_commit_ended() {
    let mut world = World::new().await;
    let build = world.build().await;
    let long = "é".repeat(5_000);
    let events: Vec<_> = (1..=9).map(|seq| delta(&build, seq, &long)).collect();
    for pair in events.chunks(2) {
        world.submit(pair).await;
        world = world.restart().await;
    }
    assert_eq!(world.submit(&events[..4]).await.acked[&build.command], 9);
    let stored = naive::stored(&*world.store, &build).await;
    assert_eq!(stored, naive::fold(&events));
}

#[tokio::test]
async fn a_deleted_projects_late_events_are_refused_and_block_nothing() {
    let world = World::new().await;
    let build = world.build().await;
    let failed = build.event("build-failed", 2, json!({"error": "no"}));
    world.submit(&[delta(&build, 1, "a"), failed]).await;
    world
        .store
        .delete_project(build.project)
        .await
        .unwrap()
        .unwrap();
    let reply = world.submit(&[delta(&build, 3, "b")]).await;
    // The command went with its project, so its numbers begin anew.
    assert_eq!(reply.gaps[&build.command], 1);
    let reply = world
        .submit(&[delta(&build, 1, "a"), delta(&build, 2, "b")])
        .await;
    assert_eq!(reply.acked[&build.command], 2);
    assert!(
        reply
            .rejected
            .iter()
            .all(|rejection| rejection.code == RejectCode::NoProject)
    );
}

#[tokio::test]
async fn what_other_commands_say_changes_their_project() {
    let world = World::new().await;
    let server = world.command("start-dev-server").await;
    let port = server.event(
        "port-detected",
        2,
        json!({"port": 5173, "framework": "vite"}),
    );
    world
        .submit(&[server.event("ack", 1, json!({})), port])
        .await;
    let project = || async { world.store.project(server.project).await.unwrap().unwrap() };
    assert_eq!(project().await.dev_server_port, Some(5173));
    let exited = server.event("process-exited", 3, json!({"exitCode": 0, "durationMs": 5}));
    world.submit(&[exited]).await;
    let project = project().await;
    assert_eq!(
        (
            project.dev_server_port,
            project.dev_server_status.as_deref()
        ),
        (None, Some("stopped"))
    );
    assert_eq!(
        world.command_row(&server).await.status,
        CommandStatus::Ended
    );
}

#[tokio::test]
async fn a_runners_status_is_kept_without_a_row_in_the_log() {
    let world = World::new().await;
    let status = json!({"type": "runner-status", "runnerId": "r", "payload": {"status": "ok"}});
    let link =
        json!({"type": "runner-status", "runnerId": "r", "brokerUrl": "http://b", "link": "down"});
    let reply = world.submit(&[status, link]).await;
    assert!(reply.ok && reply.acked.is_empty() && reply.rejected.is_empty());
    let runners = world.store.runners().await.unwrap();
    assert_eq!(runners[0].broker_url.as_deref(), Some("http://b"));
    assert_eq!(runners[0].link.as_str(), "down");
    assert_eq!(runners[0].payload.as_deref(), Some(r#"{"status":"ok"}"#));
}

#[tokio::test]
async fn many_requests_at_once_are_settled_each_by_itself() {
    let world = World::new().await;
    let builds = [
        world.build().await,
        world.build().await,
        world.build().await,
    ];
    let mut tasks = Vec::new();
    for build in builds.clone() {
        let handle = world.handle.clone();
        tasks.push(tokio::spawn(async move {
            for seq in 1..=100 {
                let events = incoming(&[delta(&build, seq, "x")]);
                let reply = handle.submit(events).await.unwrap().reply;
                assert_eq!(reply.acked[&build.command], seq);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for build in &builds {
        assert_eq!(text(&world, build).await, "x".repeat(100));
    }
}

#[tokio::test]
async fn a_command_that_was_idle_for_long_goes_on() {
    let options = Options {
        idle_after: std::time::Duration::from_millis(1),
        ..common::quick_options()
    };
    let world = World::with(options).await;
    let build = world.build().await;
    for seq in 1..=30 {
        let reply = world.submit(&[delta(&build, seq, "x")]).await;
        assert_eq!(reply.acked[&build.command], seq);
        tokio::time::sleep(std::time::Duration::from_millis(seq % 4)).await;
    }
    assert_eq!(text(&world, &build).await, "x".repeat(30));
}
