//! Old logs go, and nothing else: rows stay, late events are judged as ever, and nobody "repairs" what cannot be told.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use common::{Build, World, delta, naive, quick_options};
use hopline_processor::Options;
use hopline_processor::rebuild::Verdict;
use hopline_state::Page;
use hopline_state::rows::DecisionKind;
use rusqlite::Connection;
use serde_json::json;

/// As long as logs are kept in these tests: nothing in them takes so long.
const KEPT: Duration = Duration::from_secs(3600);

async fn world() -> World {
    World::with(Options {
        log_retention: Some(KEPT),
        retain_every: Duration::from_millis(20),
        ..quick_options()
    })
    .await
}

/// Makes what happened to a build so much older than it is.
fn age(world: &World, build: &Build, by: Duration) {
    let millis = by.as_millis();
    let (command, session) = (&build.command, build.session);
    let sql = format!(
        "UPDATE runner_events SET received_at = received_at - {millis} WHERE command_id = '{command}';
         UPDATE session_decisions SET at = at - {millis} WHERE session_id = '{session}';"
    );
    let database = Connection::open(world.folder().join("state.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database.execute_batch(&sql).unwrap();
}

async fn log(world: &World, build: &Build) -> Vec<u64> {
    let page = Page {
        rows: 100_000,
        bytes: usize::MAX,
    };
    let events = world.store.events(&build.command, 0, page).await.unwrap();
    events.iter().map(|event| event.seq).collect()
}

async fn wait_until_removed(world: &World, build: &Build) {
    for _ in 0..500 {
        if log(world, build).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the log was never removed");
}

/// Waits until the metrics say so.
async fn wait_until_told(world: &World, line: &str) {
    for _ in 0..500 {
        if world.metrics.render().contains(line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", world.metrics.render());
}

async fn ended(world: &World, events: u64) -> Build {
    let build = world.build().await;
    let mut said: Vec<_> = (1..events).map(|seq| delta(&build, seq, "text")).collect();
    said.push(build.event("build-completed", events, json!({"exitCode": 0})));
    world.submit(&said).await;
    build
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_log_goes_and_the_rows_stay() {
    let world = world().await;
    let (old, young, running) = (
        ended(&world, 2_500).await,
        ended(&world, 5).await,
        world.build().await,
    );
    world.submit(&[delta(&running, 1, "text")]).await;
    let rows = naive::stored(&*world.store, &old).await;
    // One that runs keeps its log however long ago it was heard of.
    age(&world, &running, KEPT * 2);
    age(&world, &young, KEPT / 2);
    age(&world, &old, KEPT * 2);
    wait_until_removed(&world, &old).await;
    assert_eq!(naive::stored(&*world.store, &old).await, rows);
    assert_eq!(log(&world, &young).await.len(), 5);
    assert_eq!(log(&world, &running).await.len(), 1);
    wait_until_told(&world, "hopline_log_events_removed_total 2500").await;
    let report = world.handle.rebuild(old.session, true).await.unwrap();
    assert_eq!(report.unwrap().verdict, Verdict::LogRemoved);
    assert_eq!(naive::stored(&*world.store, &old).await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_event_of_a_build_without_a_log_is_judged_as_ever() {
    let world = world().await;
    let build = world.build().await;
    let first: Vec<_> = (1..=4).map(|seq| delta(&build, seq, "text")).collect();
    world.submit(&first).await;
    let silence = DecisionKind::Silence;
    let decided = world.handle.decide(&build.command, silence, "gone".into());
    assert!(decided.await.unwrap());
    age(&world, &build, KEPT * 2);
    wait_until_removed(&world, &build).await;
    let world = world.restart().await;
    let reply = world.submit(&first).await;
    assert_eq!(reply.acked[&build.command], 4);
    assert!(
        log(&world, &build).await.is_empty(),
        "duplicates are told by last_seq"
    );
    let gap = world.submit(&[delta(&build, 6, "text")]).await;
    assert_eq!(gap.gaps[&build.command], 5);
    world.submit(&[delta(&build, 5, " and an end")]).await;
    let session = world.session(&build).await;
    assert_eq!(session.status.as_str(), "active");
    let stored = naive::stored(&*world.store, &build).await;
    let text = &stored.notes[&("text".to_owned(), "t".to_owned(), 0)].content;
    assert_eq!(text, "texttexttexttext and an end");
    let report = world.handle.rebuild(build.session, true).await.unwrap();
    assert_eq!(report.unwrap().verdict, Verdict::LogRemoved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_command_that_is_no_build_goes_likewise() {
    let world = world().await;
    let command = world.command("read-file").await;
    let answer = json!({"slug": "s", "filePath": "f", "content": "x", "encoding": "utf8"});
    world
        .submit(&[command.event("file-content", 1, answer)])
        .await;
    age(&world, &command, KEPT * 2);
    wait_until_removed(&world, &command).await;
    assert_eq!(world.command_row(&command).await.last_seq, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_kept_for_ever_if_that_is_asked() {
    let world = World::with(Options {
        log_retention: None,
        retain_every: Duration::from_millis(1),
        ..quick_options()
    })
    .await;
    let build = ended(&world, 3).await;
    age(&world, &build, KEPT * 10_000);
    let world = world.restart().await;
    world
        .raw_state(&build, |state| state["isActive"] == false)
        .await;
    assert_eq!(log(&world, &build).await.len(), 3);
}
