use super::*;
use crate::context::{Head, TraceContext};
use crate::contract::Hop;
use crate::contract::keys;
use crate::sampling::Sampler;
use crate::tracer::Tracer;
use hopline_wire::Timestamp;
use hopline_wire::span::{DROPPED, SinkError};

#[derive(Default)]
struct Kept(Mutex<Vec<Span>>);

impl SpanSink for Kept {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        self.0.lock().extend_from_slice(spans);
        Ok(())
    }
}

struct Refusing;

impl SpanSink for Refusing {
    fn take(&self, _: &[Span]) -> Result<(), SinkError> {
        Err(SinkError::Full)
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn context() -> TraceContext {
    TraceContext::new_trace(&Sampler::new(1.0), &Head::default(), "test", None)
}

fn started(capacity: usize) -> (Arc<Kept>, Tracer, PipelineThread) {
    let kept = Arc::new(Kept::default());
    let (pipeline, thread) =
        Pipeline::start(vec![Arc::clone(&kept) as Arc<dyn SpanSink>], capacity).unwrap();
    (kept, Tracer::new(pipeline, "test", "1"), thread)
}

#[test]
fn what_is_recorded_reaches_the_sink_in_order() {
    let (kept, tracer, thread) = started(DEFAULT_QUEUE_BYTES);
    let context = context();
    let spans: Vec<_> = (0..5_000)
        .map(|_| tracer.begin(Hop::SendEvent, "ack", &context, Timestamp::now()))
        .collect();
    let ids: Vec<_> = spans.iter().map(|span| span.span_id).collect();
    for span in spans {
        tracer.record(span);
    }
    assert!(tracer.pipeline().flush(soon()));
    assert_eq!(
        kept.0
            .lock()
            .iter()
            .map(|span| span.span_id)
            .collect::<Vec<_>>(),
        ids
    );
    assert_eq!(tracer.pipeline().stats().recorded, 5_000);
    assert!(thread.stop(soon()));
}

#[test]
fn a_full_queue_drops_counts_and_tells_on_the_trace() {
    let (kept, tracer, thread) = started(0);
    let context = context();
    for _ in 0..3 {
        tracer.record(tracer.begin(Hop::SendEvent, "ack", &context, Timestamp::now()));
    }
    assert_eq!(tracer.pipeline().stats().dropped_full, 3);
    assert!(thread.stop(soon()));
    let told: i64 = kept
        .0
        .lock()
        .iter()
        .inspect(|span| {
            assert_eq!(
                (span.trace_id, span.parent_id),
                (context.trace_id, Some(context.span_id))
            )
        })
        .map(|span| match span.attribute(keys::DROPPED_SPANS) {
            Some(Value::Int(count)) => count,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(told, 3);
}

#[test]
fn a_sink_that_refuses_does_not_keep_the_others_from_their_spans() {
    let kept = Arc::new(Kept::default());
    let sinks: Vec<Arc<dyn SpanSink>> = vec![Arc::new(Refusing), Arc::clone(&kept) as _];
    let (pipeline, thread) = Pipeline::start(sinks, DEFAULT_QUEUE_BYTES).unwrap();
    let tracer = Tracer::new(pipeline.clone(), "test", "1");
    tracer.record(tracer.begin(Hop::SendEvent, "ack", &context(), Timestamp::now()));
    assert!(thread.stop(soon()));
    assert_eq!(kept.0.lock().len(), 1);
    assert_eq!(pipeline.stats().dropped_by_sinks, 1);
}

/// A sink that refuses the given number of batches and then takes all.
struct Recovering {
    refusals: Mutex<u32>,
    kept: Kept,
}

impl SpanSink for Recovering {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        let mut refusals = self.refusals.lock();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(SinkError::Full);
        }
        self.kept.take(spans)
    }
}

fn told(spans: &[Span]) -> Vec<(hopline_wire::TraceId, Option<Value>)> {
    let named = spans.iter().filter(|span| span.name.to_string() == DROPPED);
    named
        .map(|span| (span.trace_id, span.attribute(keys::DROPPED_SPANS)))
        .collect()
}

#[test]
fn what_a_sink_did_not_take_is_told_of_on_its_trace_to_that_sink_alone() {
    let recovering = Arc::new(Recovering {
        refusals: Mutex::new(2),
        kept: Kept::default(),
    });
    let other = Arc::new(Kept::default());
    let sinks: Vec<Arc<dyn SpanSink>> = vec![Arc::clone(&recovering) as _, Arc::clone(&other) as _];
    let (pipeline, thread) = Pipeline::start(sinks, DEFAULT_QUEUE_BYTES).unwrap();
    let tracer = Tracer::new(pipeline.clone(), "test", "1");
    let lossy = context();
    for _ in 0..2 {
        tracer.record(tracer.begin(Hop::SendEvent, "ack", &lossy, Timestamp::now()));
        assert!(pipeline.flush(soon()));
    }
    tracer.record(tracer.begin(Hop::SendEvent, "ack", &context(), Timestamp::now()));
    assert!(thread.stop(soon()));
    assert_eq!(pipeline.stats().dropped_by_sinks, 2);
    let two = (lossy.trace_id, Some(Value::Int(2)));
    assert_eq!(told(&recovering.kept.0.lock()), [two]);
    assert_eq!(told(&other.0.lock()), []);
    assert_eq!(other.0.lock().len(), 3);
}

#[test]
fn what_the_last_batch_lost_is_told_of_before_the_end() {
    let recovering = Arc::new(Recovering {
        refusals: Mutex::new(1),
        kept: Kept::default(),
    });
    let sinks: Vec<Arc<dyn SpanSink>> = vec![Arc::clone(&recovering) as _];
    let (pipeline, thread) = Pipeline::start(sinks, DEFAULT_QUEUE_BYTES).unwrap();
    let tracer = Tracer::new(pipeline, "test", "1");
    let context = context();
    tracer.record(tracer.begin(Hop::SendEvent, "ack", &context, Timestamp::now()));
    assert!(thread.stop(soon()));
    let one = (context.trace_id, Some(Value::Int(1)));
    assert_eq!(told(&recovering.kept.0.lock()), [one]);
}

#[test]
fn a_span_that_stays_open_is_shown_unfinished_and_then_finished() {
    let (kept, tracer, thread) = started(DEFAULT_QUEUE_BYTES);
    let open = tracer.open(tracer.begin(Hop::Build, "", &context(), Timestamp::now()));
    let id = open.id();
    let deadline = soon();
    while kept.0.lock().is_empty() {
        assert!(Instant::now() < deadline, "the open span was never shown");
        std::thread::yield_now();
    }
    open.set("process.exit.code", 0);
    open.end();
    assert!(thread.stop(soon()));
    let kept = kept.0.lock();
    assert_eq!(kept.len(), 2);
    assert!(kept[0].pending && kept[0].span_id == id && kept[0].end == kept[0].start);
    assert!(!kept[1].pending && kept[1].span_id == id);
    assert_eq!(kept[1].attribute("process.exit.code"), Some(Value::Int(0)));
}

#[test]
fn a_span_given_up_ends_as_failed_and_one_open_at_the_end_is_handed_on() {
    let (kept, tracer, thread) = started(DEFAULT_QUEUE_BYTES);
    let context = context();
    drop(tracer.open(tracer.begin(Hop::Build, "", &context, Timestamp::now())));
    let left_open = tracer.open(tracer.begin(Hop::Step, "x", &context, Timestamp::now()));
    assert!(thread.stop(soon()));
    let kept = kept.0.lock();
    assert!(kept[0].status.is_error() && !kept[0].pending);
    assert!(kept[1].pending && kept[1].span_id == left_open.id());
}

#[test]
fn long_texts_count_towards_the_queues_bytes() {
    let (_kept, tracer, _thread) = started(DEFAULT_QUEUE_BYTES);
    let span = || tracer.begin(Hop::SendEvent, "ack", &context(), Timestamp::now());
    let plain = weight(&span());
    let mut long = span();
    long.attributes
        .push(Attribute::new("process.command_line", "x".repeat(100_000)));
    assert!(weight(&long) >= plain + 100_000);
    let named = tracer.begin(
        Hop::SendEvent,
        "x".repeat(100_000),
        &context(),
        Timestamp::now(),
    );
    assert!(weight(&named) >= plain + 99_000);
}
