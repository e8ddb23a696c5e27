//! A connection that breaks in the midst of a commit: was it committed or not?

use std::sync::Arc;

use hopline_state::contract_tests::fixtures::{ALL, Build, build, commit};
use hopline_state::contract_tests::postgres::{Server, Version};
use hopline_state::postgres::{CONNECTIONS, PostgresStore};
use hopline_state::{BatchOutcome, Group, Reason, StateError, Store};

use crate::proxy::Proxy;
use crate::{eventually, operator};

/// A database on TCP, a network to it, and a store behind that.
async fn behind_a_network() -> (Server, Proxy, Arc<PostgresStore>) {
    let server = Server::start_with(Version::Debian, &["listen_addresses=127.0.0.1"]);
    let proxy = Proxy::start(server.port()).await;
    let url = format!("postgres://hopline@127.0.0.1:{}/postgres", proxy.port);
    let store = PostgresStore::open(&url.parse().unwrap(), CONNECTIONS).await;
    (server, proxy, Arc::new(store.unwrap()))
}

/// A build with an event. So the connection has its statements prepared, and nothing but a group itself needs locks.
async fn begun(store: &PostgresStore) -> Build {
    let build = build(store, "a").await;
    commit(store, build.batch(1, 1)).await;
    build
}

async fn count(client: &tokio_postgres::Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Has every transaction with new events wait in its `COMMIT` for a lock.
const WAIT_AT_COMMIT: &str = "
    CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON runner_events
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit()";

/// Whether a statement of somebody else waits for a lock.
async fn somebody_waits(client: &tokio_postgres::Client) -> bool {
    count(client, "SELECT count(*) FROM pg_locks WHERE NOT granted").await > 0
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_counts_once() {
    let (_server, proxy, store) = behind_a_network().await;
    let build = begun(&store).await;
    proxy.lose_next_commit();
    let committed = store.commit(Group::new(vec![build.batch(2, 3)])).await;
    assert_eq!(committed.unwrap().outcomes, [BatchOutcome::Applied]);
    let events = store.events(&build.command.id, 0, ALL).await.unwrap();
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn a_commit_that_goes_on_without_its_connection_is_waited_for() {
    let (server, proxy, store) = behind_a_network().await;
    let build = begun(&store).await;
    let operator = operator(&server).await;
    operator.batch_execute(WAIT_AT_COMMIT).await.unwrap();
    operator
        .batch_execute("SELECT pg_advisory_lock(1)")
        .await
        .unwrap();
    let committing = tokio::spawn({
        let (store, group) = (Arc::clone(&store), Group::new(vec![build.batch(2, 3)]));
        async move { store.commit(group).await }
    });
    eventually("the commit waits", || somebody_waits(&operator)).await;
    proxy.cut();
    let asks = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_xact_status%'";
    eventually("the store asks what became of it", || async {
        count(&operator, asks).await > 0
    })
    .await;
    operator
        .batch_execute("SELECT pg_advisory_unlock(1)")
        .await
        .unwrap();
    let committed = committing.await.unwrap().unwrap();
    assert_eq!(committed.outcomes, [BatchOutcome::Applied]);
    let events = store.events(&build.command.id, 0, ALL).await.unwrap();
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn a_commit_that_the_database_gave_up_with_its_connection_did_not_take_place() {
    let (server, _proxy, store) = behind_a_network().await;
    let build = begun(&store).await;
    let operator = operator(&server).await;
    operator
        .batch_execute("BEGIN; LOCK TABLE runner_events IN SHARE MODE")
        .await
        .unwrap();
    let committing = tokio::spawn({
        let (store, group) = (Arc::clone(&store), Group::new(vec![build.batch(2, 3)]));
        async move { store.commit(group).await }
    });
    eventually("the commit waits", || somebody_waits(&operator)).await;
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE NOT granted";
    assert_eq!(count(&operator, ended).await, 1);
    let error = committing.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, StateError::Unavailable { reason, .. } if *reason == Reason::Disconnected),
        "{error:?}"
    );
    operator.batch_execute("COMMIT").await.unwrap();
    let again = store.commit(Group::new(vec![build.batch(2, 3)])).await;
    assert_eq!(again.unwrap().outcomes, [BatchOutcome::Applied]);
}

#[tokio::test]
async fn a_store_outlives_the_crash_of_its_database() {
    let (mut server, _proxy, store) = behind_a_network().await;
    let build = begun(&store).await;
    server.kill();
    let error = store.commit(Group::new(vec![build.batch(2, 2)])).await;
    let error = error.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(
        error.error_type(),
        Reason::Disconnected.as_str(),
        "{error:?}"
    );
    server.run();
    let committed = store.commit(Group::new(vec![build.batch(2, 2)])).await;
    assert_eq!(committed.unwrap().outcomes, [BatchOutcome::Applied]);
}
