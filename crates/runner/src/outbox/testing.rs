//! An outbox on a file system in memory, and what is done to it.

use std::path::Path;

use hopline_files::power::Power;
use hopline_telemetry::contract::TracedEvents;
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Pipeline, Sampler, TraceContext};
use hopline_wire::span::{SinkError, SpanSink};

use super::*;
use crate::events::{Emitter, Origin, TracingTable};

pub(crate) const FOLDER: &str = "/outbox";

/// Segments of 64 KiB.
pub(crate) const SMALL: Bounds = Bounds::on_disk(1 << 20);

/// An outbox and what it works with.
pub(crate) struct Rig {
    pub(crate) outbox: Outbox,
    pub(crate) recovered: Recovered,
    pub(crate) tracer: Tracer,
    pub(crate) power: Power,
    pub(crate) metrics: RunnerMetrics,
    recorded: Pipeline,
    ended: Arc<Ended>,
}

/// The spans that have ended.
#[derive(Default)]
struct Ended(Mutex<Vec<Span>>);

impl SpanSink for Ended {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        let ended = spans.iter().filter(|span| !span.pending).cloned();
        self.0.lock().extend(ended);
        Ok(())
    }
}

impl Rig {
    /// A new outbox of so many bytes.
    pub(crate) fn new(disk: usize) -> Self {
        Self::on(&Power::default(), Bounds::on_disk(disk)).unwrap()
    }

    /// The outbox on this file system.
    pub(crate) fn on(power: &Power, bounds: Bounds) -> io::Result<Self> {
        let ended = Arc::<Ended>::default();
        let sink: Arc<dyn SpanSink> = Arc::clone(&ended) as _;
        let (recorded, _thread) = Pipeline::start(vec![sink], 1 << 20).unwrap();
        let metrics = RunnerMetrics::register(&Metrics::default());
        let files = Arc::new(power.clone());
        let (outbox, recovered) = Outbox::open(files, Path::new(FOLDER), bounds, metrics.clone())?;
        tokio::spawn(outbox.clone().load());
        Ok(Self {
            outbox,
            recovered,
            tracer: Tracer::new(recorded.clone(), "test", "test"),
            power: power.clone(),
            metrics,
            recorded,
            ended,
        })
    }

    pub(crate) fn emitter(&self, command: &str) -> Emitter {
        self.emitter_of("start-build", command)
    }

    /// Whoever makes the events of a command of this type.
    pub(crate) fn emitter_of(&self, kind: &str, command: &str) -> Emitter {
        let sampler = Sampler::new(1.0);
        let context = TraceContext::new_trace(&sampler, &Default::default(), "x", None);
        let tracing = TracingTable::new(&TracedEvents::default());
        let origin = Origin {
            kind: kind.into(),
            parent: None,
            received: Timestamp::from_millis(1),
        };
        let stream = Stream::new(command, None, context, origin, tracing);
        Emitter::new(stream, self.outbox.clone(), limit())
    }

    /// Takes over what an earlier process left: the commands, and who goes on with each.
    pub(crate) fn adopt(&self) -> Vec<(String, Emitter)> {
        let mut runs = self.recovered.runs.clone();
        let commands = self.recovered.control.commands.iter();
        let adopted = commands.map(|(number, known)| {
            let tracing = TracingTable::new(&TracedEvents::default());
            let stream = Stream::of_head(&known.head, tracing, &Sampler::new(1.0));
            let stream = Arc::new(stream);
            let runs = runs.remove(number).unwrap_or_default();
            self.outbox.adopt(&stream, *number, known, runs);
            let outbox = self.outbox.clone();
            let emitter = Emitter::behind(known.last_seq, stream, outbox, limit());
            (known.head.id.clone(), emitter)
        });
        adopted.collect()
    }

    /// Takes a frame and writes it: the commands and numbers that it held.
    pub(crate) fn write(&self, window: &Window) -> Vec<(String, u64)> {
        let Some(frame) = self.outbox.take(window) else {
            return Vec::new();
        };
        let held = held(&frame);
        self.outbox
            .written(frame, false, &self.tracer, Timestamp::now());
        held
    }

    /// Writes frames until so many events were written.
    pub(crate) async fn write_events(&self, count: usize) -> Vec<(String, u64)> {
        let mut written = Vec::new();
        while written.len() < count {
            written.extend(self.write(&Window::OPEN));
            if written.len() < count {
                let ready = tokio::time::timeout(crate::outbox::testing::FAR, self.outbox.ready());
                ready.await.expect("more to write");
            }
        }
        written
    }

    /// Ends the outbox: how many events are left.
    pub(crate) async fn stop(&self) -> usize {
        let stopped = self.outbox.stop(Instant::now() + FAR).await;
        assert!(stopped.is_written);
        stopped.events_waiting
    }

    /// The span of that name, when it has ended.
    pub(crate) async fn ended(&self, name: &str) -> Span {
        let ended = async {
            loop {
                let ended = self.ended.0.lock().clone();
                match ended
                    .into_iter()
                    .find(|span| span.name == name.to_owned().into())
                {
                    Some(span) => return span,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        tokio::time::timeout(FAR, ended).await.expect("a span")
    }

    pub(crate) fn spans(&self) -> u64 {
        self.recorded.stats().recorded
    }
}

/// Longer than any of these tests needs.
pub(crate) const FAR: std::time::Duration = std::time::Duration::from_secs(20);

fn limit() -> Arc<std::sync::atomic::AtomicUsize> {
    Arc::new(std::sync::atomic::AtomicUsize::new(1 << 20))
}

pub(crate) fn held(frame: &Frame) -> Vec<(String, u64)> {
    let taken = frame.events.iter();
    taken
        .map(|taken| (taken.stream.command_id.to_string(), taken.seq))
        .collect()
}

/// The types of a frame's events.
pub(crate) fn types(frame: &Frame) -> Vec<String> {
    let kinds = frame.events.iter().map(|taken| taken.kind.as_str());
    kinds.map(str::to_owned).collect()
}

/// Makes events and waits until they are durable.
pub(crate) async fn emit(emitter: &Emitter, count: usize) {
    let cause = emitter.command_span();
    let mut batch = emitter.batch().await;
    for _ in 0..count {
        batch.part(cause, r#"{"type":"finish"}"#);
    }
    batch.flush().await;
    drop(batch);
    emitter.durable().await;
}

/// Makes events large enough to need several segments; false if the power went meanwhile.
pub(crate) async fn emit_large(rig: &Rig, emitter: &Emitter, count: usize) -> bool {
    let part = format!(
        r#"{{"type":"text-delta","id":"t","delta":"{}"}}"#,
        "x".repeat(9_000)
    );
    let made = async {
        for _ in 0..count {
            let mut batch = emitter.batch().await;
            batch.part(emitter.command_span(), &part);
            batch.flush().await;
            drop(batch);
            emitter.durable().await;
        }
    };
    let cut = async {
        while !rig.power.is_cut() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = made => true,
        () = cut => false,
    }
}

pub(crate) fn numbers(command: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<(String, u64)> {
    numbers.map(|seq| (command.to_owned(), seq)).collect()
}
