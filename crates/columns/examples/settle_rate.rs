//! How fast spans become columns, how many bytes they take there, and how fast a trace is found among them.
//!
//! ```text
//! cargo run --release -p hopline-columns --example settle_rate -- TRACE.json SPANS [FOLDER]
//! ```
//!
//! `TRACE.json` is a trace as `hopline trace ID --json` writes it; it is stored again and again under other ids until there
//! are so many spans. In `bench/README.md` are the figures that this gave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a measurement fails by panicking, and prints round numbers"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hopline_columns::{Segments, SettleOptions, Settler};
use hopline_files::Disk;
use hopline_traces::{Durability, LogOptions, LogStore, Older, TraceStore};
use hopline_wire::span::{Links, Span};
use hopline_wire::{SpanId, Timestamp, TraceId, otlp};

/// How many spans are appended at once, as a request has them.
const BATCH: usize = 512;

/// How many traces are looked up.
const LOOKUPS: usize = 200;

/// A stream of numbers that look random and are the same each time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The spans of a trace under other ids and at another time.
fn again(template: &[Span], trace: TraceId, mask: u64, after: u64) -> Vec<Span> {
    let id = |id: SpanId| {
        let number = u64::from_be_bytes(id.to_bytes()) ^ mask;
        SpanId::from_bytes(number.max(1).to_be_bytes()).unwrap()
    };
    let later = |at: Timestamp| Timestamp::from_nanos(at.as_nanos() + after);
    let each = template.iter().map(|span| Span {
        trace_id: trace,
        span_id: id(span.span_id),
        parent_id: span.parent_id.map(id),
        start: later(span.start),
        end: later(span.end),
        links: match &span.links {
            Links::SameTrace(ids) => Links::SameTrace(ids.iter().map(|one| id(*one)).collect()),
            other => other.clone(),
        },
        ..span.clone()
    });
    each.collect()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("the file of a trace");
    let wanted: usize = args.next().expect("how many spans").parse().unwrap();
    let folder = args.next().map_or_else(
        || std::env::temp_dir().join("hopline-settle-rate"),
        PathBuf::from,
    );
    let _ = std::fs::remove_dir_all(&folder);
    let mut template = Vec::new();
    let request = otlp::decode_json(&std::fs::read(file).unwrap()).unwrap();
    otlp::from_request(request, &mut template);
    template.retain(|span| !span.pending);
    println!("the trace has {} spans", template.len());

    let segments = Segments::open(Arc::new(Disk), folder.join("spans")).unwrap();
    let segments = Arc::new(segments);
    let (log, _) = LogStore::open(&folder.join("log"), LogOptions::default()).unwrap();
    let log = Arc::new(log);
    log.set_older(Arc::clone(&segments) as Arc<dyn Older>);
    let options = SettleOptions {
        interval: Duration::from_millis(50),
        ..SettleOptions::default()
    };
    let settler = Settler::start(Arc::clone(&log), Arc::clone(&segments), options).unwrap();

    let mut numbers = Numbers(7);
    let mut traces = Vec::new();
    let mut stored = 0;
    let begun = Instant::now();
    while stored < wanted {
        let bytes = [numbers.next(), numbers.next()]
            .map(u64::to_be_bytes)
            .concat();
        let trace = TraceId::from_bytes(bytes.try_into().unwrap()).unwrap();
        let spans = again(
            &template,
            trace,
            numbers.next(),
            traces.len() as u64 * 10_000_000,
        );
        for batch in spans.chunks(BATCH) {
            log.append(batch, Durability::Buffered).unwrap();
        }
        stored += spans.len();
        traces.push((trace, spans.len()));
    }
    log.flush().unwrap();
    let appended = begun.elapsed();
    log.seal_after(Duration::ZERO);
    while log.segments().iter().any(|segment| segment.spans > 0) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let settled = begun.elapsed();
    drop(settler);
    let stats = log.stats();
    let rate = |time: Duration| stored as f64 / time.as_secs_f64();
    println!(
        "{stored} spans appended in {appended:.2?}: {:.0}/s",
        rate(appended)
    );
    println!(
        "all of them columns, merging included, in {settled:.2?}: {:.0}/s",
        rate(settled)
    );
    println!(
        "{} files, {:.1} bytes a span",
        stats.segments,
        stats.bytes as f64 / stored as f64
    );

    let mut times = Vec::new();
    for _ in 0..LOOKUPS {
        let at = usize::try_from(numbers.next() % traces.len() as u64).unwrap();
        let (trace, count) = traces[at];
        let begun = Instant::now();
        let found = log.trace(trace, usize::MAX).unwrap();
        times.push(begun.elapsed());
        assert_eq!(found.spans.len(), count);
    }
    times.sort_unstable();
    println!(
        "a trace of {} spans by its id: p50 {:.2?}, p99 {:.2?}",
        template.len(),
        times[LOOKUPS / 2],
        times[LOOKUPS * 99 / 100]
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    println!(
        "memory, at most: {}",
        peak.trim_start_matches("VmHWM:").trim()
    );
    log.close().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
