//! Several servers on one database.

use std::sync::Arc;

use hopline_state::contract_tests::fixtures::{ALL, build};
use hopline_state::contract_tests::postgres::{Server, Version};
use hopline_state::{BatchOutcome, Group, Store};

#[tokio::test]
async fn servers_that_start_at_once_make_the_schema_once() {
    let server = Server::start(Version::Debian);
    let start = || {
        let address = server.address();
        tokio::spawn(async move {
            hopline_state::postgres::PostgresStore::open(&address, 2)
                .await
                .unwrap()
        })
    };
    let started: Vec<_> = (0..4).map(|_| start()).collect();
    for store in started {
        store.await.unwrap().check().await.unwrap();
    }
}

/// Each of two servers takes every event; every event is in the log once, in its place, whoever was quicker.
#[tokio::test]
async fn of_two_servers_one_at_a_time_applies_the_events_of_a_command() {
    const EVENTS: u64 = 60;
    let server = Server::start(Version::Debian);
    let stores = [server.store().await, server.store().await].map(Arc::new);
    let builds = [build(&*stores[0], "a").await, build(&*stores[0], "b").await];
    let apply = |store: Arc<hopline_state::postgres::PostgresStore>, first: usize| {
        let builds = builds.clone();
        tokio::spawn(async move {
            let mut applied = 0;
            let mut next = [1, 1];
            // In one group each, in another order on each server: their locks must not cross.
            while next.iter().any(|next| *next <= EVENTS) {
                let open: Vec<_> = [first, 1 - first]
                    .into_iter()
                    .filter(|build| next[*build] <= EVENTS)
                    .collect();
                let batches = open
                    .iter()
                    .map(|build| builds[*build].batch(next[*build], next[*build]));
                let group = Group::new(batches.collect());
                let committed = store.commit(group).await.unwrap();
                for (build, outcome) in open.into_iter().zip(committed.outcomes) {
                    match outcome {
                        BatchOutcome::Applied => {
                            applied += 1;
                            next[build] += 1;
                        }
                        BatchOutcome::Moved { last_seq } => next[build] = last_seq + 1,
                    }
                }
            }
            applied
        })
    };
    let tasks = [
        apply(Arc::clone(&stores[0]), 0),
        apply(Arc::clone(&stores[1]), 1),
    ];
    let mut applied = 0;
    for task in tasks {
        applied += task.await.unwrap();
    }
    assert_eq!(applied, 2 * EVENTS);
    for build in &builds {
        let events = stores[0].events(&build.command.id, 0, ALL).await.unwrap();
        let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (1..=EVENTS).collect::<Vec<_>>());
    }
}
