//! What a broker costs: a runner that sends as fast as it is told or its window lets it, a server that acknowledges at
//! once, and the processor time of the broker's own threads per event.
//!
//! `cargo run -p hopline-broker --example load -- [COMMANDS] [EVENTS] [BYTES] [PER SECOND]`, on Linux. Without
//! the last, as many per second as go through.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use futures_util::{SinkExt as _, StreamExt as _};
use hopline_broker::{Broker, Handle, Options};
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::pipeline::{DEFAULT_QUEUE_BYTES, Pipeline};
use hopline_telemetry::{Head, Sampler, TraceContext, Tracer};
use hopline_wire::event::{Envelope, EventHead};
use hopline_wire::secret::Secret;
use hopline_wire::splice;
use tokio::runtime::Builder;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const SECRET: &str = "secret";
const BATCH: usize = 50;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| -> Result<usize> {
        Ok(arguments.next().map_or(Ok(default), |text| text.parse())?)
    };
    let load = Load {
        commands: number(8)?,
        events: number(200_000)?,
        bytes: number(300)?,
        per_second: number(0)?,
    };
    let Load {
        commands, events, ..
    } = load;
    let rest = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("rest")
        .enable_all()
        .build()?;
    let hub = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("broker")
        .enable_all()
        .build()?;
    let server = rest.block_on(serve())?;
    let (handle, _pipeline) = hub.block_on(hub.spawn(start(server)))??;
    let before = processor_time("broker")?;
    let begun = Instant::now();
    rest.block_on(rest.spawn(send(handle.address(), load)))??;
    let (took, used) = (begun.elapsed(), processor_time("broker")? - before);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (per_second, each) = (
        events as f64 / took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / events as f64,
    );
    println!(
        "{commands} commands, {events} events: {per_second:.0} events/s, {each:.2} µs of the broker's threads per event"
    );
    Ok(())
}

#[derive(Clone, Copy)]
struct Load {
    commands: usize,
    events: usize,
    bytes: usize,
    per_second: usize,
}

async fn start(
    server: SocketAddr,
) -> Result<(Handle, hopline_telemetry::pipeline::PipelineThread)> {
    let (pipeline, thread) = Pipeline::start(Vec::new(), DEFAULT_QUEUE_BYTES)?;
    let tracer = Tracer::new(pipeline, "hopline-broker", "load");
    let options = Options::new(
        ([127, 0, 0, 1], 0).into(),
        format!("http://{server}"),
        Secret::new(SECRET),
    );
    Ok((
        Broker::start(options, tracer, Metrics::default()).await?,
        thread,
    ))
}

/// A server that reads heads and acknowledges.
async fn serve() -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route(hopline_wire::ingest::PATH, post(answer))
        .layer(DefaultBodyLimit::max(16 << 20));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn answer(body: Bytes) -> String {
    let mut acked = BTreeMap::new();
    for event in splice::split(&body).unwrap_or_default() {
        let text = std::str::from_utf8(&event).unwrap_or_default();
        if let Ok(head) = EventHead::read(text)
            && let (Some(command), Some(seq)) = (head.command_id, head.seq)
        {
            acked.insert(command.into_owned(), seq);
        }
    }
    serde_json::json!({"ok": true, "acked": acked, "rejected": [], "gaps": {}}).to_string()
}

async fn send(broker: SocketAddr, load: Load) -> Result<()> {
    let Load {
        commands,
        events,
        bytes,
        per_second,
    } = load;
    let mut request = format!("ws://{broker}/socket?runnerId=r").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {SECRET}").parse()?);
    headers.insert("sec-websocket-protocol", "hopline.v1".parse()?);
    let (socket, _) = tokio_tungstenite::connect_async(request).await?;
    let (mut sink, mut stream) = socket.split();
    let hello = r#"{"type":"hello","runnerId":"r","instanceId":"i","version":"1"}"#;
    sink.send(Message::Text(hello.into())).await?;
    let window = Arc::new(tokio::sync::Semaphore::new(8_000));
    let opened = Arc::clone(&window);
    let sending = tokio::spawn(async move {
        let mut frames = Frames::new(commands, bytes);
        let batch = if per_second == 0 {
            BATCH
        } else {
            (per_second / 1_000).max(1)
        };
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        let mut left = events;
        while left > 0 {
            if per_second > 0 {
                pace.tick().await;
            }
            let count = left.min(batch);
            opened.acquire_many(u32::try_from(count)?).await?.forget();
            sink.send(Message::Text(frames.next(count).into())).await?;
            left -= count;
        }
        anyhow::Ok(sink)
    });
    let mut acked: BTreeMap<String, u64> = BTreeMap::new();
    let mut settled = 0;
    while settled < events {
        let message = stream.next().await.context("the link ended")??;
        let Message::Text(text) = message else {
            continue;
        };
        let frame: serde_json::Value = serde_json::from_str(&text)?;
        if frame["type"] == "events-acked" {
            let seq = frame["seq"].as_u64().context("a number")?;
            let there = acked
                .entry(frame["commandId"].as_str().context("a text")?.to_owned())
                .or_default();
            let news = usize::try_from(seq - *there)?;
            *there = seq;
            settled += news;
            window.add_permits(news);
        }
    }
    sending.await??.close().await?;
    Ok(())
}

/// Frames of events, round the commands.
struct Frames {
    traces: Vec<TraceContext>,
    seqs: Vec<u64>,
    fields: String,
    at: usize,
}

impl Frames {
    fn new(commands: usize, bytes: usize) -> Self {
        let head = Head {
            public_key: Some("0123456789abcdef0123456789abcdef".into()),
            org_id: Some("1".into()),
            release: Some("hopline@0.1.0".into()),
            environment: Some("production".into()),
        };
        let trace = || TraceContext::new_trace(&Sampler::new(1.0), &head, "POST /api/x", None);
        Self {
            traces: (0..commands).map(|_| trace()).collect(),
            seqs: vec![0; commands],
            fields: format!("\"data\":\"{}\"", "x".repeat(bytes)),
            at: 0,
        }
    }

    fn next(&mut self, count: usize) -> String {
        let mut frame = vec![b'['];
        for n in 0..count {
            if n > 0 {
                frame.push(b',');
            }
            self.at = (self.at + 1) % self.seqs.len();
            self.seqs[self.at] += 1;
            let trace = &self.traces[self.at];
            Envelope {
                kind: "build-stream",
                command_id: Some(&format!("11111111-1111-4111-8111-{:012}", self.at)),
                project_id: Some("22222222-2222-4222-8222-222222222222"),
                timestamp: "2026-01-31T09:30:00.000Z",
                seq: Some(self.seqs[self.at]),
                carrier: Some((&trace.sentry_trace().to_string(), trace.baggage.as_str())),
            }
            .write(&self.fields, &mut frame);
        }
        frame.push(b']');
        String::from_utf8(frame).unwrap_or_default()
    }
}

/// The processor time of all threads of this name.
fn processor_time(name: &str) -> Result<Duration> {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let (head, fields) = stat.rsplit_once(')').context("a thread's figures")?;
        if head.ends_with(&format!("({name}")) {
            let fields: Vec<&str> = fields.split_whitespace().collect();
            // utime and stime, in hundredths of a second (proc(5)).
            ticks += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        }
    }
    Ok(Duration::from_millis(ticks * 10))
}
