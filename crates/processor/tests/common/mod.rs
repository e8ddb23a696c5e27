//! A processor on a database of its own, and builds to send events for.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

pub mod naive;
pub mod said;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hopline_processor::{Handle, Incoming, Options, Processor, Reader, SubmitError};
use hopline_state::contract_tests::postgres::Server;
use hopline_state::rows::{Command, CommandStatus, Project, ProjectStatus, Session, SessionStatus};
use hopline_state::sqlite::SqliteStore;
use hopline_state::{SessionKey, Store};
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Pipeline, Tracer};
use hopline_wire::Timestamp;
use hopline_wire::ingest::IngestReply;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// A processor and what it stands on.
pub struct World {
    pub store: Arc<dyn Store>,
    pub handle: Handle,
    pub metrics: Metrics,
    processor: Processor,
    folder: TempDir,
    pub options: Options,
}

/// A build, as its events name it.
#[derive(Debug, Clone)]
pub struct Build {
    pub project: Uuid,
    pub session: Uuid,
    pub command: String,
}

impl World {
    pub async fn new() -> Self {
        Self::with(quick_options()).await
    }

    pub async fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start(options, folder, tracer()).await
    }

    pub async fn traced_with(options: Options, tracer: Tracer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start(options, folder, tracer).await
    }

    async fn start(options: Options, folder: TempDir, tracer: Tracer) -> Self {
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        Self::on(Arc::new(store), options, folder, tracer)
    }

    /// One of several on a PostgreSQL database.
    pub async fn of_several(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(server.store().await);
        Self::on(store, quick_options(), folder, tracer())
    }

    fn on(store: Arc<dyn Store>, options: Options, folder: TempDir, tracer: Tracer) -> Self {
        let metrics = Metrics::default();
        let mut with_scratch = options.clone();
        with_scratch.scratch = Some(folder.path().to_owned());
        let processor = Processor::start(with_scratch, Arc::clone(&store), tracer, &metrics);
        Self {
            handle: processor.handle(),
            store,
            metrics,
            processor,
            folder,
            options,
        }
    }

    /// Ends everything and starts it again on the same database.
    pub async fn restart(self) -> Self {
        self.processor.stop().await;
        self.store.close().await;
        Self::start(self.options, self.folder, tracer()).await
    }

    /// A second processor on the same store, which ends with the test.
    pub async fn beside(&self) -> Handle {
        let store = Arc::clone(&self.store);
        let processor =
            Processor::start(self.options.clone(), store, tracer(), &Metrics::default());
        processor.handle()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A build that has just been given to the runner `r`.
    pub async fn build(&self) -> Build {
        let project = self.project().await;
        let build = Build {
            project,
            session: Uuid::new_v4(),
            command: Uuid::new_v4().to_string(),
        };
        let (command, session) = (command_row(&build, "start-build"), session_row(&build));
        self.store.create_build(command, session).await.unwrap();
        build
    }

    /// A command that is no build.
    pub async fn command(&self, kind: &str) -> Build {
        let project = self.project().await;
        let build = Build {
            project,
            session: Uuid::nil(),
            command: Uuid::new_v4().to_string(),
        };
        let row = command_row(&build, kind);
        self.store.create_command(row).await.unwrap();
        build
    }

    async fn project(&self) -> Uuid {
        let id = Uuid::new_v4();
        self.store.create_project(project_row(id)).await.unwrap();
        id
    }

    pub async fn submit(&self, events: &[Value]) -> IngestReply {
        self.try_submit(events).await.unwrap()
    }

    pub async fn try_submit(&self, events: &[Value]) -> Result<IngestReply, SubmitError> {
        let settled = self.handle.submit(incoming(events)).await?;
        Ok(settled.reply)
    }

    pub async fn session(&self, build: &Build) -> Session {
        let key = SessionKey::Id(build.session);
        self.store.session(key).await.unwrap().unwrap()
    }

    pub async fn command_row(&self, build: &Build) -> Command {
        let loaded = self.store.load_command(&build.command).await.unwrap();
        loaded.unwrap().command
    }

    /// Waits until the build's `raw_state` is there and says what is asked.
    pub async fn raw_state(&self, build: &Build, says: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..500 {
            let state = self.store.raw_state(build.session).await.unwrap();
            if let Some(state) = state {
                let state: Value = serde_json::from_str(&state).unwrap();
                if says(&state) {
                    return state;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the state never came to say that");
    }
}

impl Build {
    /// An event of the build.
    pub fn event(&self, kind: &str, seq: u64, fields: Value) -> Value {
        let mut event = json!({
            "type": kind, "commandId": self.command, "projectId": self.project, "seq": seq,
            "timestamp": at(seq).to_string(), "runnerId": "r",
        });
        let object = event.as_object_mut().unwrap();
        for (key, value) in fields.as_object().unwrap() {
            object.insert(key.clone(), value.clone());
        }
        event
    }

    /// A `build-stream` event with this part.
    pub fn part(&self, seq: u64, part: &Value) -> Value {
        let data = format!("data: {part}\n\n");
        self.event("build-stream", seq, json!({"data": data}))
    }
}

/// An event without its number, as a legacy broker's peer makes it.
pub fn unnumbered(mut event: Value, link: &str, link_seq: u64) -> Value {
    let object = event.as_object_mut().unwrap();
    object.remove("seq");
    object.insert("link".into(), link.into());
    object.insert("linkSeq".into(), link_seq.into());
    event
}

/// When the event with this number was made.
pub fn at(seq: u64) -> Timestamp {
    Timestamp::from_millis(1_770_000_000_000 + seq * 10)
}

pub fn incoming(events: &[Value]) -> Vec<Incoming> {
    let mut reader = Reader::default();
    let now = Timestamp::now();
    let read = |event: &Value| reader.read(Bytes::from(event.to_string()), now);
    events.iter().map(read).collect()
}

/// Nothing waits for long in tests.
pub fn quick_options() -> Options {
    Options {
        refresh_after: Duration::from_millis(20),
        ..Options::default()
    }
}

fn tracer() -> Tracer {
    let (pipeline, thread) = Pipeline::start(Vec::new(), 1 << 20).unwrap();
    // The thread lives as long as the test's process.
    std::mem::forget(thread);
    Tracer::new(pipeline, "hopline-server", "test")
}

fn command_row(build: &Build, kind: &str) -> Command {
    Command {
        id: build.command.clone(),
        project_id: Some(build.project),
        runner_id: Some("r".into()),
        kind: kind.into(),
        status: CommandStatus::Sent,
        last_seq: 0,
        link: None,
        link_seq: None,
        trace_id: None,
        created_at: at(0),
        ended_at: None,
    }
}

fn session_row(build: &Build) -> Session {
    Session {
        id: build.session,
        project_id: build.project,
        build_id: Uuid::new_v4().to_string(),
        command_id: build.command.clone(),
        operation_type: "initial-build".into(),
        agent_id: "stream".into(),
        status: SessionStatus::Active,
        is_final: false,
        incomplete: false,
        error_message: None,
        exit_code: None,
        trace_id: None,
        last_seq: 0,
        started_at: at(0),
        ended_at: None,
        summary: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

fn project_row(id: Uuid) -> Project {
    Project {
        id,
        name: "a project".into(),
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
        created_at: at(0),
        updated_at: at(0),
    }
}

/// An event of a build: a piece of the text `t`.
pub fn delta(build: &Build, seq: u64, text: &str) -> Value {
    build.part(
        seq,
        &json!({"type": "text-delta", "id": "t", "delta": text}),
    )
}
