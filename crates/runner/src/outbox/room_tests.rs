//! Room: disks that the outbox itself fills, the reserve, what memory holds, and a disk that hangs at the end.

use hopline_files::power::Power;
use hopline_wire::event::EventType;

use super::testing::{FAR, Rig, SMALL, emit, emit_large};
use super::*;

/// Settles whatever can be sent, until this is so.
async fn settle_until(rig: &Rig, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + FAR;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        for (command, seq) in rig.write(&Window::OPEN) {
            rig.outbox.acked(&command, seq);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_disk_that_the_outbox_itself_fills_is_had_again_when_events_are_settled() {
    let power = Power::default();
    // The disk is full long before the outbox is.
    power.set_capacity(Some(SMALL.disk / 3));
    let rig = Arc::new(Rig::on(&power, SMALL).unwrap());
    let mut stalled = rig.outbox.stalled();
    let a = rig.emitter("a");
    let all = tokio::spawn({
        let (rig, a) = (Arc::clone(&rig), a.clone());
        async move { emit_large(&rig, &a, 150).await }
    });
    let told = tokio::time::timeout(FAR, stalled.wait_for(Option::is_some)).await;
    assert!(told.unwrap().is_ok());
    settle_until(&rig, "all is written", || all.is_finished()).await;
    settle_until(&rig, "all is settled", || rig.outbox.waiting() == 0).await;
    assert_eq!(*stalled.borrow_and_update(), None);
}

#[tokio::test]
async fn a_disk_that_an_earlier_process_filled_is_had_again_too() {
    let power = Power::default();
    power.set_capacity(Some(SMALL.disk / 3));
    let first = Rig::on(&power, SMALL).unwrap();
    let a = first.emitter("a");
    let mut stalled = first.outbox.stalled();
    tokio::select! {
        _ = emit_large(&first, &a, 150) => panic!("more than the disk has room for"),
        told = stalled.wait_for(Option::is_some) => drop(told.unwrap()),
    }
    first.stop().await;
    power.set_capacity(Some(power.used()));
    let next = Arc::new(Rig::on(&power, SMALL).unwrap());
    let emitter = next.adopt().pop().unwrap().1;
    let more = tokio::spawn({
        let next = Arc::clone(&next);
        async move { emit_large(&next, &emitter, 100).await }
    });
    settle_until(&next, "all is written", || more.is_finished()).await;
    settle_until(&next, "all is settled", || next.outbox.waiting() == 0).await;
}

/// Fills the ordinary room with events of a command, which go on being made.
async fn fill(rig: &Arc<Rig>) -> tokio::task::JoinHandle<bool> {
    let a = rig.emitter("a");
    let held = tokio::spawn({
        let rig = Arc::clone(rig);
        async move { emit_large(&rig, &a, 200).await }
    });
    // What is left of it is kept for the next one.
    while rig.outbox.shared.room.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    held
}

#[tokio::test]
async fn an_event_of_the_reserve_takes_ordinary_room_that_becomes_free() {
    let rig = Arc::new(Rig::new(LEAST_BYTES));
    let held = fill(&rig).await;
    let b = rig.emitter("b");
    let text = "x".repeat(300_000);
    let last_word = async || {
        let cause = b.command_span();
        let event = b.event(EventType::Error, cause, |members| {
            members.text("error", &text);
        });
        event.await.unwrap();
    };
    // Each counts for half of the outbox.
    for _ in 0..RESERVE_BYTES / (LEAST_BYTES / 2) {
        last_word().await;
    }
    let waits = last_word();
    tokio::pin!(waits);
    let pause = tokio::time::timeout(Duration::from_millis(20), &mut waits);
    assert!(pause.await.is_err(), "the reserve is used up");
    // Those of the reserve stay unsettled.
    let frees = async {
        loop {
            for (command, seq) in rig.write(&Window::OPEN) {
                if command == "a" {
                    rig.outbox.acked(&command, seq);
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let freed = async {
        tokio::select! {
            () = &mut waits => {}
            () = frees => {}
        }
    };
    tokio::time::timeout(FAR, freed).await.unwrap();
    held.abort();
}

#[tokio::test]
async fn the_reserve_is_free_again_once_its_events_are_settled() {
    let rig = Arc::new(Rig::new(LEAST_BYTES));
    let held = fill(&rig).await;
    let b = rig.emitter("b");
    b.event(EventType::Ack, b.command_span(), |_| {})
        .await
        .unwrap();
    assert!(rig.outbox.shared.reserve.available_permits() < RESERVE_BYTES);
    held.abort();
    // And nothing more is ever written.
    settle_until(&rig, "the reserve is whole", || {
        rig.outbox.shared.reserve.available_permits() == RESERVE_BYTES
    })
    .await;
}

#[tokio::test]
async fn full_memory_holds_no_more_than_the_next_of_each_command() {
    let power = Power::default();
    let bounds = Bounds {
        disk: 64 << 20,
        memory: 64 << 10,
    };
    let first = Rig::on(&power, bounds).unwrap();
    for number in 0..20 {
        emit_large(&first, &first.emitter(&format!("c{number}")), 40).await;
    }
    first.stop().await;
    let next = Rig::on(&power, bounds).unwrap();
    next.adopt();
    let in_memory = || next.outbox.shared.state.lock().in_memory;
    let is_loaded = || {
        let state = next.outbox.shared.state.lock();
        let full = next.outbox.shared.is_memory_full(&state);
        full && !state.queues.values().any(|queue| queue.wants_load(full))
    };
    let deadline = Instant::now() + FAR;
    while !is_loaded() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(in_memory() < 22 * (PIECE_BYTES as u64 + 10_000));
    settle_until(&next, "all is settled", || next.outbox.waiting() == 0).await;
    assert_eq!(in_memory(), 0);
}

#[tokio::test]
async fn a_disk_that_hangs_holds_the_end_up_no_longer_than_it_may() {
    let rig = Rig::new(SMALL.disk);
    let a = rig.emitter("a");
    emit(&a, 2).await;
    rig.power.hold_syncs(true);
    let mut batch = a.batch().await;
    batch.part(a.command_span(), r#"{"type":"finish"}"#);
    batch.flush().await;
    let deadline = Instant::now() + Duration::from_millis(20);
    let stopped = tokio::time::timeout(FAR, rig.outbox.stop(deadline)).await;
    rig.power.hold_syncs(false);
    let expected = Stopped {
        events_waiting: 3,
        is_written: false,
    };
    assert_eq!(stopped, Ok(expected));
}
