//! The outbox's properties, without a link.

use hopline_wire::event::EventType;

use super::testing::{Rig, emit, held, numbers};
use super::*;

#[tokio::test]
async fn a_command_uses_half_the_window_and_settlement_opens_it() {
    let rig = Rig::new(16 << 20);
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
    let rig = Rig::new(16 << 20);
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
    let rig = Rig::new(16 << 20);
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
    let rig = Rig::new(16 << 20);
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
    let rig = Rig::new(16 << 20);
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
    let rig = Rig::new(16 << 20);
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
    let rig = Rig::new(LEAST_BYTES);
    let (a, b) = (rig.emitter("a"), rig.emitter("b"));
    let held = tokio::spawn({
        let a = a.clone();
        async move { emit(&a, 10_000).await }
    });
    // Full, as far as whole pieces go.
    while rig.outbox.shared.room.available_permits() > PIECE_BYTES + PIECE_BYTES / 4 {
        tokio::task::yield_now().await;
    }
    let cause = b.command_span();
    b.event(EventType::Ack, cause, |_| {}).await.unwrap();
    b.event(EventType::Error, cause, |_| {}).await.unwrap();
    assert!(!held.is_finished());
    let mut settled = 0;
    while settled < 10_000 {
        let bytes = rig.metrics.outbox_bytes.get();
        assert!(bytes <= to_gauge(LEAST_BYTES + RESERVE_BYTES));
        let written = rig.write(&Window::OPEN);
        for (command, seq) in written {
            rig.outbox.acked(&command, seq);
            settled += usize::from(command == "a");
        }
        tokio::task::yield_now().await;
    }
    held.await.unwrap();
    rig.outbox.acked("b", 2);
    rig.outbox.drained().await;
    // What is settled gives its room back, but for the file that is written.
    while rig.outbox.shared.room.available_permits() < LEAST_BYTES - LEAST_BYTES / 8 {
        tokio::task::yield_now().await;
    }
    assert!(rig.power.used() <= LEAST_BYTES / 4, "{}", rig.power.used());
}

#[tokio::test]
async fn events_whose_wait_was_given_up_go_with_the_next() {
    let rig = Rig::new(LEAST_BYTES);
    let a = rig.emitter("a");
    let all = tokio::time::timeout(std::time::Duration::from_millis(200), emit(&a, 9_000));
    assert!(all.await.is_err());
    let mut seen = Vec::new();
    let more = tokio::spawn({
        let a = a.clone();
        async move { emit(&a, 1).await }
    });
    while seen.len() < 9_001 {
        for (command, seq) in rig.write(&Window::OPEN) {
            rig.outbox.acked(&command, seq);
            seen.push((command, seq));
        }
        tokio::task::yield_now().await;
    }
    more.await.unwrap();
    assert_eq!(seen, numbers("a", 1..=9_001));
}

#[tokio::test]
async fn late_events_are_shown_once() {
    let rig = Rig::new(16 << 20);
    let a = rig.emitter("a");
    emit(&a, 3).await;
    let now = Timestamp::now();
    let long_ago = Timestamp::from_millis(1);
    assert!(rig.outbox.newly_late(&rig.tracer, long_ago).is_empty());
    let late = rig.outbox.newly_late(&rig.tracer, now);
    assert_eq!(late.len(), 3);
    assert!(late.iter().all(|span| span.pending));
    assert!(rig.outbox.newly_late(&rig.tracer, now).is_empty());
    let written = rig.write(&Window::OPEN);
    assert_eq!(written, numbers("a", 1..=3));
    assert_eq!(rig.spans(), 3, "they end when they are written");
}
