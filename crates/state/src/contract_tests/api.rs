//! What the server's API asks of the rows.

use uuid::Uuid;

use super::fixtures::{ALL, Build, at, build, call, command, commit, of, project, session};
use crate::error::{Conflict, StateError};
use crate::group::{NoteAppend, ProjectChange};
use crate::rows::{
    CommandStatus, Glance, LinkState, Project, ProjectStatus, Runner, SessionStatus, Todo, ToolCall,
};
use crate::store::{Page, ROW_BYTES, SessionFilter, SessionKey, Store};
use hopline_wire::part::{TextKind, TodoStatus};

fn conflict<T: std::fmt::Debug>(result: Result<T, StateError>) -> Conflict {
    match result {
        Err(StateError::Conflict { conflict, .. }) => conflict,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

pub async fn a_slug_is_taken_once(store: &dyn Store) {
    let first = project("same");
    store.create_project(first.clone()).await.unwrap();
    let second = store.create_project(project("same")).await;
    assert_eq!(conflict(second), Conflict::SlugTaken);
    assert_eq!(
        store.projects().await.unwrap(),
        std::slice::from_ref(&first)
    );
    let found = store.project_by_slug("same").await.unwrap();
    assert_eq!(found, Some(first));
    assert_eq!(store.project_by_slug("other").await.unwrap(), None);
}

pub async fn a_project_has_one_running_build_at_a_time(store: &dyn Store) {
    let first = build(store, "a").await;
    let id = first.project.id;
    let started = store.project(id).await.unwrap().unwrap();
    assert_eq!(started.status, ProjectStatus::InProgress);
    let next = || {
        let command = command(id);
        let session = session(id, &command.id);
        store.create_build(command, session)
    };
    assert_eq!(conflict(next().await), Conflict::BuildRunning);
    let filter = SessionFilter {
        limit: 10,
        ..SessionFilter::default()
    };
    assert_eq!(store.sessions(filter).await.unwrap().len(), 1);
    assert_eq!(store.unanswered_commands().await.unwrap().len(), 1);
    let mut batch = first.batch(1, 1);
    of(&mut batch).row.status = SessionStatus::Completed;
    commit(store, batch).await;
    next().await.unwrap();
}

pub async fn a_deleted_project_takes_everything_with_it(store: &dyn Store) {
    let (gone, kept) = (build(store, "a").await, build(store, "b").await);
    for build in [&gone, &kept] {
        let mut batch = build.batch(1, 2);
        of(&mut batch).tool_calls = vec![call("c", 1)];
        commit(store, batch).await;
    }
    let running = store.delete_project(gone.project.id).await;
    assert_eq!(conflict(running), Conflict::BuildRunning);
    let mut batch = gone.batch(3, 3);
    of(&mut batch).row.status = SessionStatus::Failed;
    commit(store, batch).await;
    let deleted = store.delete_project(gone.project.id).await.unwrap();
    assert_eq!(deleted, Some(vec![gone.command.id.clone()]));
    assert_eq!(store.delete_project(gone.project.id).await.unwrap(), None);
    let rows = |build: &super::fixtures::Build| {
        let (command, session) = (build.command.id.clone(), build.session.id);
        async move {
            let loaded = store.load_command(&command).await.unwrap();
            let events = store.events(&command, 0, ALL).await.unwrap();
            let calls = store.tool_calls(session, 0, ALL).await.unwrap();
            (loaded.is_some(), events.len(), calls.len())
        }
    };
    assert_eq!(rows(&gone).await, (false, 0, 0));
    assert_eq!(rows(&kept).await, (true, 2, 1));
}

pub async fn a_project_changes_where_the_change_says_so(store: &dyn Store) {
    let first = Project {
        error_message: Some("broke".into()),
        dev_server_port: Some(5173),
        path: Some("/here".into()),
        ..project("a")
    };
    store.create_project(first.clone()).await.unwrap();
    let change = |project_id| ProjectChange {
        project_id,
        error_message: Some(None),
        dev_server_port: Some(None),
        port: Some(3000),
        ..ProjectChange::default()
    };
    let update = |id| store.update_project(change(id), Some("r".into()), at(9));
    assert!(update(first.id).await.unwrap());
    assert!(!update(Uuid::new_v4()).await.unwrap());
    let expected = Project {
        error_message: None,
        dev_server_port: None,
        port: Some(3000),
        runner_id: Some("r".into()),
        updated_at: at(9),
        ..first
    };
    assert_eq!(store.project(expected.id).await.unwrap(), Some(expected));
}

pub async fn builds_are_listed_newest_first_page_by_page(store: &dyn Store) {
    let project = project("a");
    store.create_project(project.clone()).await.unwrap();
    let mut expected = Vec::new();
    for age in 0..7u64 {
        let command = command(project.id);
        let mut session = session(project.id, &command.id);
        // Two of them were made at the same time.
        session.created_at = at(age.saturating_sub(1));
        session.status = SessionStatus::Failed;
        expected.push((session.created_at, session.id));
        store.create_build(command, session).await.unwrap();
    }
    expected.sort_unstable_by(|a, b| b.cmp(a));
    let other = build(store, "b").await;
    let mut found = Vec::new();
    loop {
        let filter = SessionFilter {
            status: Some(SessionStatus::Failed),
            project_id: Some(project.id),
            before: found.last().copied(),
            limit: 3,
        };
        let page = store.sessions(filter).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page.iter().map(|session| (session.created_at, session.id)));
    }
    assert_eq!(found, expected);
    let filter = SessionFilter {
        status: Some(SessionStatus::Active),
        limit: 3,
        ..SessionFilter::default()
    };
    assert_eq!(store.sessions(filter).await.unwrap(), [other.session]);
}

pub async fn a_list_shows_how_far_each_build_has_come(store: &dyn Store) {
    let (busy, idle) = (build(store, "a").await, build(store, "b").await);
    let plan = [
        ("write", "writing", TodoStatus::Completed),
        ("test", "", TodoStatus::InProgress),
        ("ship", "shipping", TodoStatus::InProgress),
        ("rest", "resting", TodoStatus::Pending),
    ];
    let mut batch = busy.batch(1, 1);
    of(&mut batch).todos = (0..)
        .zip(plan)
        .map(|(index, (content, active_form, status))| Todo {
            index,
            content: content.into(),
            active_form: active_form.into(),
            status,
            created_at: at(1),
            updated_at: at(1),
        })
        .collect();
    commit(store, batch).await;
    let ids = vec![idle.session.id, Uuid::new_v4(), busy.session.id];
    let mut glances = store.glances(ids).await.unwrap();
    glances.sort_unstable_by(|one, other| one.project_slug.cmp(&other.project_slug));
    let at_first = |build: &Build| Glance {
        session_id: build.session.id,
        project_name: build.project.name.clone(),
        project_slug: build.project.slug.clone(),
        runner_id: Some("runner".into()),
        todos: 0,
        todos_done: 0,
        active_todo: None,
    };
    let busy = Glance {
        todos: 4,
        todos_done: 1,
        // It has no form of its own for that.
        active_todo: Some("test".into()),
        ..at_first(&busy)
    };
    assert_eq!(glances, [busy, at_first(&idle)]);
    assert_eq!(store.glances(Vec::new()).await.unwrap(), []);
}

pub async fn a_build_is_found_by_each_of_its_names(store: &dyn Store) {
    let build = build(store, "a").await;
    let session = &build.session;
    for key in [
        SessionKey::Id(session.id),
        SessionKey::Build(session.build_id.clone()),
        SessionKey::Command(session.command_id.clone()),
        SessionKey::Trace(session.trace_id.unwrap()),
    ] {
        assert_eq!(store.session(key).await.unwrap().as_ref(), Some(session));
    }
    let nobody = SessionKey::Build("nobody's".into());
    assert_eq!(store.session(nobody).await.unwrap(), None);
    let whole = store
        .whole_session(session.id, 1 << 20)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&whole.session, whole.project_name),
        (session, build.project.name)
    );
    assert_eq!(whole.cut_at, None);
}

pub async fn a_command_only_moves_forward(store: &dyn Store) {
    let build = build(store, "a").await;
    let set = |status| store.set_command_status(&build.command.id, status, at(5));
    let told = || async {
        let loaded = store
            .load_command(&build.command.id)
            .await
            .unwrap()
            .unwrap();
        (loaded.command.status, loaded.command.ended_at)
    };
    assert!(set(CommandStatus::Sent).await.unwrap());
    assert!(set(CommandStatus::Acked).await.unwrap());
    assert!(!set(CommandStatus::Sent).await.unwrap());
    assert_eq!(told().await, (CommandStatus::Acked, None));
    assert!(set(CommandStatus::Failed).await.unwrap());
    assert!(!set(CommandStatus::Ended).await.unwrap());
    assert_eq!(told().await, (CommandStatus::Failed, Some(at(5))));
    assert!(store.unanswered_commands().await.unwrap().is_empty());
}

pub async fn a_tool_call_is_read_by_its_id_within_its_build(store: &dyn Store) {
    let (one, other) = (build(store, "a").await, build(store, "b").await);
    let mut batch = one.batch(1, 2);
    let whole = ToolCall {
        output: Some(format!("\"{}\"", "x".repeat(100_000))),
        ..call("c/1", 1)
    };
    of(&mut batch).tool_calls = vec![whole.clone(), call("c", 2), call("c\u{fffd}", 2)];
    commit(store, batch).await;
    let read = |build: &super::fixtures::Build, id: &'static str| {
        let session = build.session.id;
        async move { store.tool_call(session, id).await.unwrap() }
    };
    let found = read(&one, "c/1").await.unwrap();
    assert_eq!((found.output, found.first_seq), (whole.output, 1));
    assert!(read(&one, "d").await.is_none() && read(&other, "c").await.is_none());
    // Rows have U+FFFD in place of U+0000.
    let found = read(&one, "c\0").await.unwrap();
    assert_eq!(found.tool_call_id, "c\u{fffd}");
    assert!(read(&one, "d\0").await.is_none());
}

pub async fn rows_are_read_in_pages_that_leave_nothing_out(store: &dyn Store) {
    let build = build(store, "a").await;
    let mut batch = build.batch(1, 40);
    let session = of(&mut batch);
    session.tool_calls = (1..=40).map(|seq| call(&format!("c{seq}"), seq)).collect();
    let note = |part| NoteAppend {
        kind: TextKind::Reasoning,
        text_id: "t".into(),
        part,
        todo_index: -1,
        content: "x".repeat(100),
        first_seq: u64::from(part) / 4 + 1,
        created_at: at(1),
    };
    session.notes = (0..40).map(note).collect();
    commit(store, batch).await;
    for page in [
        Page {
            rows: 7,
            bytes: 1 << 20,
        },
        Page {
            rows: 100,
            bytes: 350,
        },
        Page { rows: 1, bytes: 0 },
    ] {
        let id = build.session.id;
        let (mut calls, mut notes, mut events) = (Vec::new(), Vec::new(), Vec::new());
        while let more @ [_, ..] = &store
            .tool_calls(id, calls.last().copied().unwrap_or(0), page)
            .await
            .unwrap()[..]
        {
            calls.extend(more.iter().map(|call| call.first_seq));
        }
        while let more @ [_, ..] = &store.notes(id, notes.last().copied(), page).await.unwrap()[..]
        {
            notes.extend(more.iter().map(|note| (note.first_seq, note.part)));
        }
        let after = |events: &Vec<u64>| events.last().copied().unwrap_or(0);
        while let more @ [_, ..] = &store
            .events(&build.command.id, after(&events), page)
            .await
            .unwrap()[..]
        {
            events.extend(more.iter().map(|event| event.seq));
        }
        assert_eq!(calls, (1..=40).collect::<Vec<_>>());
        assert_eq!(
            notes,
            (0..40)
                .map(|part| (u64::from(part) / 4 + 1, part))
                .collect::<Vec<_>>()
        );
        assert_eq!(events, calls);
    }
}

pub async fn a_whole_build_has_the_newest_of_what_does_not_fit(store: &dyn Store) {
    let build = build(store, "a").await;
    let mut batch = build.batch(1, 40);
    let session = of(&mut batch);
    // A call at each odd event, two parts of a text at each even one.
    session.tool_calls = (1..=39)
        .step_by(2)
        .map(|seq| call(&format!("c{seq}"), seq))
        .collect();
    let note = |part: u32| NoteAppend {
        kind: TextKind::Text,
        text_id: "t".into(),
        part,
        todo_index: -1,
        content: "x".repeat(1_000),
        first_seq: u64::from(part / 2 + 1) * 2,
        created_at: at(1),
    };
    session.notes = (0..40).map(note).collect();
    // However long, they count for what a state shows of them.
    session.tool_calls[19].output = Some(format!("\"{}\"", "x".repeat(100_000)));
    commit(store, batch).await;
    let whole = async |bytes| {
        let whole = store.whole_session(build.session.id, bytes).await;
        let whole = whole.unwrap().unwrap();
        let calls: Vec<_> = whole.tool_calls.iter().map(|call| call.first_seq).collect();
        let parts: Vec<_> = whole.notes.iter().map(|note| note.part).collect();
        (calls, parts, whole.cut_at)
    };
    let (calls, parts, cut_at) = whole(1 << 20).await;
    assert_eq!((calls.len(), parts.len(), cut_at), (20, 40, None));
    let some = 7 * (ROW_BYTES + 1_000) + (17 << 10) + 3 * ROW_BYTES;
    assert_eq!(
        whole(some).await,
        (vec![35, 37, 39], (33..=39).collect(), Some(34))
    );
    assert_eq!(
        whole(2 * ROW_BYTES + 2_000).await,
        (vec![], vec![38, 39], Some(39))
    );
    assert_eq!(whole(0).await, (vec![], vec![], Some(40)));
}

pub async fn only_builds_whose_runner_is_gone_are_silent(store: &dyn Store) {
    let build = build(store, "a").await;
    let seen = |link, millis| Runner {
        id: "runner".into(),
        broker_url: None,
        link,
        payload: None,
        last_seen_at: at(millis),
    };
    let quiet = |quiet_since, runner_since| store.quiet_builds(at(quiet_since), at(runner_since));
    // Never heard of, its runner is gone; the build itself was made at 0.
    assert_eq!(quiet(1, 0).await.unwrap().len(), 1);
    assert!(quiet(0, 0).await.unwrap().is_empty());
    commit(store, build.batch(1, 9)).await;
    assert!(quiet(9, 0).await.unwrap().is_empty());
    let silent = quiet(10, 0).await.unwrap();
    assert_eq!(
        (silent[0].command_id.as_str(), silent[0].heard_at),
        (build.command.id.as_str(), at(9))
    );
    store.upsert_runner(seen(LinkState::Up, 50)).await.unwrap();
    assert!(quiet(10, 50).await.unwrap().is_empty());
    assert_eq!(quiet(10, 51).await.unwrap().len(), 1);
    store
        .upsert_runner(seen(LinkState::Down, 60))
        .await
        .unwrap();
    assert_eq!(quiet(10, 50).await.unwrap().len(), 1);
    let mut batch = build.batch(10, 10);
    of(&mut batch).row.status = SessionStatus::Failed;
    commit(store, batch).await;
    assert!(quiet(100, 100).await.unwrap().is_empty());
}

pub async fn a_build_that_its_runners_new_process_says_nothing_of_is_silent(store: &dyn Store) {
    let build = build(store, "a").await;
    commit(store, build.batch(1, 9)).await;
    let began = |millis| Runner {
        id: "runner".into(),
        broker_url: None,
        link: LinkState::Up,
        payload: Some(format!("{{\"beganAt\":\"{}\"}}", at(millis))),
        last_seen_at: at(100),
    };
    let silent = async |runner_since| store.quiet_builds(at(0), at(runner_since)).await.unwrap();
    store.upsert_runner(began(9)).await.unwrap();
    assert!(silent(50).await.is_empty(), "heard of since then");
    store.upsert_runner(began(20)).await.unwrap();
    assert!(silent(20).await.is_empty(), "it began only just now");
    assert_eq!(silent(21).await[0].runner_began, Some(at(20)));
    commit(store, build.batch(10, 30)).await;
    assert!(silent(50).await.is_empty());
}

fn seen(id: &str, one_build: bool, millis: u64) -> Runner {
    Runner {
        id: id.into(),
        broker_url: None,
        link: LinkState::Up,
        payload: one_build.then(|| r#"{"oneBuild":true}"#.into()),
        last_seen_at: at(millis),
    }
}

pub async fn a_build_whose_runner_was_there_for_it_alone_is_silent_soon_after_it(
    store: &dyn Store,
) {
    let build = build(store, "a").await;
    commit(store, build.batch(1, 9)).await;
    let silent = async |runner_since| store.quiet_builds(at(0), at(runner_since)).await.unwrap();
    store
        .upsert_runner(seen("runner", false, 20))
        .await
        .unwrap();
    assert!(silent(50).await.is_empty(), "it may come back");
    store.upsert_runner(seen("runner", true, 20)).await.unwrap();
    assert!(silent(20).await.is_empty(), "it may be there");
    assert!(silent(21).await[0].runner_is_over);
    let down = Runner {
        link: LinkState::Down,
        ..seen("runner", true, 30)
    };
    store.upsert_runner(down).await.unwrap();
    assert!(silent(30).await.is_empty(), "it has gone only just now");
    assert!(silent(31).await[0].runner_is_over);
    commit(store, build.batch(10, 40)).await;
    assert!(silent(40).await.is_empty(), "it is heard of");
}

pub async fn a_runner_of_one_build_is_forgotten_after_it(store: &dyn Store) {
    let build = build(store, "a").await;
    for runner in [
        seen("runner", true, 10),
        seen("done", true, 10),
        seen("here", true, 20),
        seen("house", false, 10),
    ] {
        store.upsert_runner(runner).await.unwrap();
    }
    let there = async || {
        let runners = store.runners().await.unwrap().into_iter();
        runners.map(|runner| runner.id).collect::<Vec<_>>()
    };
    let kept = async |runner: Option<&str>| {
        let change = ProjectChange {
            project_id: build.project.id,
            ..ProjectChange::default()
        };
        let runner = runner.map(str::to_owned);
        store.update_project(change, runner, at(1)).await.unwrap();
        let project = store.project(build.project.id).await.unwrap();
        project.unwrap().runner_id
    };
    kept(Some("done")).await;
    assert_eq!(store.forget_runners(at(20)).await.unwrap(), 1);
    assert_eq!(there().await, ["here", "house", "runner"]);
    assert_eq!(kept(None).await, None, "the project is free for another");
    kept(Some("house")).await;
    let mut batch = build.batch(1, 10);
    of(&mut batch).row.status = SessionStatus::Failed;
    commit(store, batch).await;
    assert_eq!(store.forget_runners(at(20)).await.unwrap(), 1);
    assert_eq!(there().await, ["here", "house"]);
    assert_eq!(kept(None).await.as_deref(), Some("house"));
    assert_eq!(store.runner("runner").await.unwrap(), None);
    let here = store.runner("here").await.unwrap();
    assert_eq!(here, Some(seen("here", true, 20)));
}

pub async fn linked_runners_are_those_of_brokers_that_are_heard_of(store: &dyn Store) {
    let down = Runner {
        link: LinkState::Down,
        ..seen("down", false, 20)
    };
    for runner in [
        seen("silent", false, 19),
        seen("up", false, 20),
        down,
        seen("also", true, 30),
    ] {
        store.upsert_runner(runner).await.unwrap();
    }
    let linked = store.linked_runners(at(20)).await.unwrap();
    assert_eq!(linked, [seen("also", true, 30), seen("up", false, 20)]);
}

pub async fn what_is_known_of_a_runner_stays_until_something_newer_is_said(store: &dyn Store) {
    let runner = Runner {
        id: "r".into(),
        broker_url: Some("http://broker".into()),
        link: LinkState::Up,
        payload: Some("{\"status\":\"ok\"}".into()),
        last_seen_at: at(1),
    };
    store.upsert_runner(runner.clone()).await.unwrap();
    let down = Runner {
        broker_url: None,
        link: LinkState::Down,
        payload: None,
        last_seen_at: at(2),
        ..runner.clone()
    };
    store.upsert_runner(down).await.unwrap();
    let expected = Runner {
        link: LinkState::Down,
        last_seen_at: at(2),
        ..runner
    };
    assert_eq!(store.runners().await.unwrap(), [expected]);
}
