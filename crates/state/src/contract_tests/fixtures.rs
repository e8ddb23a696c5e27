//! Rows to begin with.

use std::sync::Arc;

use hopline_wire::Timestamp;
use uuid::Uuid;

use crate::group::{
    BatchOutcome, CommandBatch, CommandChange, Group, Log, RawState, SessionBatch, SessionChange,
};
use crate::rows::{
    Command, CommandStatus, Outcome, Project, ProjectStatus, Session, SessionStatus, ToolCall,
    ToolState,
};
use crate::store::{Page, Store};

/// More than any test writes.
pub const ALL: Page = Page {
    rows: 10_000,
    bytes: 1 << 30,
};

/// A point in time, in milliseconds after some beginning.
#[must_use]
pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_770_000_000_000 + millis)
}

#[must_use]
pub fn project(slug: &str) -> Project {
    Project {
        id: Uuid::new_v4(),
        name: format!("project {slug}"),
        slug: slug.into(),
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
        created_at: at(0),
        updated_at: at(0),
    }
}

#[must_use]
pub fn command(project_id: Uuid) -> Command {
    Command {
        id: Uuid::new_v4().to_string(),
        project_id: Some(project_id),
        runner_id: Some("runner".into()),
        kind: "start-build".into(),
        status: CommandStatus::Queued,
        last_seq: 0,
        link: None,
        link_seq: None,
        trace_id: "771a43a4192642f0b136d5159a501700".parse().ok(),
        created_at: at(0),
        ended_at: None,
    }
}

#[must_use]
pub fn session(project_id: Uuid, command_id: &str) -> Session {
    Session {
        id: Uuid::new_v4(),
        project_id,
        build_id: Uuid::new_v4().to_string(),
        command_id: command_id.into(),
        operation_type: "initial-build".into(),
        agent_id: "steps".into(),
        status: SessionStatus::Active,
        is_final: false,
        incomplete: false,
        error_message: None,
        exit_code: None,
        trace_id: "771a43a4192642f0b136d5159a501700".parse().ok(),
        last_seq: 0,
        started_at: at(0),
        ended_at: None,
        summary: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// A build that was just given.
#[derive(Debug, Clone)]
pub struct Build {
    pub project: Project,
    pub command: Command,
    pub session: Session,
}

pub async fn build(store: &dyn Store, slug: &str) -> Build {
    let project = project(slug);
    let command = command(project.id);
    let session = session(project.id, &command.id);
    store.create_project(project.clone()).await.unwrap();
    let made = store.create_build(command.clone(), session.clone()).await;
    made.unwrap();
    Build {
        project,
        command,
        session,
    }
}

impl Build {
    /// A batch that logs the events `from..=to` and changes no row besides.
    #[must_use]
    pub fn batch(&self, from: u64, to: u64) -> CommandBatch {
        let mut log = Log::default();
        for seq in from..=to {
            let project = Some(self.project.id.to_string().into());
            let body = Some(["{\"seq\":", "1}"]);
            let outcome = Outcome::Committed;
            log.push(seq, "ack".into(), project, body, outcome, None, at(seq));
        }
        CommandBatch {
            command_id: Arc::from(self.command.id.as_str()),
            expected_last_seq: from - 1,
            last_seq: to,
            log,
            command: CommandChange::default(),
            session: Some(SessionBatch {
                session_id: self.session.id,
                expected_decisions: 0,
                todos_removed_from: None,
                todos: Vec::new(),
                tool_calls: Vec::new(),
                notes: Vec::new(),
                decisions: Vec::new(),
                row: self.change(to),
            }),
            project: None,
        }
    }

    #[must_use]
    pub fn change(&self, seq: u64) -> SessionChange {
        SessionChange {
            status: SessionStatus::Active,
            is_final: false,
            incomplete: false,
            error_message: None,
            exit_code: None,
            ended_at: None,
            summary: None,
            fold: "{}".into(),
            raw_state: RawState::Keep,
            updated_at: at(seq),
        }
    }
}

/// The batch's changes of its build.
pub fn of(batch: &mut CommandBatch) -> &mut SessionBatch {
    batch.session.as_mut().unwrap()
}

/// Commits one batch, which must go through.
pub async fn commit(store: &dyn Store, batch: CommandBatch) {
    let batches = vec![batch];
    let committed = store.commit(Group::new(batches)).await.unwrap();
    assert_eq!(committed.outcomes, [BatchOutcome::Applied]);
}

#[must_use]
pub fn call(id: &str, seq: u64) -> ToolCall {
    ToolCall {
        tool_call_id: id.into(),
        todo_index: -1,
        name: String::new(),
        input: None,
        output: None,
        state: ToolState::InputAvailable,
        first_seq: seq,
        started_at: None,
        ended_at: None,
        created_at: at(seq),
        updated_at: at(seq),
    }
}
