//! What the outbox keeps on disk: through power cuts at every moment, kills, full disks and bad ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hopline_files::power::{Left, Power};

use super::testing::{FAR, FOLDER, Rig, SMALL, emit, emit_large, numbers};
use super::*;

/// What the other side has seen of each command, and has settled.
#[derive(Default)]
struct Seen {
    written: BTreeMap<String, u64>,
    settled: BTreeMap<String, u64>,
}

impl Seen {
    fn take(&mut self, events: Vec<(String, u64)>) {
        for (command, seq) in events {
            let last = self.written.entry(command).or_default();
            assert_eq!(seq, *last + 1, "no number is left out or given twice");
            *last = seq;
        }
    }

    fn settle(&mut self, rig: &Rig, command: &str, seq: u64) {
        rig.outbox.acked(command, seq);
        self.settled.insert(command.to_owned(), seq);
    }
}

/// Two commands' work, until the power goes or all is done.
async fn work(power: &Power) -> Seen {
    let mut seen = Seen::default();
    let Ok(rig) = Rig::on(power, SMALL) else {
        return seen;
    };
    let (a, b) = (rig.emitter("a"), rig.emitter("b"));
    for round in 1..=4_u64 {
        for emitter in [&a, &b] {
            if !emit_large(&rig, emitter, 3).await {
                seen.take(rig.write(&Window::OPEN));
                return seen;
            }
        }
        seen.take(rig.write(&Window::OPEN));
        // The second command's settlements lag behind.
        seen.settle(&rig, "a", round * 3);
        seen.settle(&rig, "b", round);
    }
    rig.stop().await;
    seen
}

/// Opens the outbox as the next process does, and checks that it goes on where the other side stands.
async fn goes_on(power: &Power, seen: &Seen, what: &str) {
    let rig = Rig::on(power, SMALL).unwrap();
    let commands: BTreeMap<_, _> = rig.adopt().into_iter().collect();
    for (command, written) in &seen.written {
        let settled = seen.settled.get(command).copied().unwrap_or(0);
        let Some(emitter) = commands.get(command) else {
            panic!("{what}: command {command} is forgotten at {written}");
        };
        let resume = rig.outbox.restart();
        let resume = resume.iter().find(|resume| resume.command_id == *command);
        let next = resume.unwrap().next_seq;
        assert!(next <= settled + 1, "{what}: {command} goes on at {next}");
        emit(emitter, 1).await;
    }
    let total = rig.outbox.waiting();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for (command, seq) in rig.write_events(total).await {
        let before = last.insert(command, seq);
        assert!(before.is_none_or(|before| seq == before + 1), "{what}");
    }
    for (command, written) in &seen.written {
        let last = last.get(command).copied().unwrap_or(0);
        assert!(last > *written, "{what}: {command} gave {last} anew");
    }
    for (command, seq) in last {
        rig.outbox.acked(&command, seq);
    }
    rig.outbox.drained().await;
    rig.stop().await;
}

#[tokio::test]
async fn what_was_sent_survives_a_power_cut_at_any_operation() {
    let mut operation = 0;
    loop {
        operation += 1;
        let power = Power::cut_at(operation);
        let seen = work(&power).await;
        if !power.is_cut() {
            break;
        }
        for left in Left::ALL {
            let what = format!("cut at {operation}, {left:?} left");
            goes_on(&power.after_cut(left), &seen, &what).await;
        }
    }
    assert!(operation > 25, "only {operation} operations were tried");
}

#[tokio::test]
async fn a_power_cut_while_the_next_process_begins_loses_nothing_either() {
    for first in [11, 23, 37] {
        let power = Power::cut_at(first);
        let seen = work(&power).await;
        let mut second = 0;
        loop {
            second += 1;
            let reopened = power.after_cut(Left::Patches).cutting_at(second);
            if let Ok(rig) = Rig::on(&reopened, SMALL) {
                rig.stop().await;
            }
            let cut = reopened.is_cut();
            let what = format!("cut at {first}, then at {second}");
            goes_on(&reopened.after_cut(Left::Nothing), &seen, &what).await;
            if !cut {
                break;
            }
        }
    }
}

/// As a killed process leaves it: written, and perhaps in the system's memory only.
fn unsynced_copy(power: &Power) -> Power {
    let copy = Power::default();
    for path in power.paths() {
        let file = copy.create(&path).unwrap();
        file.write_at(&power.content(&path), 0).unwrap();
    }
    copy
}

#[tokio::test]
async fn what_a_killed_process_left_is_made_durable_before_it_is_sent() {
    let rig = Rig::new(1 << 20);
    let a = rig.emitter("a");
    emit(&a, 5).await;
    let copy = unsynced_copy(&rig.power);
    // Before the first thing is written, too.
    let files: Arc<dyn FileSystem> = Arc::new(copy.clone());
    journal::Journal::open(files, Path::new(FOLDER), 1 << 20, 1 << 16).unwrap();
    let found = Rig::on(&copy.after_cut(Left::Nothing), SMALL).unwrap();
    assert_eq!(found.adopt().len(), 1);
    let next = Rig::on(&copy, SMALL).unwrap();
    next.adopt();
    let mut seen = Seen::default();
    seen.take(next.write_events(5).await);
    goes_on(&copy.after_cut(Left::Nothing), &seen, "after the cut").await;
}

#[tokio::test]
async fn the_next_process_sends_what_is_not_settled_under_the_same_spans() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    let (a, b) = (first.emitter("a"), first.emitter("b"));
    emit(&a, 5).await;
    emit(&b, 2).await;
    let frame = first.outbox.take(&Window::OPEN).unwrap();
    let bodies: Vec<Bytes> = frame.bodies().cloned().collect();
    first.outbox.unwritten(frame);
    first.outbox.acked("a", 2);
    first.outbox.acked("b", 2);
    assert_eq!(first.stop().await, 3);
    let next = Rig::on(&power, SMALL).unwrap();
    assert_eq!(next.recovered.torn_bytes, 0);
    let adopted = next.adopt();
    assert_eq!(adopted.len(), 2, "the other one may have more to say");
    let resume: Vec<_> = next.outbox.restart();
    let resume: BTreeMap<_, _> = resume
        .iter()
        .map(|resume| (resume.command_id.as_str(), resume.next_seq))
        .collect();
    assert_eq!(resume, BTreeMap::from([("a", 3), ("b", 3)]));
    let frame = loop {
        match next.outbox.take(&Window::OPEN) {
            Some(frame) => break frame,
            None => tokio::time::timeout(FAR, next.outbox.ready())
                .await
                .unwrap(),
        }
    };
    assert_eq!(super::testing::held(&frame), numbers("a", 3..=5));
    let again: Vec<Bytes> = frame.bodies().cloned().collect();
    assert!(again.iter().all(|body| bodies.contains(body)));
    next.outbox
        .written(frame, false, &next.tracer, Timestamp::now());
    assert_eq!(next.spans(), 3, "nobody else could end these spans");
}

#[tokio::test]
async fn a_command_that_ended_is_remembered_and_leaves_no_file() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    let a = first.emitter("a");
    emit(&a, 3).await;
    let handled = crate::trace::CommandTrace::again(&a.stream(), &first.tracer);
    a.close(handled).await;
    first.write(&Window::OPEN);
    first.outbox.acked("a", 3);
    assert_eq!(first.stop().await, 0);
    let next = Rig::on(&power, SMALL).unwrap();
    assert!(next.adopt().is_empty());
    let ended = &next.recovered.control.ended;
    assert_eq!(ended.front(), Some(&("a".to_owned(), 3)));
    // Only the checkpoint is left, once the old file is removed.
    next.stop().await;
    assert_eq!(power.paths().len(), 1);
    assert_eq!(next.metrics.outbox_bytes.get(), 0);
}

#[tokio::test]
async fn more_than_fits_in_memory_is_sent_in_order_from_disk() {
    let bounds = Bounds {
        disk: 64 << 20,
        memory: 64 << 10,
    };
    let rig = Rig::on(&Power::default(), bounds).unwrap();
    let (a, b) = (rig.emitter("a"), rig.emitter("b"));
    for _ in 0..20 {
        emit(&a, 500).await;
        emit(&b, 50).await;
    }
    assert!(rig.outbox.shared.state.lock().in_memory < 1 << 20);
    assert_eq!(rig.outbox.waiting(), 11_000);
    let window = Window {
        events: 2_000,
        bytes: 1 << 20,
    };
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    while rig.outbox.waiting() > 0 {
        for (command, seq) in rig.write(&window) {
            let before = last.insert(command.clone(), seq);
            assert_eq!(seq, before.unwrap_or(0) + 1);
            rig.outbox.acked(&command, seq);
        }
        assert!(rig.outbox.shared.state.lock().in_memory < 2 << 20);
        tokio::task::yield_now().await;
    }
    assert_eq!(
        last,
        BTreeMap::from([("a".into(), 10_000), ("b".into(), 1_000)])
    );
    assert_eq!(rig.outbox.shared.state.lock().in_memory, 0);
}

#[tokio::test(start_paused = true)]
async fn while_events_are_settled_nobody_runs_ahead_of_memory_and_without_that_everybody_may() {
    let bounds = Bounds {
        disk: 64 << 20,
        memory: 32 << 10,
    };
    let rig = Rig::on(&Power::default(), bounds).unwrap();
    let a = rig.emitter("a");
    emit(&a, 400).await;
    rig.write(&Window::OPEN);
    rig.outbox.acked("a", 1);
    let ahead = emit(&a, 400);
    tokio::pin!(ahead);
    // Held for as long as events are settled, at most a second after the last.
    for seq in 2..10 {
        let pause = tokio::time::timeout(Duration::from_millis(900), &mut ahead);
        assert!(pause.await.is_err());
        rig.outbox.acked("a", seq);
    }
    ahead.await;
    assert_eq!(rig.outbox.waiting(), 800 - 9);
    rig.write_events(800 - 400).await;
    rig.outbox.acked("a", 800);
    emit(&a, 1).await;
}

#[tokio::test]
async fn settlements_reach_what_is_on_disk_only() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    let a = first.emitter("a");
    for _ in 0..10 {
        emit(&a, 10).await;
    }
    first.stop().await;
    let bounds = Bounds { memory: 0, ..SMALL };
    let next = Rig::on(&power, bounds).unwrap();
    next.adopt();
    // The server has more than the runner had heard of, up to the middle of a run.
    next.outbox.acked("a", 55);
    let written = next.write_events(45).await;
    assert_eq!(written, numbers("a", 56..=100));
    next.outbox.acked("a", 100);
    next.outbox.drained().await;
}

#[tokio::test]
async fn a_full_disk_holds_everything_and_loses_nothing() {
    let power = Power::default();
    let rig = Rig::on(&power, SMALL).unwrap();
    let a = rig.emitter("a");
    emit(&a, 5).await;
    power.set_capacity(Some(power.used() + 10));
    let mut stalled = rig.outbox.stalled();
    let more = tokio::spawn({
        let a = a.clone();
        async move { emit(&a, 5).await }
    });
    let told = tokio::time::timeout(FAR, stalled.wait_for(Option::is_some)).await;
    assert!(told.unwrap().unwrap().as_deref().unwrap().contains("space"));
    assert_eq!(rig.metrics.outbox_stalled.get(), 1);
    // What is on disk goes out and can be settled meanwhile.
    assert_eq!(rig.write(&Window::OPEN), numbers("a", 1..=5));
    rig.outbox.acked("a", 4);
    assert!(!more.is_finished());
    power.set_capacity(None);
    tokio::time::timeout(FAR, more).await.unwrap().unwrap();
    assert_eq!(rig.write(&Window::OPEN), numbers("a", 6..=10));
    assert_eq!(*stalled.borrow_and_update(), None);
    let mut seen = Seen::default();
    seen.settled.insert("a".into(), 4);
    seen.written.insert("a".into(), 10);
    drop(rig);
    goes_on(
        &power.after_cut(Left::Nothing),
        &seen,
        "after the full disk",
    )
    .await;
}

#[tokio::test]
async fn a_group_whose_sync_failed_is_written_again() {
    let power = Power::default();
    let rig = Rig::on(&power, SMALL).unwrap();
    let a = rig.emitter("a");
    emit(&a, 2).await;
    power.fail_next_sync();
    emit(&a, 3).await;
    let mut seen = Seen::default();
    seen.take(rig.write(&Window::OPEN));
    assert_eq!(seen.written["a"], 5);
    for left in Left::ALL {
        goes_on(&power.after_cut(left), &seen, &format!("{left:?} left")).await;
    }
}

/// The newest file.
fn newest(power: &Power) -> PathBuf {
    power.paths().into_iter().max().unwrap()
}

#[tokio::test]
async fn damaged_events_become_one_that_says_so_and_the_others_go_on() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    let a = first.emitter("a");
    emit(&a, 2).await;
    let before = power.content(&newest(&power)).len();
    emit(&a, 3).await;
    emit(&a, 2).await;
    first.stop().await;
    power.damage(&newest(&power), before + 40);
    let next = Rig::on(&power, SMALL).unwrap();
    assert_eq!(next.recovered.damaged_parts, 1);
    let emitter = next.adopt().pop().unwrap().1;
    emit(&emitter, 1).await;
    let mut events: Vec<serde_json::Value> = Vec::new();
    while events.len() < 6 {
        if let Some(frame) = next.outbox.take(&Window::OPEN) {
            let bodies = frame.bodies();
            events.extend(bodies.map(|body| serde_json::from_slice(body).unwrap()));
        } else {
            tokio::time::timeout(FAR, next.outbox.ready())
                .await
                .unwrap();
        }
    }
    let seqs: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [1, 2, 5, 6, 7, 8]);
    assert_eq!(events[2]["type"], "events-lost");
    assert_eq!(
        (&events[2]["from"], &events[2]["to"]),
        (&3.into(), &5.into())
    );
    next.outbox.acked("a", 8);
    next.outbox.drained().await;
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let power = Power::default();
    let mut header = b"HOPLOUTB".to_vec();
    header.extend_from_slice(&9_u32.to_le_bytes());
    let checksum = crc32c::crc32c(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    let path = Path::new(FOLDER).join("0000000000000001.events");
    power.put(&path, &header);
    let Err(error) = Rig::on(&power, SMALL) else {
        panic!("a newer format was read");
    };
    assert!(error.to_string().contains("format 9"), "{error}");
    assert_eq!(power.content(&path), header);
}
