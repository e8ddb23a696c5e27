//! The outbox's properties, without a link.

use hopline_telemetry::contract::TracedEvents;
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Pipeline, Sampler, TraceContext};
use hopline_wire::event::EventType;

use super::*;
use crate::events::{Emitter, TracingTable};

struct Rig {
    outbox: Outbox,
    tracer: Tracer,
    recorded: Pipeline,
}

impl Rig {
    fn new(capacity: usize) -> Self {
        let (recorded, _thread) = Pipeline::start(Vec::new(), 1 << 20).unwrap();
        Self {
            outbox: Outbox::new(capacity, RunnerMetrics::register(&Metrics::default())),
            tracer: Tracer::new(recorded.clone(), "test", "test"),
            recorded,
        }
    }

    fn emitter(&self, command: &str) -> Emitter {
        let sampler = Sampler::new(1.0);
        let context = TraceContext::new_trace(&sampler, &Default::default(), "x", None);
        let tracing = TracingTable::new(&TracedEvents::default());
        let stream = Stream::new(command, None, context, tracing);
        let limit = Arc::new(std::sync::atomic::AtomicUsize::new(1 << 20));
        Emitter::new(stream, self.outbox.clone(), limit)
    }

    /// Takes a frame and writes it: the commands and numbers that it held.
    fn write(&self, window: &Window) -> Vec<(String, u64)> {
        let Some(frame) = self.outbox.take(window) else {
            return Vec::new();
        };
        let held = held(&frame);
        self.outbox
            .written(frame, false, &self.tracer, Timestamp::now());
        held
    }

    fn spans(&self) -> u64 {
        self.recorded.stats().recorded
    }
}

fn held(frame: &Frame) -> Vec<(String, u64)> {
    let taken = frame.events.iter();
    taken
        .map(|taken| (taken.stream.command_id.to_string(), taken.seq))
        .collect()
}

async fn emit(emitter: &Emitter, count: usize) {
    let cause = emitter.command_span();
    let mut batch = emitter.batch().await;
    for _ in 0..count {
        batch.part(cause, r#"{"type":"finish"}"#);
    }
    batch.flush().await;
}

fn numbers(command: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<(String, u64)> {
    numbers.map(|seq| (command.to_owned(), seq)).collect()
}

#[tokio::test]
async fn a_command_uses_half_the_window_and_settlement_opens_it() {
    let rig = Rig::new(1 << 20);
    let a = rig.emitter("a");
    emit(&a, 10).await;
    let window = Window {
        events: 8,
        bytes: 1 << 20,
    };
    assert_eq!(rig.write(&window), numbers("a", 1..=4));
    assert_eq!(rig.write(&window), []);
    rig.outbox.acked("a", 3);
    assert_eq!(rig.write(&window), numbers("a", 5..=7));
    rig.outbox.acked("a", 99);
    assert_eq!(rig.outbox.waiting(), 0);
}

#[tokio::test]
async fn an_event_larger_than_the_window_still_goes_alone() {
    let rig = Rig::new(1 << 20);
    let a = rig.emitter("a");
    emit(&a, 2).await;
    let window = Window {
        events: 1,
        bytes: 1,
    };
    assert_eq!(rig.write(&window), numbers("a", 1..=1));
    assert_eq!(rig.write(&window), []);
    rig.outbox.acked("a", 1);
    assert_eq!(rig.write(&window), numbers("a", 2..=2));
}

#[tokio::test]
async fn commands_take_turns_and_each_keeps_its_order() {
    let rig = Rig::new(4 << 20);
    let (a, b) = (rig.emitter("a"), rig.emitter("b"));
    emit(&a, 600).await;
    emit(&b, 10).await;
    let frame = rig.write(&Window::OPEN);
    assert_eq!(frame.len(), 610);
    let first_b = frame.iter().position(|(command, _)| command == "b");
    assert_eq!(first_b, Some(256), "not behind all of the other's");
    for command in ["a", "b"] {
        let of: Vec<u64> = frame
            .iter()
            .filter(|(of, _)| of == command)
            .map(|(_, seq)| *seq)
            .collect();
        assert!(of.is_sorted());
    }
}

#[tokio::test]
async fn a_new_link_starts_from_what_is_not_settled_and_makes_no_second_span() {
    let rig = Rig::new(1 << 20);
    let a = rig.emitter("a");
    emit(&a, 5).await;
    rig.write(&Window::OPEN);
    let spans = rig.spans();
    assert_eq!(spans, 5);
    rig.outbox.acked("a", 2);
    let resume = rig.outbox.restart();
    assert_eq!(
        (resume[0].command_id.as_str(), resume[0].next_seq),
        ("a", 3)
    );
    assert_eq!(rig.write(&Window::OPEN), numbers("a", 3..=5));
    assert_eq!(rig.spans(), spans);
    rig.outbox.acked("a", 5);
    assert_eq!(rig.outbox.restart()[0].next_seq, 6, "it goes on from there");
}

#[tokio::test]
async fn what_could_not_be_written_is_as_if_never_taken() {
    let rig = Rig::new(1 << 20);
    let a = rig.emitter("a");
    emit(&a, 3).await;
    let frame = rig.outbox.take(&Window::OPEN).unwrap();
    rig.outbox.unwritten(frame);
    rig.outbox.restart();
    assert_eq!(rig.spans(), 0);
    assert_eq!(rig.write(&Window::OPEN), numbers("a", 1..=3));
    assert_eq!(rig.spans(), 3);
}

#[tokio::test]
async fn events_that_are_gone_are_replaced_by_one_that_says_so() {
    let rig = Rig::new(1 << 20);
    let a = rig.emitter("a");
    emit(&a, 6).await;
    rig.write(&Window::OPEN);
    rig.outbox.acked("a", 4);
    for from in [3_u64, 2] {
        rig.outbox.resend("a", from);
        let frame = rig.outbox.take(&Window::OPEN).unwrap();
        assert_eq!(held(&frame), numbers("a", 4..=6));
        let lost: serde_json::Value = serde_json::from_slice(&frame.events[0].body).unwrap();
        assert_eq!(
            (&lost["type"], &lost["from"]),
            (&"events-lost".into(), &from.into())
        );
        assert_eq!((&lost["to"], &lost["seq"]), (&4.into(), &4.into()));
        rig.outbox
            .written(frame, false, &rig.tracer, Timestamp::now());
    }
    rig.outbox.acked("a", 6);
    assert_eq!(rig.outbox.waiting(), 0);
    rig.outbox.resend("nobody", 1);
    assert!(rig.outbox.take(&Window::OPEN).is_none());
}

#[tokio::test]
async fn a_full_outbox_holds_its_writers_but_not_the_reserve() {
    let rig = Rig::new(PIECE_BYTES);
    let (a, b) = (rig.emitter("a"), rig.emitter("b"));
    let held = tokio::spawn({
        let a = a.clone();
        async move { emit(&a, 2_000).await }
    });
    let mut settled = 0;
    rig.outbox.ready().await;
    let cause = b.command_span();
    b.event(EventType::Ack, cause, |_| {}).await.unwrap();
    b.event(EventType::Error, cause, |_| {}).await.unwrap();
    assert!(!held.is_finished());
    while settled < 2_000 {
        let waiting = rig.outbox.waiting();
        assert!(waiting * entry::ENTRY_BYTES <= PIECE_BYTES + RESERVE_BYTES);
        let written = rig.write(&Window::OPEN);
        for (command, seq) in written {
            rig.outbox.acked(&command, seq);
            settled += usize::from(command == "a");
        }
        tokio::task::yield_now().await;
    }
    held.await.unwrap();
    assert_eq!(rig.outbox.shared.room.available_permits(), PIECE_BYTES);
    assert_eq!(rig.outbox.shared.reserve.available_permits(), RESERVE_BYTES);
    rig.outbox.drained().await;
}

#[tokio::test]
async fn events_whose_wait_was_given_up_go_with_the_next() {
    let rig = Rig::new(PIECE_BYTES);
    let a = rig.emitter("a");
    let all = tokio::time::timeout(std::time::Duration::from_millis(50), emit(&a, 1_000));
    assert!(all.await.is_err());
    let mut seen = Vec::new();
    let more = tokio::spawn({
        let a = a.clone();
        async move { emit(&a, 1).await }
    });
    while seen.len() < 1_001 {
        for (command, seq) in rig.write(&Window::OPEN) {
            rig.outbox.acked(&command, seq);
            seen.push((command, seq));
        }
        tokio::task::yield_now().await;
    }
    more.await.unwrap();
    assert_eq!(seen, numbers("a", 1..=1_001));
}

#[tokio::test]
async fn late_events_are_shown_once_and_abandoned_ones_end_as_failed() {
    let rig = Rig::new(1 << 20);
    let a = rig.emitter("a");
    emit(&a, 3).await;
    let now = Timestamp::now();
    let long_ago = Timestamp::from_millis(1);
    assert!(rig.outbox.newly_late(&rig.tracer, long_ago).is_empty());
    let late = rig.outbox.newly_late(&rig.tracer, now);
    assert_eq!(late.len(), 3);
    assert!(late.iter().all(|span| span.pending));
    assert!(rig.outbox.newly_late(&rig.tracer, now).is_empty());
    let (spans, left) = rig.outbox.abandon(&rig.tracer, now);
    assert_eq!((spans.len(), left), (3, 3));
    assert!(spans.iter().all(|span| span.status.is_error()));
    let ids = |spans: &[Span]| spans.iter().map(|span| span.span_id).collect::<Vec<_>>();
    assert_eq!(ids(&spans), ids(&late));
}
