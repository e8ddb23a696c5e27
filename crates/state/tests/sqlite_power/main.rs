//! What SQLite has committed survives a power cut at any operation. SQLite writes its files by itself, so its settings
//! decide it: this looks at what really reaches the system, through a library that is preloaded into this very test, and
//! forgets what was not synced.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod journal;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use hopline_state::Store;
use hopline_state::contract_tests::fixtures;
use hopline_state::sqlite::SqliteStore;

use journal::{Left, Operation};

const FOLDER: &str = "SEAM_FOLDER";

/// How many groups are committed.
const GROUPS: u64 = 6;

fn compile(library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sqlite_power/seam.c");
    let compiled = Command::new("cc")
        .args(["-O", "-shared", "-fPIC", "-o"])
        .args([library, &source])
        .args(["-ldl", "-pthread"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
}

/// Commits, and writes into a file of its own what it was told is committed: first the command, then how far it is.
#[tokio::main(flavor = "current_thread")]
async fn work(folder: &Path) {
    let store = SqliteStore::open(&folder.join("state.db")).unwrap();
    let acknowledge = |what: &str| std::fs::write(folder.join("acknowledged"), what).unwrap();
    let build = fixtures::build(&store, "shop").await;
    acknowledge(&format!("{} 0", build.command.id));
    for seq in 1..=GROUPS {
        if seq == GROUPS / 2 {
            // SQLite moves the log into the database, and begins it anew over what stands there.
            let other = rusqlite::Connection::open(folder.join("state.db")).unwrap();
            let moved = other.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0));
            assert_eq!(moved, Ok(0), "readers or writers were in the way");
        }
        fixtures::commit(&store, build.batch(seq, seq)).await;
        acknowledge(&format!("{} {seq}", build.command.id));
    }
    store.close().await;
}

/// What the database holds of a command, once it was opened after the cut: its last number, and those that its log has.
#[tokio::main(flavor = "current_thread")]
async fn found(database: &Path, command: &str) -> Option<(u64, Vec<u64>)> {
    let store = SqliteStore::open(database).unwrap();
    let loaded = store.load_command(command).await.unwrap()?;
    let events = store.events(command, 0, fixtures::ALL).await.unwrap();
    store.close().await;
    let seqs = events.iter().map(|event| event.seq).collect();
    Some((loaded.command.last_seq, seqs))
}

/// What was acknowledged last in these operations.
fn acknowledged(operations: &[Operation], folder: &Path) -> Option<(String, u64)> {
    let told = folder.join("acknowledged");
    let last = operations
        .iter()
        .rev()
        .find_map(|operation| match operation {
            Operation::Write { path, bytes, .. } if *path == told => Some(bytes),
            _ => None,
        });
    let (command, seq) = std::str::from_utf8(last?).unwrap().split_once(' ').unwrap();
    Some((command.to_owned(), seq.parse().unwrap()))
}

#[test]
fn what_was_committed_survives_a_power_cut_at_any_operation() {
    if let Some(folder) = env::var_os(FOLDER) {
        return work(Path::new(&folder));
    }
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    let at = |name: &str| place.join(name);
    let (library, folder, journal): (_, _, PathBuf) = (at("seam.so"), at("work"), at("journal"));
    std::fs::create_dir(&folder).unwrap();
    compile(&library);
    let name = "what_was_committed_survives_a_power_cut_at_any_operation";
    let worked = Command::new(env::current_exe().unwrap())
        .args(["--exact", name])
        .env("LD_PRELOAD", &library)
        .env("SEAM_JOURNAL", &journal)
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    assert!(
        worked.status.success(),
        "{}",
        String::from_utf8_lossy(&worked.stdout)
    );
    let operations = journal::read(&journal);
    let syncs = operations
        .iter()
        .filter(|operation| matches!(operation, Operation::Sync { .. }));
    let (all, syncs) = (operations.len(), syncs.count());
    assert!(
        all > 60 && syncs as u64 > GROUPS,
        "{all} operations, {syncs} of them syncs, were seen"
    );
    for cut in 0..=operations.len() {
        let acknowledged = acknowledged(&operations[..cut], &folder);
        for left in Left::ALL {
            let after = tempfile::tempdir().unwrap();
            journal::restore(&operations[..cut], left, &folder, after.path());
            let told =
                || format!("cut after operation {cut} of {all}, {left:?} of the unsynced left");
            let database = after.path().join("state.db");
            let Some((command, seq)) = &acknowledged else {
                // It must open all the same.
                found(&database, "nobody's");
                continue;
            };
            let (last_seq, seqs) =
                found(&database, command).unwrap_or_else(|| panic!("lost: {}", told()));
            assert!(
                last_seq >= *seq,
                "{last_seq} where {seq} was acknowledged: {}",
                told()
            );
            assert_eq!(seqs, (1..=last_seq).collect::<Vec<_>>(), "{}", told());
        }
    }
}
