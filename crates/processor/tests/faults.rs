//! A database that refuses or fails: nothing is half applied, nothing blocks for ever, nobody else suffers.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use common::{Build, World, naive};
use hopline_processor::{Options, SubmitError};
use hopline_wire::ingest::RejectCode;
use rusqlite::Connection;
use serde_json::{Value, json};

fn delta(build: &Build, seq: u64, text: &str) -> Value {
    build.part(
        seq,
        &json!({"type": "text-delta", "id": "t", "delta": text}),
    )
}

fn database(world: &World) -> Connection {
    Connection::open(world.folder().join("state.db")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_the_database_never_takes_is_refused_and_the_others_go_through() {
    let world = World::new().await;
    let (poisoned, healthy) = (world.build().await, world.build().await);
    database(&world)
        .execute_batch(
            "CREATE TRIGGER poison BEFORE INSERT ON generation_notes WHEN NEW.content LIKE '%poison%'
             BEGIN SELECT RAISE(ABORT, 'poison'); END",
        )
        .unwrap();
    let events: Vec<_> = (1..=6)
        .map(|seq| delta(&poisoned, seq, if seq == 4 { "poison" } else { "fine" }))
        .collect();
    let others: Vec<_> = (1..=6).map(|seq| delta(&healthy, seq, "fine")).collect();
    let (reply, other) = tokio::join!(world.submit(&events), world.submit(&others));
    assert_eq!(reply.acked[&poisoned.command], 6);
    let [rejection] = &reply.rejected[..] else {
        panic!("{reply:?}");
    };
    assert_eq!(
        (rejection.seq, rejection.code),
        (Some(4), RejectCode::BadEvent)
    );
    assert_eq!(other.acked[&healthy.command], 6);
    assert!(other.rejected.is_empty());
    let mut expected = events.clone();
    expected[3] = poisoned.event("build-progress", 4, json!({}));
    let stored = naive::stored(&*world.store, &poisoned).await;
    assert_eq!(stored, naive::fold(&expected));
    let stored = naive::stored(&*world.store, &healthy).await;
    assert_eq!(stored, naive::fold(&others));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_the_database_could_not_take_are_handed_back_and_taken_once_later() {
    let options = Options {
        max_bytes_under_way: 8 << 10,
        patience: Duration::from_millis(100),
        ..common::quick_options()
    };
    let world = World::with(options).await;
    let (build, other) = (world.build().await, world.build().await);
    world.submit(&[delta(&build, 1, "a")]).await;
    let blocker = database(&world);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let events = [delta(&build, 2, "b"), delta(&build, 3, "c")];
    // Meanwhile what is too much is handed back at once, and not kept waiting with the rest.
    let long = [delta(&other, 1, &"x".repeat(20_000))];
    let (waiting, long) = tokio::join!(world.try_submit(&events), world.try_submit(&long));
    assert!(matches!(long, Err(SubmitError::Overloaded)));
    let error = waiting.unwrap_err();
    assert!(matches!(error, SubmitError::Unavailable(_)), "{error}");
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(world.submit(&events).await.acked[&build.command], 3);
    let stored = naive::stored(&*world.store, &build).await;
    let all = [
        delta(&build, 1, "a"),
        delta(&build, 2, "b"),
        delta(&build, 3, "c"),
    ];
    assert_eq!(stored, naive::fold(&all));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_another_server_moved_on_is_read_anew() {
    let mut builds = Vec::new();
    let world = World::new().await;
    // A second processor on the same database, as another server would have it.
    let other = world.beside().await;
    for _ in 0..3 {
        builds.push(world.build().await);
    }
    for seq in 1..=20 {
        for build in &builds {
            let processor = if seq % 3 == 0 { &other } else { &world.handle };
            let events = common::incoming(&[delta(build, seq, "x")]);
            let reply = processor.submit(events).await.unwrap().reply;
            assert_eq!(reply.acked[&build.command], seq, "{reply:?}");
        }
    }
    for build in &builds {
        let events: Vec<_> = (1..=20).map(|seq| delta(build, seq, "x")).collect();
        let stored = naive::stored(&*world.store, build).await;
        assert_eq!(stored, naive::fold(&events));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_begins_to_follow_during_a_commit_is_told_of_it() {
    let world = World::new().await;
    let build = world.build().await;
    let database = database(&world);
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let handle = world.handle.clone();
    let events = common::incoming(&[delta(&build, 1, "a")]);
    let submitted = tokio::spawn(async move { handle.submit(events).await });
    // Gives the event the time to reach the commit that waits for the lock. Whether it gets there or not, the
    // subscriber must hear of it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let interest = hopline_processor::Interest::Session(build.session);
    let mut following = world.handle.feed().subscribe(interest);
    let session = world.session(&build).await;
    assert_eq!(session.last_seq, 0, "not committed yet");
    database.execute_batch("COMMIT").unwrap();
    submitted.await.unwrap().unwrap();
    let told = tokio::time::timeout(Duration::from_secs(20), following.next()).await;
    assert!(
        told.is_ok(),
        "a change was neither told nor said to be missing"
    );
}
