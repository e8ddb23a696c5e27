//! What a group commit does to the rows.

use hopline_wire::part::{TextKind, TodoStatus};

use super::fixtures::{ALL, at, build, call, commit, of};
use crate::group::{BatchOutcome, Group, NoteAppend, ProjectChange, RawState, UnknownCommand};
use crate::rows::{
    CommandStatus, Decision, DecisionKind, ProjectStatus, SessionStatus, Todo, ToolCall, ToolState,
    UNKNOWN_COMMAND,
};
use crate::store::{LastPart, SessionKey, Store};

fn todo(index: i32, content: &str, seq: u64) -> Todo {
    Todo {
        index,
        content: content.into(),
        active_form: "doing".into(),
        status: TodoStatus::Pending,
        created_at: at(seq),
        updated_at: at(seq),
    }
}

fn note(id: &str, part: u32, content: &str, seq: u64) -> NoteAppend {
    NoteAppend {
        kind: TextKind::Text,
        text_id: id.into(),
        part,
        todo_index: 0,
        content: content.into(),
        first_seq: seq,
        created_at: at(seq),
    }
}

pub async fn a_group_writes_the_rows_of_all_its_batches(store: &dyn Store) {
    let builds = [build(store, "a").await, build(store, "b").await];
    let batches = builds.iter().map(|build| {
        let mut batch = build.batch(1, 3);
        batch.command.status = Some((CommandStatus::Ended, Some(at(3))));
        batch.command.link = Some(("link".into(), 9));
        batch.project = Some(ProjectChange {
            project_id: build.project.id,
            status: Some(ProjectStatus::Completed),
            error_message: Some(None),
            port: Some(8080),
            dev_server_port: Some(Some(5173)),
            last_activity_at: Some(at(3)),
            ..ProjectChange::default()
        });
        let session = of(&mut batch);
        session.todos = vec![todo(0, "first", 1)];
        session.decisions = vec![Decision {
            after_seq: 2,
            kind: DecisionKind::Silence,
            reason: "quiet".into(),
            at: at(2),
        }];
        session.row.status = SessionStatus::Completed;
        session.row.is_final = true;
        session.row.exit_code = Some(0);
        session.row.ended_at = Some(at(3));
        session.row.summary = Some("done".into());
        session.row.raw_state = RawState::Set("{\"isActive\":false}".into());
        batch
    });
    let batches = batches.collect();
    let committed = store.commit(Group::new(batches)).await.unwrap();
    assert_eq!(committed.outcomes, [BatchOutcome::Applied; 2]);
    for build in &builds {
        let loaded = store
            .load_command(&build.command.id)
            .await
            .unwrap()
            .unwrap();
        let command = &loaded.command;
        assert_eq!(
            (command.last_seq, command.status),
            (3, CommandStatus::Ended)
        );
        assert_eq!(
            (command.link.as_deref(), command.link_seq),
            (Some("link"), Some(9))
        );
        assert_eq!(command.ended_at, Some(at(3)));
        let (session, fold) = loaded.session.unwrap();
        assert_eq!(
            (session.status, session.is_final, session.last_seq),
            (SessionStatus::Completed, true, 3)
        );
        assert_eq!(
            (session.exit_code, session.summary.as_deref()),
            (Some(0), Some("done"))
        );
        assert_eq!((session.ended_at, session.updated_at), (Some(at(3)), at(3)));
        assert_eq!((fold.as_deref(), loaded.raw_state_due), (Some("{}"), false));
        assert_eq!(
            loaded.project_name.as_deref(),
            Some(build.project.name.as_str())
        );
        let project = store.project(build.project.id).await.unwrap().unwrap();
        assert_eq!(
            (project.port, project.dev_server_port),
            (Some(8080), Some(5173))
        );
        assert_eq!(project.status, ProjectStatus::Completed);
        assert_eq!(
            store.todos(session.id).await.unwrap(),
            [todo(0, "first", 1)]
        );
        assert_eq!(store.decisions(session.id).await.unwrap().len(), 1);
        let events = store.events(&build.command.id, 1, ALL).await.unwrap();
        let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(
            (seqs, events[0].body.as_deref()),
            (vec![2, 3], Some("{\"seq\":1}"))
        );
        assert_eq!(events[0].received_at, at(2));
    }
}

pub async fn a_batch_folded_from_elsewhere_is_left_out_and_the_others_go_through(
    store: &dyn Store,
) {
    let (moved, other) = (build(store, "a").await, build(store, "b").await);
    commit(store, moved.batch(1, 5)).await;
    let mut stale = moved.batch(4, 6);
    of(&mut stale).notes = vec![note("t", 0, "x", 4)];
    let batches = vec![stale, other.batch(1, 1)];
    let committed = store.commit(Group::new(batches)).await.unwrap();
    let expected = [BatchOutcome::Moved { last_seq: 5 }, BatchOutcome::Applied];
    assert_eq!(committed.outcomes, expected);
    assert!(
        store
            .notes(moved.session.id, None, ALL)
            .await
            .unwrap()
            .is_empty()
    );
    let events = store.events(&moved.command.id, 0, ALL).await.unwrap();
    assert_eq!(events.len(), 5);
    let mut ended = moved.batch(6, 6);
    of(&mut ended).row.status = SessionStatus::Failed;
    commit(store, ended).await;
    store
        .delete_project(moved.project.id)
        .await
        .unwrap()
        .unwrap();
    let batches = vec![moved.batch(7, 7)];
    let committed = store.commit(Group::new(batches)).await.unwrap();
    assert_eq!(committed.outcomes, [BatchOutcome::Moved { last_seq: 0 }]);
}

/// As when another server decides about the build: no event is new, and still the batch was folded from elsewhere.
pub async fn a_batch_that_knows_nothing_of_a_decision_is_left_out(store: &dyn Store) {
    let build = build(store, "a").await;
    commit(store, build.batch(1, 1)).await;
    let mut decided = build.batch(2, 1);
    of(&mut decided).decisions = vec![Decision {
        after_seq: 1,
        kind: DecisionKind::Silence,
        reason: "quiet".into(),
        at: at(2),
    }];
    commit(store, decided).await;
    let ignorant = store.commit(Group::new(vec![build.batch(2, 2)])).await;
    let moved = BatchOutcome::Moved { last_seq: 1 };
    assert_eq!(ignorant.unwrap().outcomes, [moved]);
    let loaded = store.load_command(&build.command.id).await.unwrap();
    let mut informed = build.batch(2, 2);
    of(&mut informed).expected_decisions = loaded.unwrap().decisions;
    commit(store, informed).await;
}

pub async fn a_group_that_fails_leaves_nothing_behind(store: &dyn Store) {
    let (good, bad) = (build(store, "a").await, build(store, "b").await);
    let mut broken = bad.batch(1, 1);
    // Rows of a build that is not there.
    of(&mut broken).session_id = uuid::Uuid::new_v4();
    of(&mut broken).notes = vec![note("t", 0, "x", 1)];
    let batches = vec![good.batch(1, 3), broken];
    let group = Group::new(batches);
    let progress = group.progress.clone();
    let error = store.commit(group).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    // Whoever tells of it knows which statement failed, and what had run.
    let statements = progress.statements();
    let failed = statements.under_way.unwrap();
    let name = format!("{} {}", failed.operation, failed.table);
    assert_eq!(name.trim(), error.operation());
    assert_eq!(statements.ran[0].operation, "BEGIN");
    assert!(statements.ran.iter().all(|ran| ran.end <= failed.start));
    for build in [&good, &bad] {
        let loaded = store
            .load_command(&build.command.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(loaded.command.last_seq, 0);
        assert!(
            store
                .events(&build.command.id, 0, ALL)
                .await
                .unwrap()
                .is_empty()
        );
    }
    commit(store, good.batch(1, 3)).await;
}

pub async fn what_two_batches_say_of_a_tool_call_comes_together_in_either_order(store: &dyn Store) {
    let build = build(store, "a").await;
    let input = |id: &str, seq| ToolCall {
        name: "Read".into(),
        todo_index: 2,
        input: Some("{\"a\":1}".into()),
        started_at: Some(at(seq)),
        ..call(id, seq)
    };
    let output = |id: &str, seq| ToolCall {
        output: Some("[1]".into()),
        state: ToolState::OutputAvailable,
        ended_at: Some(at(seq)),
        ..call(id, seq)
    };
    for (seq, row) in (1..).zip([input("x", 1), output("y", 2), output("x", 3), input("y", 4)]) {
        let mut batch = build.batch(seq, seq);
        of(&mut batch).tool_calls = vec![row];
        commit(store, batch).await;
    }
    let rows = store.tool_calls(build.session.id, 0, ALL).await.unwrap();
    let x = ToolCall {
        output: Some("[1]".into()),
        state: ToolState::OutputAvailable,
        ended_at: Some(at(3)),
        updated_at: at(3),
        ..input("x", 1)
    };
    let y = ToolCall {
        name: "Read".into(),
        todo_index: 2,
        input: Some("{\"a\":1}".into()),
        started_at: Some(at(4)),
        updated_at: at(4),
        ..output("y", 2)
    };
    assert_eq!(rows, [x, y]);
}

pub async fn a_shrunken_plan_loses_its_last_todos_and_keeps_the_others_times(store: &dyn Store) {
    let build = build(store, "a").await;
    let mut batch = build.batch(1, 1);
    of(&mut batch).todos = (0..4).map(|index| todo(index, "old", 1)).collect();
    commit(store, batch).await;
    let mut batch = build.batch(2, 2);
    of(&mut batch).todos_removed_from = Some(1);
    of(&mut batch).todos = vec![todo(0, "new", 2), todo(1, "new", 2)];
    commit(store, batch).await;
    let kept = Todo {
        created_at: at(1),
        ..todo(0, "new", 2)
    };
    let rows = store.todos(build.session.id).await.unwrap();
    assert_eq!(rows, [kept, todo(1, "new", 2)]);
}

pub async fn texts_grow_part_by_part_and_tell_where_they_end(store: &dyn Store) {
    let build = build(store, "a").await;
    let id = build.session.id;
    let last = || store.last_note_part(id, TextKind::Text, "t");
    assert_eq!(last().await.unwrap(), None);
    for (seq, notes) in (1..).zip([
        vec![note("t", 0, "é", 1), note("u", 0, "other", 1)],
        vec![note("t", 0, "b", 2), note("t", 1, "ü\u{1f600}", 2)],
    ]) {
        let mut batch = build.batch(seq, seq);
        of(&mut batch).notes = notes;
        commit(store, batch).await;
    }
    assert_eq!(last().await.unwrap(), Some(LastPart { part: 1, bytes: 6 }));
    let rows = store.notes(id, None, ALL).await.unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.text_id.as_str(),
                row.part,
                row.content.as_str(),
                row.first_seq,
            )
        })
        .collect();
    assert_eq!(told.len(), 3);
    assert!(told.contains(&("t", 0, "éb", 1)) && told.contains(&("t", 1, "ü\u{1f600}", 2)));
    assert_eq!(told[2].1, 1, "a part comes after the one before it");
}

pub async fn an_unknown_command_gets_its_row_with_its_first_events(store: &dyn Store) {
    let mut build = build(store, "a").await;
    build.command.id = "made-elsewhere".into();
    let first = || {
        let mut batch = build.batch(1, 2);
        batch.session = None;
        batch.command.create = Some(UnknownCommand {
            project_id: Some(build.project.id),
            runner_id: Some("r".into()),
            trace_id: None,
            created_at: at(1),
        });
        batch
    };
    commit(store, first()).await;
    let loaded = store.load_command("made-elsewhere").await.unwrap().unwrap();
    assert_eq!(
        (loaded.command.kind.as_str(), loaded.command.last_seq),
        (UNKNOWN_COMMAND, 2)
    );
    let batches = vec![first()];
    let committed = store.commit(Group::new(batches)).await.unwrap();
    assert_eq!(committed.outcomes, [BatchOutcome::Moved { last_seq: 2 }]);
}

pub async fn each_kind_of_statement_is_timed_once_with_its_rows(store: &dyn Store) {
    let builds = [build(store, "a").await, build(store, "b").await];
    let batches = builds.iter().map(|build| build.batch(1, 3)).collect();
    let committed = store.commit(Group::new(batches)).await.unwrap();
    let told: Vec<_> = committed
        .statements
        .iter()
        .map(|statement| (statement.operation, statement.table, statement.rows))
        .collect();
    assert!(told.contains(&("INSERT", "runner_events", 6)), "{told:?}");
    assert!(
        told.contains(&("UPDATE", "generation_sessions", 2)),
        "{told:?}"
    );
    assert_eq!(told.first(), Some(&("BEGIN", "", 0)));
    assert_eq!(told.last(), Some(&("COMMIT", "", 0)));
    assert!(
        !told
            .iter()
            .any(|(_, table, _)| *table == "generation_todos"),
        "{told:?}"
    );
    for pair in committed.statements.windows(2) {
        assert!(pair[0].start <= pair[0].end && pair[0].end <= pair[1].start);
    }
}

pub async fn the_full_state_is_written_only_while_the_build_stands_as_it_was_read(
    store: &dyn Store,
) {
    let build = build(store, "a").await;
    let id = build.session.id;
    let write = |last_seq, state: &str| store.write_raw_state(id, last_seq, state.into());
    assert!(!write(0, "[\"running\"]").await.unwrap().0, "it still runs");
    let mut batch = build.batch(1, 1);
    of(&mut batch).row.status = SessionStatus::Failed;
    of(&mut batch).row.raw_state = RawState::Due;
    commit(store, batch).await;
    let unwritten = || store.unwritten_builds(10);
    assert_eq!(unwritten().await.unwrap(), [build.command.id.as_str()]);
    let loaded = store
        .load_command(&build.command.id)
        .await
        .unwrap()
        .unwrap();
    assert!(loaded.raw_state_due);
    assert!(!write(0, "[\"stale\"]").await.unwrap().0);
    assert!(write(1, "{}").await.unwrap().0);
    assert!(unwritten().await.unwrap().is_empty());
    assert_eq!(store.raw_state(id).await.unwrap().as_deref(), Some("{}"));
    let key = SessionKey::Id(id);
    assert_eq!(
        store.session(key).await.unwrap().unwrap().status,
        SessionStatus::Failed
    );
}
