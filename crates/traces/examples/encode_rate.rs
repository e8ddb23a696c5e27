//! How fast the log takes the spans of typical events, and how many bytes they come to.
//!
//! Builds the spans of 8 builds as the hops make them (group commits of 40 events whose statements are
//! shared), and appends them in batches: once to files that are nowhere, which is what encoding costs, and
//! once to a folder of the system, as many times over as the first argument says. Run it with
//! `cargo run --release --example encode_rate -p hopline-traces [TIMES]`.

#![allow(clippy::unwrap_used, reason = "an example that measures")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hopline_files::{File, FileSystem};
use hopline_traces::{Durability, LogOptions, LogStore, TraceStore};
use hopline_wire::span::{
    Attribute, EventKeys, Links, Resource, Span, SpanKind, SpanName, SpanStatus, Text,
};
use hopline_wire::{SpanId, Timestamp, TraceId, ops};

const BUILDS: u64 = 8;
const EVENTS: u64 = 60_000;
const GROUP: u64 = 40;
const BATCH: usize = 1_000;

fn main() {
    let spans = spans();
    println!("{} spans of {EVENTS} events", spans.len());
    let nowhere = LogStore::open_on(Arc::new(Nowhere), Path::new("/"), LogOptions::default());
    let times = std::env::args()
        .nth(1)
        .map_or(1, |times| times.parse().unwrap());
    measure("encoded", &nowhere.unwrap().0, &spans, times);
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(folder.path(), LogOptions::default()).unwrap();
    measure("written", &store, &spans, times);
    let begun = Instant::now();
    let overview = store.overview(spans[0].trace_id).unwrap();
    let took = begun.elapsed();
    let total = overview.map_or(0, |overview| overview.total);
    println!("surveyed: one trace, {total} spans once, in {took:.1?}");
    let begun = Instant::now();
    let trace = store.trace(spans[0].trace_id, 20_000).unwrap();
    let (took, read) = (begun.elapsed(), trace.spans.len());
    println!(
        "read: one trace, {read} of {} spans, in {took:.1?}",
        trace.total
    );
    let begun = Instant::now();
    store.close().unwrap();
    println!("closed in {:.1?}", begun.elapsed());
    let begun = Instant::now();
    let (_store, opened) = LogStore::open(folder.path(), LogOptions::default()).unwrap();
    println!("opened in {:.1?}: {opened:?}", begun.elapsed());
}

fn measure(what: &str, store: &LogStore, spans: &[Span], times: usize) {
    let begun = Instant::now();
    let mut bytes = 0;
    for _ in 0..times {
        for batch in spans.chunks(BATCH) {
            bytes += store.append(batch, Durability::Buffered).unwrap().bytes;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "figures for reading")]
    let (count, bytes) = ((spans.len() * times) as f64, bytes as f64);
    println!(
        "{what}: {:.0} spans/s, {:.0} ns and {:.1} bytes a span",
        count / seconds,
        seconds * 1e9 / count,
        bytes / count
    );
}

/// Numbers without a pattern, as ids are.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn span_id(&mut self) -> SpanId {
        SpanId::from_bytes((self.next() | 1).to_be_bytes()).unwrap()
    }

    fn trace_id(&mut self) -> TraceId {
        let bytes = [self.next().to_be_bytes(), (self.next() | 1).to_be_bytes()];
        TraceId::from_bytes(bytes.concat().try_into().unwrap()).unwrap()
    }

    /// A time of some microseconds.
    fn time(&mut self) -> u64 {
        20_000 + self.next() % 900_000
    }
}

struct Build {
    trace_id: TraceId,
    root: SpanId,
    project_id: Text,
    command_id: Text,
    session_id: Text,
    seq: u64,
}

fn spans() -> Vec<Span> {
    let mut random = Random(1);
    let resource = |service: &'static str| {
        Arc::new(Resource {
            attributes: vec![
                Attribute::new("service.name", service),
                Attribute::new("service.version", "0.1.0"),
            ],
            scope_name: "hopline".into(),
            scope_version: "0.1.0".into(),
        })
    };
    let (runner, broker, server) = (resource("runner"), resource("broker"), resource("server"));
    let mut builds: Vec<Build> = (0..BUILDS)
        .map(|number| Build {
            trace_id: random.trace_id(),
            root: random.span_id(),
            project_id: format!("6f1c1a52-7d5e-4d0b-9c3a-00000000000{number}").into(),
            command_id: format!("01890a5d-ac96-774b-bcce-00000000000{number}").into(),
            session_id: format!("f47ac10b-58cc-4372-a567-00000000000{number}").into(),
            seq: 0,
        })
        .collect();
    let mut spans = Vec::new();
    let mut now = 1_769_852_096_789_000_000;
    for group in 0..EVENTS / GROUP {
        let build = &mut builds[usize::try_from(group % BUILDS).unwrap()];
        let mut persists = Vec::new();
        for _ in 0..GROUP {
            now += 45_000 + random.next() % 9_000;
            persists.push(event(
                &mut random,
                build,
                now,
                [&runner, &broker, &server],
                &mut spans,
            ));
        }
        statements(&mut random, build, now, &persists, &server, &mut spans);
    }
    spans
}

fn blank(random: &mut Random, build: &Build, start: u64, resource: &Arc<Resource>) -> Span {
    Span {
        trace_id: build.trace_id,
        span_id: random.span_id(),
        parent_id: None,
        name: SpanName::default(),
        op: Text::EMPTY,
        kind: SpanKind::Producer,
        start: Timestamp::from_nanos(start),
        end: Timestamp::from_nanos(start + random.time()),
        status: SpanStatus::Unset,
        pending: false,
        event: None,
        attributes: Vec::new(),
        links: Links::None,
        events: Vec::new(),
        trace_state: Text::EMPTY,
        resource: Arc::clone(resource),
    }
}

/// The four hops of one event; answers the last one's id.
fn event(
    random: &mut Random,
    build: &mut Build,
    at: u64,
    resources: [&Arc<Resource>; 3],
    spans: &mut Vec<Span>,
) -> SpanId {
    build.seq += 1;
    let hops = [
        ("runner.sendEvent.", ops::EVENT_SEND, "build-stream", 0),
        (
            "broker.forwardEvent.",
            ops::EVENT_FORWARD,
            "build-stream",
            1,
        ),
        ("api.runner.events.", ops::EVENT_PROCESS, "build-stream", 2),
        (
            "persistent-processor.persistEvent.",
            ops::PERSIST_EVENT,
            "text-delta",
            2,
        ),
    ];
    let mut parent = build.root;
    for (place, (stem, op, event_type, resource)) in hops.into_iter().enumerate() {
        let start = at + place as u64 * random.time();
        let mut span = blank(random, build, start, resources[resource]);
        span.parent_id = Some(parent);
        span.name = SpanName::new(stem, event_type);
        span.op = op.into();
        let session_id = if place == 3 {
            build.session_id.clone()
        } else {
            Text::EMPTY
        };
        span.event = Some(EventKeys {
            event_type: event_type.into(),
            project_id: build.project_id.clone(),
            command_id: build.command_id.clone(),
            seq: build.seq,
            session_id,
        });
        #[expect(clippy::cast_precision_loss, reason = "as the hops do it")]
        let wait = random.time() as f64 / 1e6;
        span.attributes
            .push(Attribute::new("hopline.queue.wait_ms", wait));
        if place == 1 {
            span.attributes
                .push(Attribute::new("messaging.batch.message_count", 40));
        }
        parent = span.span_id;
        spans.push(span);
    }
    parent
}

/// The statements and the broadcast of one group commit.
fn statements(
    random: &mut Random,
    build: &Build,
    at: u64,
    persists: &[SpanId],
    resource: &Arc<Resource>,
    spans: &mut Vec<Span>,
) {
    let links: Arc<[SpanId]> = persists[1..].into();
    let statements = [
        ("INSERT", "runner_events"),
        ("INSERT", "generation_notes"),
        ("UPDATE", "generation_sessions"),
        ("COMMIT", ""),
    ];
    for (operation, table) in statements {
        let start = at + random.time();
        let mut span = blank(random, build, start, resource);
        span.parent_id = Some(persists[0]);
        span.name = SpanName::new(operation, table);
        span.op = ops::DB_QUERY.into();
        span.kind = SpanKind::Client;
        span.links = Links::SameTrace(Arc::clone(&links));
        span.attributes = vec![
            Attribute::new("db.system.name", "sqlite"),
            Attribute::new("db.operation.name", operation),
            Attribute::new("db.collection.name", table),
            Attribute::new("db.query.summary", "INSERT runner_events"),
            Attribute::new("db.operation.batch.size", 40),
            Attribute::new("hopline.shared_by", 1),
        ];
        spans.push(span);
    }
    let start = at + random.time();
    let mut span = blank(random, build, start, resource);
    span.parent_id = Some(persists[0]);
    span.name = "websocket.broadcast".into();
    span.op = ops::BROADCAST.into();
    span.links = Links::SameTrace(links);
    spans.push(span);
}

/// A file system that forgets all that is written.
struct Nowhere;

impl FileSystem for Nowhere {
    fn create_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _folder: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn create(&self, _path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Self))
    }

    fn open(&self, _path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Self))
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn walk(&self, _: &Path) -> io::Result<Vec<std::path::PathBuf>> {
        Ok(Vec::new())
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl File for Nowhere {
    fn length(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn read_at(&self, _bytes: &mut [u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Ok(())
    }

    fn cut(&self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
