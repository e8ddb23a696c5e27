//! How builds and their commands end, whatever the events that say so look like, and what comes after.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use common::{Build, World, at};
use hopline_processor::Options;
use hopline_state::Page;
use hopline_state::rows::{CommandStatus, DecisionKind, Outcome, SessionStatus};
use hopline_wire::ingest::RejectCode;
use serde_json::{Value, json};

fn delta(build: &Build, seq: u64, text: &str) -> Value {
    build.part(
        seq,
        &json!({"type": "text-delta", "id": "t", "delta": text}),
    )
}

#[tokio::test]
async fn what_nobody_reads_of_a_final_event_does_not_keep_the_build_from_its_end() {
    let world = World::new().await;
    let cases = [
        (
            "build-completed",
            json!({"payload": null, "exitCode": null}),
        ),
        (
            "build-completed",
            json!({"payload": {"todos": [{"title": null}], "summary": null}}),
        ),
        ("build-completed", json!({"payload": {"todos": "none"}})),
        ("build-failed", json!({"error": null})),
        (
            "build-failed",
            json!({"error": "x", "stack": 5, "code": {}, "signal": []}),
        ),
    ];
    for (kind, fields) in cases {
        let build = world.build().await;
        let reply = world.submit(&[build.event(kind, 1, fields.clone())]).await;
        assert!(reply.rejected.is_empty(), "{fields}: {reply:?}");
        let session = world.session(&build).await;
        assert!(session.is_final, "{fields}");
        assert_eq!(kind.strip_prefix("build-"), Some(session.status.as_str()));
    }
}

#[tokio::test]
async fn a_final_event_that_is_refused_for_a_field_still_ends_its_build() {
    let world = World::new().await;
    let completed = json!({"payload": {"summary": "done"}, "exitCode": "Q".repeat(500_000)});
    let build = world.build().await;
    let reply = world
        .submit(&[build.event("build-completed", 1, completed)])
        .await;
    let [rejection] = &reply.rejected[..] else {
        panic!("{reply:?}");
    };
    let told = "expected exitCode to be a whole number of 32 bits";
    assert_eq!(
        (rejection.code, rejection.error.as_str()),
        (RejectCode::BadEvent, told)
    );
    let session = world.session(&build).await;
    assert_eq!(
        (session.status, session.is_final, session.exit_code),
        (SessionStatus::Completed, true, None)
    );
    assert_eq!(session.summary.as_deref(), Some("done"));
    assert_eq!(world.command_row(&build).await.status, CommandStatus::Ended);
    let log = world
        .store
        .events(&build.command, 0, Page::default())
        .await
        .unwrap();
    assert_eq!(log[0].outcome, Outcome::Rejected);
    assert_eq!(
        log[0].reason.as_deref(),
        Some(&*format!("bad_event: {told}"))
    );

    let build = world.build().await;
    let failed = build.event(
        "build-failed",
        1,
        json!({"error": {"message": "x"}, "exitCode": 3}),
    );
    assert_eq!(world.submit(&[failed]).await.rejected.len(), 1);
    let session = world.session(&build).await;
    assert_eq!(
        (session.status, session.is_final, session.exit_code),
        (SessionStatus::Failed, true, Some(3))
    );
    assert_eq!(
        session.error_message.as_deref(),
        Some("expected error to be a text")
    );
}

#[tokio::test]
async fn an_end_after_a_decision_that_was_taken_back_ends_the_command_too() {
    let world = World::new().await;
    let build = world.build().await;
    world.submit(&[delta(&build, 1, "a")]).await;
    let silence = world
        .handle
        .decide(&build.command, DecisionKind::Silence, "gone".into());
    assert!(silence.await.unwrap());
    let done = build.event("build-completed", 3, json!({"exitCode": 0}));
    world
        .submit(&[delta(&build, 2, "b"), done, delta(&build, 4, "late")])
        .await;
    let session = world.session(&build).await;
    assert_eq!(
        (session.status, session.is_final),
        (SessionStatus::Completed, true)
    );
    let command = world.command_row(&build).await;
    assert_eq!(
        (command.status, command.ended_at),
        (CommandStatus::Ended, Some(at(3)))
    );
}

#[tokio::test]
async fn what_goes_on_after_the_end_is_not_written_in_full_each_time_and_not_forgotten() {
    let options = Options {
        refresh_after: Duration::from_millis(1),
        // Neither whoever looks for states that were left nor a pause between two events makes it forget to wait.
        watch_every: Duration::from_millis(1),
        idle_after: Duration::from_millis(1),
        ..Options::default()
    };
    let world = World::with(options).await;
    let build = world.build().await;
    let database = rusqlite::Connection::open(world.folder().join("state.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE writes (state TEXT);
             CREATE TRIGGER write AFTER UPDATE OF raw_state ON generation_sessions
             WHEN NEW.raw_state IS NOT OLD.raw_state
             BEGIN INSERT INTO writes VALUES (NEW.raw_state); END",
        )
        .unwrap();
    world
        .submit(&[build.event("build-completed", 1, json!({}))])
        .await;
    for seq in 2..200 {
        world.submit(&[delta(&build, seq, "late ")]).await;
        // Longer than the first wait.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    world.submit(&[delta(&build, 200, "the last")]).await;
    let world = world.restart().await;
    let state = world.store.raw_state(build.session).await.unwrap().unwrap();
    assert!(state.contains("the last"), "{state}");
    let writes: u32 = database
        .query_row("SELECT COUNT(*) FROM writes", [], |row| row.get(0))
        .unwrap();
    // The waits double, so even a minute of this is little more than a dozen writes.
    assert!(writes < 40, "{writes} writes");
}
