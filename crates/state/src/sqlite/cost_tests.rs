//! What a commit costs does not grow with the build: counted in the database's own steps and pages, not in time.

use std::collections::HashMap;
use std::sync::Arc;

use hopline_wire::part::{TextKind, TodoStatus};
use parking_lot::Mutex;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};

use super::{commit, migrate, projects, sessions, threads};
use crate::contract_tests::fixtures::{self, Build, at};
use crate::group::{CommandBatch, Group, NoteAppend, RawState};
use crate::rows::{Todo, ToolCall, ToolState};

const EVENTS: u64 = 50;

/// The steps that each statement has taken so far, and those of them that walked through a table.
type Steps = Arc<Mutex<HashMap<String, (i32, i32)>>>;

fn counted(connection: &mut Connection) -> Steps {
    let steps = Steps::default();
    let kept = Arc::clone(&steps);
    let note = move |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            let steps = statement.get_status(StatementStatus::VmStep);
            let walked = statement.get_status(StatementStatus::FullscanStep);
            kept.lock()
                .insert(statement.sql().into_owned(), (steps, walked));
        }
    };
    let finished = TraceEventCodes::SQLITE_TRACE_PROFILE;
    connection.trace_v2(finished, Some(note)).unwrap();
    steps
}

/// One batch of a build: a text that grows, calls with answers, a plan now and then.
fn batch(build: &Build, round: u64) -> CommandBatch {
    let first = round * EVENTS + 1;
    let mut batch = build.batch(first, first + EVENTS - 1);
    let session = fixtures::of(&mut batch);
    session.todos = (0..8)
        .map(|index| Todo {
            index,
            content: format!("todo {index}"),
            active_form: "doing it".into(),
            status: TodoStatus::Pending,
            created_at: at(first),
            updated_at: at(first),
        })
        .collect();
    session.tool_calls = (0..6)
        .map(|number| ToolCall {
            name: "Read".into(),
            input: Some(format!("\"{}\"", "i".repeat(400))),
            output: Some(format!("\"{}\"", "o".repeat(2048))),
            state: ToolState::OutputAvailable,
            ..fixtures::call(&format!("call-{round}-{number}"), first + number)
        })
        .collect();
    session.notes = vec![NoteAppend {
        kind: TextKind::Text,
        text_id: "t".into(),
        // A part takes 16 KiB.
        part: u32::try_from(round / 5).unwrap(),
        todo_index: 0,
        content: "d".repeat(2_800),
        first_seq: first,
        created_at: at(first),
    }];
    session.row.fold = "{\"todoCount\":8}".repeat(10);
    session.row.raw_state = RawState::Set("{\"todos\":[]}".repeat(20));
    batch
}

/// How many pages were written since this was last asked: the length of the log of changes, which is emptied.
fn written_pages(connection: &Connection) -> i64 {
    let length = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1));
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    length.unwrap()
}

/// Commits rounds, and gives the steps and the pages that one of them took on average.
fn measure(
    connection: &mut Connection,
    steps: &Steps,
    build: &Build,
    rounds: std::ops::Range<u64>,
) -> [f64; 2] {
    let total = || {
        steps
            .lock()
            .values()
            .map(|(all, _)| i64::from(*all))
            .sum::<i64>()
    };
    let count = (rounds.end - rounds.start) as f64;
    let before = total();
    let mut pages = 0;
    for round in rounds {
        let batches = vec![batch(build, round)];
        commit::commit(connection, &Group::new(batches)).unwrap();
        pages += written_pages(connection);
    }
    [(total() - before) as f64 / count, pages as f64 / count]
}

#[test]
fn a_commit_costs_the_same_at_the_beginning_and_at_the_end_of_a_long_build() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = threads::open_for_writing(&folder.path().join("state.db")).unwrap();
    migrate::migrate(&mut connection).unwrap();
    let project = fixtures::project("a");
    let command = fixtures::command(project.id);
    let session = fixtures::session(project.id, &command.id);
    projects::create_project(&connection, &project).unwrap();
    sessions::create_build(&mut connection, &command, &session).unwrap();
    let build = Build {
        project,
        command,
        session,
    };
    let steps = counted(&mut connection);
    for round in 0..20 {
        let batches = vec![batch(&build, round)];
        commit::commit(&mut connection, &Group::new(batches)).unwrap();
    }
    written_pages(&connection);
    let early = measure(&mut connection, &steps, &build, 20..40);
    for round in 40..580 {
        let batches = vec![batch(&build, round)];
        commit::commit(&mut connection, &Group::new(batches)).unwrap();
    }
    written_pages(&connection);
    let late = measure(&mut connection, &steps, &build, 580..600);
    assert!(
        late[0] <= early[0] * 1.05,
        "steps: {early:?} became {late:?}"
    );
    // The trees of a long build are a level deeper.
    assert!(
        late[1] <= early[1] * 1.15,
        "pages: {early:?} became {late:?}"
    );
    let walked: Vec<_> = steps
        .lock()
        .iter()
        .filter(|(_, (_, walked))| *walked > 0)
        .map(|(sql, walked)| (sql.clone(), *walked))
        .collect();
    assert!(walked.is_empty(), "{walked:?}");
}
