//! What an event costs in the processor: reading, folding, spans and the commit into SQLite, for 8 builds at once, each
//! sending its next request when the last one is settled. Run with `cargo run --release -p hopline-processor
//! --example event_rate`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hopline_processor::{Handle, Options, Processor, Reader};
use hopline_state::Store;
use hopline_state::rows::{Command, CommandStatus, Project, ProjectStatus, Session, SessionStatus};
use hopline_state::sqlite::SqliteStore;
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Head, Pipeline, Sampler, TraceContext, Tracer, ids};
use hopline_wire::Timestamp;
use uuid::Uuid;

const BUILDS: usize = 8;
const EVENTS: u64 = 30_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = std::env::temp_dir().join(format!("hopline-event-rate-{}", Uuid::new_v4()));
    std::fs::create_dir_all(&folder)?;
    for (request, traced) in [(50, false), (50, true), (200, true), (5, true)] {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(
            &folder.join(format!("{}.db", Uuid::new_v4())),
        )?);
        let (pipeline, thread) = Pipeline::start(Vec::new(), 64 << 20)?;
        let tracer = Tracer::new(pipeline, "hopline-server", "rate");
        let processor = Processor::start(
            Options::default(),
            Arc::clone(&store),
            tracer,
            &Metrics::default(),
        );
        let cpu = cpu_time();
        let begun = Instant::now();
        let mut builds = Vec::new();
        for _ in 0..BUILDS {
            let (project, command) = make_build(&store).await?;
            let events = if request < 10 { EVENTS / 10 } else { EVENTS };
            let send = send(
                processor.handle(),
                project,
                command,
                request,
                events,
                traced,
            );
            builds.push(tokio::spawn(send));
        }
        let mut waits = Vec::new();
        let mut total = 0;
        for build in builds {
            let (sent, each) = build.await??;
            total += sent;
            waits.extend(each);
        }
        let wall = begun.elapsed();
        let cpu = cpu_time().saturating_sub(cpu);
        waits.sort_unstable();
        println!(
            "requests of {request}, traced {traced}: {:.0} events/s, {:.1} µs of processor time an event (its making included), answered p50 {:?} p99 {:?}",
            total as f64 / wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / total as f64,
            waits[waits.len() / 2],
            waits[waits.len() * 99 / 100],
        );
        processor.stop().await;
        store.close().await;
        let _ = thread.stop(Instant::now() + Duration::from_secs(5));
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

type Sent = Result<(u64, Vec<Duration>), Box<dyn std::error::Error + Send + Sync>>;

async fn send(
    handle: Handle,
    project: Uuid,
    command: String,
    request: u64,
    events: u64,
    traced: bool,
) -> Sent {
    let trace = TraceContext::new_trace(&Sampler::new(1.0), &Head::default(), "x", None);
    let mut waits = Vec::new();
    let mut seq = 0;
    while seq < events {
        let mut reader = Reader::default();
        let incoming = (seq + 1..=seq + request).map(|seq| {
            let json = event(project, &command, seq);
            let mut incoming = reader.read(Bytes::from(json), Timestamp::now());
            incoming.trace = traced.then(|| trace.child(ids::new_span_id()));
            incoming
        });
        let incoming = incoming.collect();
        let at = Instant::now();
        handle.submit(incoming).await?;
        waits.push(at.elapsed());
        seq += request;
    }
    Ok((seq, waits))
}

/// 70 % text of 80 B, 25 % tool inputs of 400 B and outputs of 2 KiB, 4 % reasoning, 1 % plans of 8.
fn event(project: Uuid, command: &str, seq: u64) -> String {
    let part = match seq % 100 {
        0 => {
            let todo = r#"{\"content\":\"a todo of a plan\",\"activeForm\":\"doing it\",\"status\":\"pending\"}"#;
            let todos = [todo; 8].join(",");
            format!(
                r#"{{\"type\":\"tool-input-available\",\"toolCallId\":\"plan-{seq}\",\"toolName\":\"TodoWrite\",\"input\":{{\"todos\":[{todos}]}}}}"#
            )
        }
        1..=4 => format!(
            r#"{{\"type\":\"reasoning-delta\",\"id\":\"r\",\"delta\":\"{}\"}}"#,
            "r".repeat(80)
        ),
        5..=16 => format!(
            r#"{{\"type\":\"tool-input-available\",\"toolCallId\":\"call-{}\",\"toolName\":\"Read\",\"input\":{{\"path\":\"{}\"}}}}"#,
            seq,
            "i".repeat(400)
        ),
        17..=29 => format!(
            r#"{{\"type\":\"tool-output-available\",\"toolCallId\":\"call-{}\",\"output\":{{\"text\":\"{}\"}}}}"#,
            seq - 12,
            "o".repeat(2048)
        ),
        _ => format!(
            r#"{{\"type\":\"text-delta\",\"id\":\"t\",\"delta\":\"{}\"}}"#,
            "d".repeat(80)
        ),
    };
    let baggage = "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=k,sentry-sample_rate=1,sentry-sample_rand=0.5,sentry-sampled=true,sentry-environment=production";
    format!(
        r#"{{"type":"build-stream","commandId":"{command}","projectId":"{project}","timestamp":"2026-02-03T04:05:06.789Z","seq":{seq},"_sentry":{{"trace":"771a43a4192642f0b136d5159a501700-b7ad6b7169203331-1","baggage":"{baggage}"}},"data":"data: {part}\n\n","runnerId":"r","link":"0d0e4736-00f0-67aa-0ba9-02b700000000","linkSeq":{seq}}}"#
    )
}

async fn make_build(
    store: &Arc<dyn Store>,
) -> Result<(Uuid, String), Box<dyn std::error::Error + Send + Sync>> {
    let (at, id, command) = (Timestamp::now(), Uuid::new_v4(), Uuid::new_v4().to_string());
    store
        .create_project(Project {
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
        })
        .await?;
    let row = Command {
        id: command.clone(),
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
        id: Uuid::new_v4(),
        project_id: id,
        build_id: Uuid::new_v4().to_string(),
        command_id: command.clone(),
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
    store.create_build(row, session).await?;
    Ok((id, command))
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| -> u64 {
        fields
            .get(at)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    };
    // Fields 14 and 15 of the line, in hundredths of a second.
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}
