//! What bad disks do to the outbox, and settlements of what is not there any more.

use std::path::{Path, PathBuf};

use hopline_files::power::{Left, Power};
use hopline_wire::span::SpanStatus;
use serde_json::Value;

use super::testing::{FAR, Rig, SMALL, emit, emit_large, numbers};
use super::*;
use crate::trace::CommandTrace;

/// The files, oldest first.
fn files(power: &Power) -> Vec<PathBuf> {
    power.paths()
}

/// Damages a file where it has this text, at the last place.
fn damage(power: &Power, path: &Path, text: &str) {
    let at = memchr::memmem::rfind(&power.content(path), text.as_bytes());
    power.damage(path, at.expect("the text"));
}

/// Takes so many events, as they are.
async fn take(rig: &Rig, count: usize) -> Vec<Value> {
    let mut events = Vec::new();
    while events.len() < count {
        match rig.outbox.take(&Window::OPEN) {
            Some(frame) => {
                let bodies = frame.bodies();
                events.extend(bodies.map(|body| serde_json::from_slice::<Value>(body).unwrap()));
            }
            None => tokio::time::timeout(FAR, rig.outbox.ready()).await.unwrap(),
        }
    }
    events
}

#[tokio::test]
async fn events_whose_commands_first_sign_is_damaged_are_sent_all_the_same() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    emit(&first.emitter("a"), 3).await;
    first.stop().await;
    damage(&power, &files(&power)[0], r#""id":"a""#);
    let next = Rig::on(&power, SMALL).unwrap();
    assert_eq!(next.recovered.damaged_parts, 1);
    let known = next.recovered.control.commands.values().next().unwrap();
    assert_eq!(
        (known.head.id.as_str(), known.head.kind.as_str()),
        ("a", "start-build")
    );
    // Its number is not another's.
    let a = next.adopt().pop().unwrap().1;
    emit(&next.emitter("b"), 1).await;
    emit(&a, 1).await;
    next.stop().await;
    let last = Rig::on(&power, SMALL).unwrap();
    last.adopt();
    let mut written = last.write_events(5).await;
    written.sort();
    assert_eq!(written, [numbers("a", 1..=4), numbers("b", 1..=1)].concat());
}

#[tokio::test]
async fn behind_a_damaged_checkpoint_what_is_gone_is_said_to_be() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    emit(&first.emitter("a"), 3).await;
    first.stop().await;
    let second = Rig::on(&power, SMALL).unwrap();
    let a = second.adopt().pop().unwrap().1;
    emit(&a, 2).await;
    second.write_events(5).await;
    second.outbox.acked("a", 3);
    second.stop().await;
    let left = files(&power);
    assert_eq!(left.len(), 1, "the first file is done with");
    damage(&power, &left[0], r#""id":"a""#);
    let next = Rig::on(&power, SMALL).unwrap();
    assert_eq!(next.adopt().len(), 1);
    let resume = next.outbox.restart();
    assert_eq!(resume[0].next_seq, 4, "that much was told behind it");
    let events = take(&next, 2).await;
    assert_eq!(
        (&events[0]["seq"], &events[1]["seq"]),
        (&4.into(), &5.into())
    );
}

/// Waits until there are fewer files than that.
async fn until_fewer(power: &Power, before: usize) {
    let deadline = Instant::now() + FAR;
    while files(power).len() >= before {
        assert!(Instant::now() < deadline, "no file was removed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Opens what is left of 30 events of which at most 20 are settled, and some of those are removed.
async fn goes_on_behind_what_is_removed(power: Power) {
    let next = Rig::on(&power, SMALL).unwrap();
    next.adopt();
    let first = next.outbox.restart()[0].next_seq;
    assert!(first > 1 && first <= 21, "{first}");
    let rest = usize::try_from(31 - first).unwrap();
    assert_eq!(next.write_events(rest).await, numbers("a", first..=30));
}

#[tokio::test]
async fn what_stands_in_removed_files_counts_as_settled() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    let a = first.emitter("a");
    emit_large(&first, &a, 30).await;
    first.write_events(30).await;
    let before = files(&power).len();
    first.outbox.acked("a", 20);
    until_fewer(&power, before).await;
    goes_on_behind_what_is_removed(power.after_cut(Left::Everything)).await;
    goes_on_behind_what_is_removed(power.after_cut(Left::Nothing)).await;
}

#[tokio::test]
async fn what_is_removed_since_the_disk_is_full_counts_as_settled_too() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    let a = first.emitter("a");
    emit_large(&first, &a, 30).await;
    first.write_events(30).await;
    power.set_capacity(Some(0));
    let mut stalled = first.outbox.stalled();
    let more = tokio::spawn(async move { emit(&a, 1).await });
    let told = tokio::time::timeout(FAR, stalled.wait_for(Option::is_some)).await;
    drop(told.unwrap().unwrap());
    // That much is settled can be written nowhere.
    let before = files(&power).len();
    first.outbox.acked("a", 20);
    until_fewer(&power, before).await;
    goes_on_behind_what_is_removed(power.after_cut(Left::Everything)).await;
    more.abort();
}

#[tokio::test]
async fn a_disk_that_fails_to_be_read_for_a_moment_loses_nothing() {
    let bounds = Bounds { memory: 0, ..SMALL };
    let rig = Rig::on(&Power::default(), bounds).unwrap();
    let a = rig.emitter("a");
    rig.power.fail_next_reads(2);
    emit(&a, 5).await;
    let kinds = take(&rig, 5).await;
    assert!(kinds.iter().all(|event| event["type"] == "build-stream"));
}

#[tokio::test]
async fn a_disk_that_is_never_read_again_does_not_hold_up_what_follows() {
    let bounds = Bounds { memory: 0, ..SMALL };
    let rig = Rig::on(&Power::default(), bounds).unwrap();
    let a = rig.emitter("a");
    rig.power.fail_next_reads(5);
    emit(&a, 5).await;
    let lost = take(&rig, 1).await;
    assert_eq!(
        (&lost[0]["type"], &lost[0]["to"]),
        (&"events-lost".into(), &5.into())
    );
    emit(&a, 1).await;
    assert_eq!(rig.write_events(1).await, numbers("a", 6..=6));
    rig.outbox.acked("a", 6);
    rig.outbox.drained().await;
}

#[tokio::test]
async fn a_commands_span_ends_well_when_an_earlier_process_had_written_its_last_event() {
    let power = Power::default();
    let first = Rig::on(&power, SMALL).unwrap();
    emit(&first.emitter("a"), 3).await;
    first.write_events(3).await;
    first.stop().await;
    let next = Rig::on(&power, SMALL).unwrap();
    let a = next.adopt().pop().unwrap().1;
    a.close(CommandTrace::again(&a.stream(), &next.tracer))
        .await;
    // The server had all of it already.
    next.outbox.acked("a", 3);
    let span = next.ended("handleCommand.start-build").await;
    assert_eq!(span.status, SpanStatus::default(), "{span:?}");
}

#[tokio::test]
async fn whoever_waits_hears_that_what_is_lost_is_settled() {
    let rig = Rig::new(SMALL.disk);
    let a = rig.emitter("a");
    let known = Known {
        head: a.stream().head(),
        last_seq: 3,
        acked: 0,
        closed: false,
        answered: false,
    };
    rig.outbox.adopt(&a.stream(), 1, &known, Vec::new());
    assert_eq!(rig.outbox.waiting(), 3);
    let drained = rig.outbox.drained();
    tokio::pin!(drained);
    tokio::select! {
        biased;
        () = &mut drained => panic!("nothing is settled"),
        () = std::future::ready(()) => {}
    }
    rig.outbox.acked("a", 3);
    tokio::time::timeout(FAR, drained).await.unwrap();
}
