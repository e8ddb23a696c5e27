//! How many events a second the embedded database takes: groups of 500 log rows of 500 bytes, 8 commands, with
//! the rows that a typical build folds from them. Run with `cargo run --release -p hopline-state --example commit_rate`.

use std::sync::Arc;
use std::time::Instant;

use hopline_state::group::{
    CommandBatch, CommandChange, Group, Log, NoteAppend, RawState, SessionBatch, SessionChange,
};
use hopline_state::rows::{
    Command, CommandStatus, Outcome, Project, ProjectStatus, Session, SessionStatus, ToolCall,
    ToolState,
};
use hopline_state::sqlite::SqliteStore;
use hopline_state::{StateError, Store};
use hopline_wire::Timestamp;
use hopline_wire::part::TextKind;
use uuid::Uuid;

const BUILDS: usize = 8;
const GROUP: usize = 500;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1);
    let folder = folder.map_or_else(
        || std::env::temp_dir().join("hopline-commit-rate"),
        Into::into,
    );
    let groups: usize = std::env::args()
        .nth(2)
        .map_or(Ok(400), |text| text.parse())?;
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.db", Uuid::new_v4()));
    let opening = Instant::now();
    let store = SqliteStore::open(&path)?;
    println!("open a fresh database: {:?}", opening.elapsed());
    for rows_too in [false, true] {
        let builds = make_builds(&store).await?;
        measure(&store, &builds, groups, rows_too).await?;
    }
    store.close().await;
    let opening = Instant::now();
    let store = SqliteStore::open(&path)?;
    println!("open it again: {:?}", opening.elapsed());
    store.close().await;
    println!("{} MiB in the file", std::fs::metadata(&path)?.len() >> 20);
    std::fs::remove_file(path)?;
    Ok(())
}

async fn measure(
    store: &SqliteStore,
    builds: &[(Arc<str>, Uuid)],
    groups: usize,
    rows_too: bool,
) -> Result<(), StateError> {
    let mut times = Vec::with_capacity(groups);
    let begun = Instant::now();
    for round in 0..groups {
        let batches = builds.iter().map(|build| batch(build, round, rows_too));
        let group = Group::new(batches.collect());
        let at = Instant::now();
        store.commit(group).await?;
        times.push(at.elapsed());
    }
    let events = groups * (GROUP / BUILDS) * BUILDS;
    let what = if rows_too {
        "log and rows"
    } else {
        "log alone"
    };
    times.sort_unstable();
    println!(
        "{what}: {:.0} events/s, commit p50 {:?}, p99 {:?}, max {:?}",
        events as f64 / begun.elapsed().as_secs_f64(),
        times[groups / 2],
        times[groups * 99 / 100],
        times[groups - 1],
    );
    Ok(())
}

/// 70 % text, 25 % tool inputs and outputs, as the benchmark of the whole path has it.
fn batch((command_id, session): &(Arc<str>, Uuid), round: usize, rows_too: bool) -> CommandBatch {
    let each = GROUP / BUILDS;
    let first = (round * each) as u64;
    let at = Timestamp::now();
    let body = "x".repeat(498);
    let mut log = Log::default();
    for seq in first + 1..=first + each as u64 {
        let pieces = Some(["\"", body.as_str()]);
        log.push(
            seq,
            "build-stream".into(),
            None,
            pieces,
            Outcome::Committed,
            None,
            at,
        );
    }
    let tools = (0..each / 8).map(|tool| ToolCall {
        tool_call_id: format!("call-{round}-{tool}"),
        todo_index: 0,
        name: "Read".into(),
        input: Some(format!("\"{}\"", "i".repeat(400))),
        output: Some(format!("\"{}\"", "o".repeat(2048))),
        state: ToolState::OutputAvailable,
        first_seq: first + tool as u64,
        started_at: Some(at),
        ended_at: Some(at),
        created_at: at,
        updated_at: at,
    });
    let note = NoteAppend {
        kind: TextKind::Text,
        text_id: "t".into(),
        part: (round / 5) as u32,
        todo_index: 0,
        content: "d".repeat(each * 7 / 10 * 80),
        first_seq: first,
        created_at: at,
    };
    let session = SessionBatch {
        expected_decisions: 0,
        session_id: *session,
        todos_removed_from: None,
        todos: Vec::new(),
        tool_calls: tools.collect(),
        notes: vec![note],
        decisions: Vec::new(),
        row: SessionChange {
            status: SessionStatus::Active,
            is_final: false,
            incomplete: false,
            error_message: None,
            exit_code: None,
            ended_at: None,
            summary: None,
            fold: "{}".repeat(200),
            raw_state: RawState::Keep,
            updated_at: at,
        },
    };
    CommandBatch {
        command_id: Arc::clone(command_id),
        expected_last_seq: first,
        last_seq: first + each as u64,
        log,
        command: CommandChange::default(),
        session: rows_too.then_some(session),
        project: None,
    }
}

async fn make_builds(store: &SqliteStore) -> Result<Vec<(Arc<str>, Uuid)>, StateError> {
    let mut builds = Vec::new();
    for _ in 0..BUILDS {
        let (at, id) = (Timestamp::now(), Uuid::new_v4());
        store.create_project(project(id, at)).await?;
        let command_id = Uuid::new_v4().to_string();
        let session_id = Uuid::new_v4();
        let command = Command {
            id: command_id.clone(),
            project_id: Some(id),
            runner_id: None,
            kind: "start-build".into(),
            status: CommandStatus::Sent,
            last_seq: 0,
            link: None,
            link_seq: None,
            trace_id: None,
            created_at: at,
            ended_at: None,
        };
        let session = Session {
            id: session_id,
            project_id: id,
            build_id: Uuid::new_v4().to_string(),
            command_id: command_id.clone(),
            operation_type: "initial-build".into(),
            agent_id: "stream".into(),
            status: SessionStatus::Active,
            is_final: false,
            incomplete: false,
            error_message: None,
            exit_code: None,
            trace_id: None,
            last_seq: 0,
            started_at: at,
            ended_at: None,
            summary: None,
            created_at: at,
            updated_at: at,
        };
        store.create_build(command, session).await?;
        builds.push((command_id.into(), session_id));
    }
    Ok(builds)
}

fn project(id: Uuid, at: Timestamp) -> Project {
    Project {
        id,
        name: "rate".into(),
        slug: id.to_string(),
        description: None,
        status: ProjectStatus::Pending,
        project_type: None,
        path: None,
        run_command: None,
        port: None,
        dev_server_port: None,
        dev_server_status: None,
        runner_id: None,
        error_message: None,
        last_activity_at: None,
        created_at: at,
        updated_at: at,
    }
}
