//! Rows put right, and logs removed.

use hopline_wire::part::{TextKind, TodoStatus};

use super::fixtures::{ALL, at, build, call, command, commit, of, project};
use crate::group::{NoteAppend, RawState};
use crate::repair::{CommandRepair, Repair, SessionRepair};
use crate::rows::{CommandStatus, Decision, DecisionKind, Note, SessionStatus, Todo};
use crate::store::{Page, SessionKey, Store};

fn todo(index: i32, content: &str) -> Todo {
    Todo {
        index,
        content: content.into(),
        active_form: content.into(),
        status: TodoStatus::Pending,
        created_at: at(1),
        updated_at: at(1),
    }
}

fn note(part: u32, content: &str) -> Note {
    Note {
        kind: TextKind::Text,
        text_id: "t".into(),
        part,
        todo_index: -1,
        content: content.into(),
        first_seq: u64::from(part) + 1,
        created_at: at(1),
    }
}

/// A build with two rows in each of its tables.
async fn with_rows(store: &dyn Store) -> super::fixtures::Build {
    let build = build(store, "a").await;
    let mut batch = build.batch(1, 3);
    let session = of(&mut batch);
    session.todos = vec![todo(0, "one"), todo(1, "two")];
    session.tool_calls = vec![call("c1", 1), call("c2", 2)];
    let append = |row: Note| NoteAppend {
        kind: row.kind,
        text_id: row.text_id.into(),
        part: row.part,
        todo_index: row.todo_index,
        content: row.content,
        first_seq: row.first_seq,
        created_at: row.created_at,
    };
    session.notes = [note(0, "one"), note(1, "two")].map(append).into();
    session.row.raw_state = RawState::Set("{}".into());
    commit(store, batch).await;
    build
}

pub async fn a_repair_writes_what_it_names_and_nothing_else(store: &dyn Store) {
    let build = with_rows(store).await;
    let id = build.session.id;
    let mut repair = Repair::nothing(id, build.command.id.clone(), 3, 0);
    assert!(store.repair(repair.clone()).await.unwrap());
    let mut right_call = call("c2", 2);
    right_call.output = Some("1".into());
    repair.todos = vec![todo(1, "right"), todo(2, "new")];
    repair.no_todos = vec![0];
    repair.tool_calls = vec![right_call.clone()];
    repair.no_tool_calls = vec!["c1".into()];
    repair.notes = vec![note(1, "right")];
    repair.no_notes = vec![(TextKind::Text, "t".into(), 0)];
    let mut row = build.change(3);
    row.status = SessionStatus::Failed;
    row.ended_at = Some(at(9));
    row.fold = "{\"right\":1}".into();
    repair.session = Some(SessionRepair { last_seq: 3, row });
    repair.command = Some(CommandRepair {
        last_seq: 3,
        status: Some((CommandStatus::Failed, Some(at(9)))),
    });
    assert!(store.repair(repair).await.unwrap());
    let todos = store.todos(id).await.unwrap();
    assert_eq!(todos, [todo(1, "right"), todo(2, "new")]);
    let calls = store.tool_calls(id, 0, ALL).await.unwrap();
    assert_eq!(calls, [right_call]);
    let notes = store.notes(id, None, ALL).await.unwrap();
    assert_eq!(notes, [note(1, "right")]);
    let loaded = store.load_command(&build.command.id).await.unwrap();
    let loaded = loaded.unwrap();
    let (session, fold) = loaded.session.unwrap();
    assert_eq!(
        (session.status, session.ended_at),
        (SessionStatus::Failed, Some(at(9)))
    );
    assert_eq!(fold.as_deref(), Some("{\"right\":1}"));
    // `raw_state` was to stay.
    let raw_state = store.raw_state(id).await.unwrap();
    assert_eq!(raw_state.as_deref(), Some("{}"));
    let command = loaded.command;
    assert_eq!(
        (command.status, command.ended_at),
        (CommandStatus::Failed, Some(at(9)))
    );
}

pub async fn a_repair_that_the_log_has_overtaken_changes_nothing(store: &dyn Store) {
    let build = with_rows(store).await;
    let repair = |log_end, decisions| {
        let id = build.command.id.clone();
        let mut repair = Repair::nothing(build.session.id, id, log_end, decisions);
        repair.no_todos = vec![0, 1];
        repair
    };
    assert!(!store.repair(repair(2, 0)).await.unwrap());
    assert!(!store.repair(repair(3, 1)).await.unwrap());
    assert_eq!(store.todos(build.session.id).await.unwrap().len(), 2);
    assert!(store.repair(repair(3, 0)).await.unwrap());
    assert!(store.todos(build.session.id).await.unwrap().is_empty());
}

/// Commits the last event of a build, received at `at(seq)`.
async fn end(store: &dyn Store, build: &super::fixtures::Build, seq: u64) {
    let mut batch = build.batch(seq, seq);
    of(&mut batch).row.status = SessionStatus::Completed;
    // A runner's clock is not asked.
    of(&mut batch).row.ended_at = Some(at(1_000_000));
    commit(store, batch).await;
}

pub async fn a_log_is_old_once_nothing_was_received_or_decided_for_long(store: &dyn Store) {
    let old = |before| store.old_logs(at(before), 10);
    let running = build(store, "running").await;
    commit(store, running.batch(1, 3)).await;
    let ended = build(store, "ended").await;
    commit(store, ended.batch(1, 3)).await;
    end(store, &ended, 4).await;
    let decided = build(store, "decided").await;
    let mut batch = decided.batch(1, 3);
    of(&mut batch).row.status = SessionStatus::Failed;
    of(&mut batch).decisions = vec![Decision {
        after_seq: 3,
        kind: DecisionKind::Silence,
        reason: "gone".into(),
        at: at(8),
    }];
    commit(store, batch).await;
    let unheard = build(store, "unheard").await;
    let mut row = unheard.batch(1, 0);
    row.expected_last_seq = 0;
    of(&mut row).row.status = SessionStatus::Failed;
    commit(store, row).await;
    // One that is no build.
    let shop = project("shop");
    let other = command(shop.id);
    store.create_project(shop).await.unwrap();
    store.create_command(other.clone()).await.unwrap();
    let mut log = ended.batch(1, 6);
    log.command_id = other.id.as_str().into();
    log.session = None;
    commit(store, log).await;
    assert_eq!(old(4).await.unwrap(), [""; 0]);
    assert_eq!(old(5).await.unwrap(), [ended.command.id.as_str()]);
    let mut found = old(8).await.unwrap();
    let mut expected = vec![ended.command.id.clone(), other.id.clone()];
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(old(9).await.unwrap().len(), 3);
    let far = old(1_000_000).await.unwrap();
    assert!(far.len() == 3 && !far.contains(&running.command.id));
    assert_eq!(store.old_logs(at(9), 2).await.unwrap().len(), 2);
}

pub async fn a_log_goes_page_by_page_and_leaves_all_else(store: &dyn Store) {
    let (old, other) = (with_rows(store).await, build(store, "b").await);
    commit(store, old.batch(4, 9)).await;
    end(store, &old, 10).await;
    commit(store, other.batch(1, 2)).await;
    let id = &old.command.id;
    let remove = |rows, bytes| store.remove_log(id, at(11), Page { rows, bytes });
    assert_eq!(remove(4, usize::MAX).await.unwrap(), 4);
    let left = store.events(id, 0, ALL).await.unwrap();
    assert_eq!(left.first().map(|event| event.seq), Some(5));
    assert_eq!(remove(4, 0).await.unwrap(), 1);
    assert_eq!(remove(100, usize::MAX).await.unwrap(), 5);
    assert_eq!(remove(100, usize::MAX).await.unwrap(), 0);
    assert!(store.old_logs(at(11), 10).await.unwrap().is_empty());
    let loaded = store.load_command(id).await.unwrap().unwrap();
    assert_eq!(loaded.command.last_seq, 10);
    assert_eq!(store.todos(old.session.id).await.unwrap().len(), 2);
    let events = store.events(&other.command.id, 0, ALL).await.unwrap();
    assert_eq!(events.len(), 2);
}

pub async fn a_log_that_is_not_old_any_more_stays(store: &dyn Store) {
    let build = build(store, "a").await;
    commit(store, build.batch(1, 3)).await;
    let id = &build.command.id;
    let page = Page::default();
    assert_eq!(store.remove_log(id, at(99), page).await.unwrap(), 0);
    end(store, &build, 4).await;
    assert_eq!(store.remove_log(id, at(4), page).await.unwrap(), 0);
    let events = store.events(id, 0, ALL).await.unwrap();
    assert_eq!(events.len(), 4);
    let session = store.session(SessionKey::Id(build.session.id)).await;
    assert_eq!(session.unwrap().unwrap().last_seq, 4);
}
