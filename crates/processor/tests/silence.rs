//! What the processor decides of builds that nobody speaks for, and what takes it back.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{World, delta};
use hopline_processor::Options;
use hopline_state::SessionKey;
use hopline_state::rows::{DecisionKind, SessionStatus};
use serde_json::json;

#[tokio::test]
async fn a_runner_that_was_heard_of_in_time_is_not_unreachable() {
    let world = World::new().await;
    let build = world.build().await;
    world.submit(&[delta(&build, 1, "a")]).await;
    let unreachable = DecisionKind::Unreachable;
    let decided = world
        .handle
        .decide(&build.command, unreachable, "late".into());
    assert!(!decided.await.unwrap());
    assert_eq!(world.session(&build).await.status, SessionStatus::Active);
}

#[tokio::test]
async fn a_build_whose_runner_is_gone_fails_by_silence() {
    let options = Options {
        silence: std::time::Duration::ZERO,
        runner_gone_after: std::time::Duration::ZERO,
        watch_every: std::time::Duration::from_millis(20),
        ..common::quick_options()
    };
    let world = World::with(options).await;
    let build = world.build().await;
    let state = world
        .raw_state(&build, |state| state["isActive"] == false)
        .await;
    assert!(state["endTime"].is_string());
    let key = SessionKey::Command(build.command.clone());
    let session = world.store.session(key).await.unwrap().unwrap();
    assert!(session.error_message.unwrap().contains("nothing was heard"));
}

#[tokio::test]
async fn silence_from_before_the_start_does_not_count() {
    let silence = std::time::Duration::from_millis(400);
    let options = Options {
        silence,
        runner_gone_after: std::time::Duration::ZERO,
        watch_every: std::time::Duration::from_millis(10),
        ..common::quick_options()
    };
    // By the tests' clock the build began long ago.
    let world = World::with(options).await;
    let build = world.build().await;
    // Taken before the processor begins to watch, so that no slow machine makes it too late.
    let before = std::time::Instant::now();
    let world = world.restart().await;
    let build_fails = world.raw_state(&build, |state| state["isActive"] == false);
    build_fails.await;
    assert!(before.elapsed() >= silence, "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_build_whose_runner_was_started_anew_fails_by_silence_until_it_is_heard_of() {
    let options = Options {
        runner_gone_after: std::time::Duration::ZERO,
        watch_every: std::time::Duration::from_millis(20),
        ..common::quick_options()
    };
    let world = World::with(options).await;
    let build = world.build().await;
    let status = |uptime: f64| json!({"type": "runner-status", "runnerId": "r", "payload": {"uptimeSeconds": uptime}});
    world.submit(&[status(3600.0), delta(&build, 1, "a")]).await;
    assert_eq!(world.session(&build).await.status, SessionStatus::Active);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.session(&build).await.status == SessionStatus::Active {
        assert!(std::time::Instant::now() < deadline, "still running");
        world.submit(&[status(0.0)]).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let session = world.session(&build).await;
    assert!(!session.is_final && session.error_message.unwrap().contains("anew"));
    world.submit(&[delta(&build, 2, "b")]).await;
    assert_eq!(world.session(&build).await.status, SessionStatus::Active);
}

#[tokio::test]
async fn a_build_whose_runner_was_there_for_it_alone_fails_soon_until_it_is_heard_of() {
    let options = Options {
        runner_gone_after: std::time::Duration::from_millis(50),
        watch_every: std::time::Duration::from_millis(10),
        ..common::quick_options()
    };
    let world = World::with(options).await;
    let build = world.build().await;
    let status = json!({"type": "runner-status", "runnerId": "r", "payload": {"oneBuild": true}});
    world.submit(&[status, delta(&build, 1, "a")]).await;
    let failed = world.raw_state(&build, |state| state["isActive"] == false);
    failed.await;
    let session = world.session(&build).await;
    assert!(!session.is_final && session.error_message.unwrap().contains("alone"));
    let reply = world.submit(&[delta(&build, 2, "b")]).await;
    assert_eq!(reply.acked[&build.command], 2);
    world
        .submit(&[build.event("build-completed", 3, json!({}))])
        .await;
    assert!(world.session(&build).await.is_final);
}
