//! Several servers on one database: whoever follows a build at one of them is told of what another one commits.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Build, World};
use hopline_processor::{Delivery, Interest, Subscription, UpdateKind};
use hopline_state::contract_tests::fixtures::ALL;
use hopline_state::contract_tests::postgres::{Server, Version};
use hopline_state::rows::{DecisionKind, SessionStatus};
use hopline_state::{SessionKey, Store};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

async fn two() -> (Server, [World; 2]) {
    let server = Server::start(Version::Debian);
    let worlds = [
        World::of_several(&server).await,
        World::of_several(&server).await,
    ];
    (server, worlds)
}

/// Somebody who follows a build, as a browser does: a snapshot whenever changes were left out, and the changes after it.
struct Watcher {
    subscription: Subscription,
    store: Arc<dyn Store>,
    session: uuid::Uuid,
    position: u64,
    text: String,
    status: String,
    snapshots: usize,
}

impl Watcher {
    async fn new(world: &World, build: &Build) -> Self {
        let interest = Interest::Session(build.session);
        let mut watcher = Self {
            subscription: world.handle.feed().subscribe(interest),
            store: Arc::clone(&world.store),
            session: build.session,
            position: 0,
            text: String::new(),
            status: String::new(),
            snapshots: 0,
        };
        watcher.look().await;
        watcher
    }

    async fn look(&mut self) {
        self.snapshots += 1;
        let whole = self.store.whole_session(self.session, 1 << 30).await;
        let whole = whole.unwrap().unwrap();
        self.position = whole.session.last_seq;
        self.status = whole.session.status.as_str().into();
        self.text = whole
            .notes
            .iter()
            .map(|note| note.content.as_str())
            .collect();
    }

    async fn take(&mut self) {
        let next = tokio::time::timeout(PATIENCE, self.subscription.next()).await;
        let Delivery::Change(change) = next.unwrap() else {
            return self.look().await;
        };
        let is_decision = change.seq == self.position;
        if change.seq < self.position {
            return;
        }
        assert!(
            change.after <= self.position,
            "a hole before {}",
            change.seq
        );
        for update in &change.updates {
            let data: Value = serde_json::from_str(update.data.get()).unwrap();
            match update.kind {
                UpdateKind::TextDelta if !is_decision => {
                    assert_eq!(change.after, self.position, "told in part");
                    self.text += data["delta"].as_str().unwrap();
                }
                UpdateKind::Session => self.status = data["status"].as_str().unwrap().into(),
                _ => {}
            }
        }
        self.position = change.seq;
    }

    async fn follow_until(&mut self, seq: u64, status: &str) {
        while self.position < seq || self.status != status {
            self.take().await;
        }
    }
}

fn delta(build: &Build, seq: u64) -> Value {
    let delta = format!("{seq} ");
    build.part(
        seq,
        &json!({"type": "text-delta", "id": "t", "delta": delta}),
    )
}

fn text(seqs: std::ops::RangeInclusive<u64>) -> String {
    seqs.map(|seq| format!("{seq} ")).collect()
}

#[tokio::test]
async fn what_one_server_commits_is_told_at_the_other_in_order_and_once() {
    let (_server, [here, there]) = two().await;
    let build = here.build().await;
    let mut watcher = Watcher::new(&there, &build).await;
    here.submit(&[delta(&build, 1)]).await;
    // The first that is heard of a build has it read as a whole.
    watcher.follow_until(1, "active").await;
    let snapshots = watcher.snapshots;
    for seq in 2..=40 {
        here.submit(&[delta(&build, seq)]).await;
    }
    watcher.follow_until(40, "active").await;
    here.submit(&[build.event("build-completed", 41, json!({"payload": {}}))])
        .await;
    watcher.follow_until(41, "completed").await;
    assert_eq!(watcher.text, text(1..=40));
    // One more if the server had only just begun to listen; all else is told change by change.
    assert!(watcher.snapshots <= snapshots + 1);
}

#[tokio::test]
async fn a_build_whose_events_come_to_both_servers_is_told_the_same_at_both() {
    const EVENTS: u64 = 300;
    let (_server, worlds) = two().await;
    let build = worlds[0].build().await;
    let mut watching = Vec::new();
    for world in &worlds {
        let mut watcher = Watcher::new(world, &build).await;
        watching.push(tokio::spawn(async move {
            watcher.follow_until(EVENTS + 1, "completed").await;
            watcher.text
        }));
    }
    for seq in 1..=EVENTS {
        // A few here, a few there.
        let world = &worlds[usize::from(seq / 7 % 2 == 1)];
        world.submit(&[delta(&build, seq)]).await;
    }
    let last = build.event("build-completed", EVENTS + 1, json!({"payload": {}}));
    worlds[0].submit(&[last]).await;
    for watched in watching {
        assert_eq!(watched.await.unwrap(), text(1..=EVENTS));
    }
    let events = worlds[1].store.events(&build.command, 0, ALL).await;
    let seqs: Vec<u64> = events.unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=EVENTS + 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_one_server_decides_the_other_tells_and_goes_on_from() {
    let (_server, [here, there]) = two().await;
    let build = here.build().await;
    let mut watcher = Watcher::new(&there, &build).await;
    // The other server has the build at hand, as it was before the decision.
    there.submit(&[delta(&build, 1)]).await;
    here.submit(&[delta(&build, 2)]).await;
    watcher.follow_until(2, "active").await;
    let reason = "nothing was heard".to_owned();
    let decided = here
        .handle
        .decide(&build.command, DecisionKind::Silence, reason)
        .await;
    assert!(decided.unwrap());
    watcher.follow_until(2, "failed").await;
    there.submit(&[delta(&build, 3)]).await;
    watcher.follow_until(3, "active").await;
    assert_eq!(watcher.text, text(1..=3));
    let decisions = here.store.decisions(build.session).await.unwrap();
    let kinds: Vec<_> = decisions.iter().map(|decision| decision.kind).collect();
    assert_eq!(kinds, [DecisionKind::Silence, DecisionKind::Reopened]);
    let session = here.store.session(SessionKey::Id(build.session)).await;
    assert_eq!(session.unwrap().unwrap().status, SessionStatus::Active);
}

#[tokio::test]
async fn a_server_that_heard_nothing_for_a_while_has_everybody_look_again() {
    let (server, [here, there]) = two().await;
    let build = here.build().await;
    let mut watcher = Watcher::new(&there, &build).await;
    here.submit(&[delta(&build, 1)]).await;
    watcher.follow_until(1, "active").await;
    let (operator, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let deaf = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE query LIKE '%hopline_moved%' AND pid <> pg_backend_pid()";
    let ended = operator.query(deaf, &[]).await.unwrap();
    assert!(!ended.is_empty());
    for seq in 2..=9 {
        here.submit(&[delta(&build, seq)]).await;
    }
    watcher.follow_until(9, "active").await;
    assert_eq!(watcher.text, text(1..=9));
}
