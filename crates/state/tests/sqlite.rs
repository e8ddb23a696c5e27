//! SQLite: the suite that every database must pass, and what concerns its file.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use hopline_state::contract_tests::fixtures;
use hopline_state::sqlite::SqliteStore;
use hopline_state::{StateError, Store, contract_tests};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A store in a folder that goes with it.
struct Temporary {
    store: SqliteStore,
    _folder: TempDir,
}

impl Deref for Temporary {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

fn temporary() -> Temporary {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
    Temporary {
        store,
        _folder: folder,
    }
}

contract_tests!(temporary());

fn open_error(path: &Path) -> StateError {
    match SqliteStore::open(path) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn what_was_committed_is_there_when_the_database_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let build = fixtures::build(&store, "a").await;
    fixtures::commit(&store, build.batch(1, 3)).await;
    store.close().await;
    assert!(store.check().await.unwrap_err().is_transient());
    let store = SqliteStore::open(&path).unwrap();
    let loaded = store
        .load_command(&build.command.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(loaded.command.last_seq, 3);
}

#[test]
fn a_database_of_a_newer_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(SqliteStore::open(&path).unwrap());
    let newer = Connection::open(&path).unwrap();
    newer
        .execute(
            "INSERT INTO schema_migrations VALUES (99, 'later', 'x', 0)",
            [],
        )
        .unwrap();
    let error = open_error(&path);
    assert!(
        matches!(error, StateError::NewerSchema { found: 99, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("run a newer hopline"));
    newer
        .execute("DELETE FROM schema_migrations WHERE version = 99", [])
        .unwrap();
    SqliteStore::open(&path).unwrap();
}

#[test]
fn another_history_of_the_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(SqliteStore::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other
        .execute("UPDATE schema_migrations SET checksum = 'other'", [])
        .unwrap();
    let error = open_error(&path);
    assert!(
        matches!(error, StateError::ChangedMigration { version: 1 }),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_of_the_first_version_gets_what_came_since_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let first = Connection::open(&path).unwrap();
    let sql = include_str!("../migrations/sqlite/0001_rows_and_log.sql");
    let checksum: String = Sha256::digest(sql)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    first.execute_batch(sql).unwrap();
    first
        .execute_batch(
            "CREATE TABLE schema_migrations (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL,
                 checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT;
             INSERT INTO runners VALUES ('old', NULL, 'down', NULL, 1);",
        )
        .unwrap();
    first
        .execute(
            "INSERT INTO schema_migrations VALUES (1, 'rows_and_log', ?, 1)",
            [checksum],
        )
        .unwrap();
    drop(first);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.runners().await.unwrap()[0].id, "old");
    contract_tests::tokens::a_token_is_live_by_its_own_hash_until_it_is_revoked(&store).await;
}

#[test]
fn several_programs_that_start_at_once_find_one_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = Arc::new(folder.path().join("state.db"));
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let path = Arc::clone(&path);
            std::thread::spawn(move || SqliteStore::open(&path).map(drop))
        })
        .collect();
    for start in starts {
        start.join().unwrap().unwrap();
    }
    let connection = Connection::open(&*path).unwrap();
    let migrations = connection.query_row("SELECT count(*) FROM schema_migrations", [], |row| {
        row.get(0)
    });
    assert_eq!(migrations, Ok(4));
}

#[test]
fn a_file_that_is_no_database_and_a_folder_that_is_not_there_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    std::fs::write(&path, "Dear all, ".repeat(1_000)).unwrap();
    let error = open_error(&path);
    assert!(matches!(error, StateError::Broken { .. }), "{error}");
    let error = open_error(&folder.path().join("nowhere/state.db"));
    assert!(matches!(error, StateError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("open the database"));
}

#[tokio::test]
async fn the_log_of_changes_stays_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let build = fixtures::build(&store, "a").await;
    for round in 0..60 {
        let mut batch = build.batch(round * 10 + 1, round * 10 + 10);
        let mut call = fixtures::call(&format!("c{round}"), round);
        call.output = Some(format!("\"{}\"", "x".repeat(1 << 20)));
        fixtures::of(&mut batch).tool_calls = vec![call];
        fixtures::commit(&store, batch).await;
    }
    let log = folder.path().join("state.db-wal").metadata().unwrap().len();
    assert!(log < 32 << 20, "{log} bytes");
}
