//! What keeps a database from doing something is told apart, and nothing is changed by it.

use std::sync::Arc;

use hopline_state::contract_tests::fixtures::{Build, build, commit};
use hopline_state::contract_tests::postgres::{Server, Version};
use hopline_state::postgres::{Address, CONNECTIONS, PostgresStore};
use hopline_state::{Group, Reason, StateError, Store};

use crate::{eventually, operator};

async fn open(server: &Server, options: &str, connections: usize) -> PostgresStore {
    let url = format!("{}?options={}", server.url(), options.replace(' ', "%20"));
    let address: Address = url
        .replace('=', "%3D")
        .replacen("%3D", "=", 1)
        .parse()
        .unwrap();
    PostgresStore::open(&address, connections).await.unwrap()
}

async fn reason(store: &PostgresStore, build: &Build) -> Reason {
    let committed = store.commit(Group::new(vec![build.batch(1, 1)])).await;
    match committed {
        Err(StateError::Unavailable { reason, .. }) => reason,
        other => panic!("expected that it is unavailable: {other:?}"),
    }
}

const HOLD: &str = "BEGIN; LOCK TABLE runner_events IN SHARE MODE";

#[tokio::test]
async fn a_lock_that_others_hold_too_long_is_told_as_that() {
    let server = Server::start(Version::Debian);
    let store = open(&server, "-c lock_timeout=100", CONNECTIONS).await;
    let build = build(&store, "a").await;
    let operator = operator(&server).await;
    operator.batch_execute(HOLD).await.unwrap();
    assert_eq!(reason(&store, &build).await, Reason::Locked);
    operator.batch_execute("COMMIT").await.unwrap();
    commit(&store, build.batch(1, 1)).await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_told_as_that() {
    let server = Server::start(Version::Debian);
    let store = open(&server, "-c statement_timeout=100", CONNECTIONS).await;
    let build = build(&store, "a").await;
    let operator = operator(&server).await;
    operator.batch_execute(HOLD).await.unwrap();
    assert_eq!(reason(&store, &build).await, Reason::Slow);
    operator.batch_execute("COMMIT").await.unwrap();
    commit(&store, build.batch(1, 1)).await;
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_told_as_that() {
    let server = Server::start(Version::Debian);
    let build = build(&server.store().await, "a").await;
    let operator = operator(&server).await;
    let set = |to| format!("ALTER DATABASE postgres SET default_transaction_read_only = {to}");
    operator.batch_execute(&set("on")).await.unwrap();
    let store = server.store().await;
    assert_eq!(reason(&store, &build).await, Reason::ReadOnly);
    // As after a failover: new connections find one that does.
    operator.batch_execute(&set("off")).await.unwrap();
    commit(&store, build.batch(1, 1)).await;
}

#[tokio::test]
async fn that_no_connection_is_free_is_told_as_that() {
    let server = Server::start(Version::Debian);
    let store = Arc::new(open(&server, "-c lock_timeout=0", 1).await);
    let build = build(&*store, "a").await;
    let operator = operator(&server).await;
    operator.batch_execute(HOLD).await.unwrap();
    let holding = tokio::spawn({
        let (store, group) = (Arc::clone(&store), Group::new(vec![build.batch(1, 1)]));
        async move { store.commit(group).await }
    });
    eventually("the commit has the connection", || async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        operator
            .query_one(waiting, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            > 0
    })
    .await;
    assert_eq!(reason(&store, &build).await, Reason::PoolExhausted);
    operator.batch_execute("COMMIT").await.unwrap();
    holding.await.unwrap().unwrap();
}
