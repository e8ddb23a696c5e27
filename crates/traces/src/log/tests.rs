//! The log as its callers see it.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

use hopline_wire::span::Span;

use super::*;
use crate::testing::{span, span_id, spans_of, trace_id};
use hopline_files::power::{Left, Power};

const FOLDER: &str = "/traces";

fn options() -> LogOptions {
    LogOptions {
        flush_interval: Duration::from_millis(5),
        ..LogOptions::default()
    }
}

fn open_with(power: &Power, options: LogOptions) -> (LogStore, Opened) {
    LogStore::open_on(Arc::new(power.clone()), Path::new(FOLDER), options).unwrap()
}

fn open(power: &Power) -> (LogStore, Opened) {
    open_with(power, options())
}

/// Of some three spans each.
fn small_segments() -> LogOptions {
    LogOptions {
        segment_bytes: 250,
        ..options()
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn append(store: &LogStore, spans: &[Span]) {
    store.append(spans, Durability::Durable).unwrap();
}

#[test]
fn on_a_real_disk_a_trace_is_found_before_and_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let options = LogOptions {
        segment_bytes: 20_000,
        ..options()
    };
    let spans: Vec<_> = (0..3_000).map(|n| span(n % 7, n)).collect();
    let (store, _) = LogStore::open(&path, options.clone()).unwrap();
    for chunk in spans.chunks(100) {
        append(&store, chunk);
    }
    let of = |trace: u64| {
        let own = spans.iter().filter(|s| s.trace_id == trace_id(trace));
        own.cloned().collect::<Vec<_>>()
    };
    assert_eq!(spans_of(&store, trace_id(3)), of(3));
    assert_eq!(store.stats().spans, 3_000);
    store.close().unwrap();
    assert!(matches!(
        store.append(&spans, Durability::Durable),
        Err(TracesError::Closed)
    ));
    let (store, opened) = LogStore::open(&path, options).unwrap();
    assert_eq!(opened.spans, 3_000);
    assert!(opened.segments > 3);
    assert!(opened.scanned_segments <= 1, "{opened:?}");
    for trace in 0..7 {
        assert_eq!(spans_of(&store, trace_id(trace)), of(trace));
    }
    assert!(spans_of(&store, trace_id(8)).is_empty());
}

#[test]
fn a_finished_span_replaces_the_pending_one_whichever_comes_first() {
    let power = Power::default();
    let (store, _) = open(&power);
    let pending = |number| Span {
        pending: true,
        ..span(1, number)
    };
    append(&store, &[pending(1), span(1, 2)]);
    append(&store, &[span(1, 1), pending(2), pending(3)]);
    let found = spans_of(&store, trace_id(1));
    let states: Vec<_> = found.iter().map(|span| span.pending).collect();
    assert_eq!(states, [false, false, true]);
}

#[test]
fn all_spans_are_shown_and_unfinished_ones_only_where_no_end_has_come() {
    let power = Power::default();
    let (store, _) = open(&power);
    let pending = |trace, number| Span {
        pending: true,
        ..span(trace, number)
    };
    append(&store, &[pending(1, 1), span(1, 2), pending(2, 3)]);
    // An end that came before, one that comes after, and one that never does.
    append(&store, &[pending(1, 2), span(1, 1), pending(2, 3)]);
    let mut shown = Vec::new();
    let visited = store.for_all(&mut |spans| {
        shown.extend(spans.iter().map(|span| (span.span_id, span.pending)));
        ControlFlow::Continue(())
    });
    visited.unwrap();
    let expected = [(2, false), (1, false), (3, true)];
    assert_eq!(
        shown,
        expected.map(|(number, pending)| (span_id(number), pending))
    );
    let mut parts = 0;
    let visited = store.for_all(&mut |_| {
        parts += 1;
        ControlFlow::Break(())
    });
    visited.unwrap();
    assert_eq!(parts, 1);
}

#[test]
fn spans_come_sorted_by_start() {
    let power = Power::default();
    let (store, _) = open(&power);
    append(&store, &[span(1, 9), span(1, 3)]);
    append(&store, &[span(1, 5)]);
    let found = spans_of(&store, trace_id(1));
    assert_eq!(found, [span(1, 3), span(1, 5), span(1, 9)]);
}

#[test]
fn buffered_spans_are_flushed_without_anyone_asking() {
    let power = Power::default();
    let (store, _) = open(&power);
    store.append(&[span(1, 1)], Durability::Buffered).unwrap();
    wait_until("the power may go", || {
        let (after, _) = open(&power.after_cut(Left::Nothing));
        after.stats().spans == 1
    });
}

#[test]
fn callers_that_wait_at_one_time_share_a_sync() {
    let power = Power::default();
    let options = LogOptions {
        flush_interval: Duration::from_secs(3600),
        ..options()
    };
    let (store, _) = open_with(&power, options);
    append(&store, &[span(1, 0)]);
    let before = power.syncs();
    power.hold_syncs(true);
    std::thread::scope(|scope| {
        for number in 1..=20 {
            let store = &store;
            scope.spawn(move || append(store, &[span(1, number)]));
        }
        wait_until("all are written", || store.stats().spans == 21);
        power.hold_syncs(false);
    });
    let shared = power.syncs() - before;
    assert!(shared <= 3, "{shared} syncs for 20 callers");
}

#[test]
fn a_full_disk_refuses_spans_until_there_is_room_again() {
    let power = Power::default();
    let (store, _) = open(&power);
    append(&store, &[span(1, 1)]);
    power.set_capacity(Some(power.used() + 20));
    let refused = store
        .append(&[span(1, 2)], Durability::Durable)
        .unwrap_err();
    assert!(matches!(refused, TracesError::DiskFull { .. }), "{refused}");
    assert!(refused.is_transient());
    assert!(matches!(store.take(&[span(1, 2)]), Err(SinkError::Full)));
    assert_eq!(spans_of(&store, trace_id(1)), [span(1, 1)]);
    power.set_capacity(None);
    append(&store, &[span(1, 3)]);
    drop(store);
    let (store, opened) = open(&power);
    assert_eq!(opened.torn_bytes, 0);
    assert_eq!(spans_of(&store, trace_id(1)), [span(1, 1), span(1, 3)]);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_used_once_there_is_room() {
    let power = Power::default();
    power.set_capacity(Some(3));
    let (store, _) = open(&power);
    for _ in 0..3 {
        assert!(store.append(&[span(1, 1)], Durability::Durable).is_err());
    }
    assert!(power.paths().is_empty());
    power.set_capacity(None);
    append(&store, &[span(1, 1)]);
    assert_eq!(store.stats().spans, 1);
}

#[test]
fn a_failed_sync_is_told_and_writing_goes_on_elsewhere() {
    let power = Power::default();
    let options = LogOptions {
        flush_interval: Duration::from_secs(3600),
        ..options()
    };
    let (store, _) = open_with(&power, options);
    append(&store, &[span(1, 1)]);
    power.fail_next_sync();
    assert!(store.append(&[span(1, 2)], Durability::Durable).is_err());
    append(&store, &[span(1, 3)]);
    assert_eq!(store.stats().failed_flushes, 1);
    assert_eq!(power.paths().len(), 2);
    let (after, _) = open(&power.after_cut(Left::Nothing));
    assert_eq!(spans_of(&after, trace_id(1)), [span(1, 1), span(1, 3)]);
}

#[test]
fn the_oldest_segments_go_when_the_log_is_too_large() {
    let power = Power::default();
    let options = LogOptions {
        segment_bytes: 500,
        retained_bytes: 20_000,
        ..options()
    };
    let (store, _) = open_with(&power, options);
    for number in 0..200 {
        append(&store, &[span(number, number)]);
    }
    wait_until("old segments are gone", || {
        let stats = store.stats();
        stats.bytes <= 21_000 && stats.removed_segments > 0
    });
    let stats = store.stats();
    assert_eq!(stats.spans + stats.removed_spans, 200);
    assert!(spans_of(&store, trace_id(0)).is_empty());
    assert_eq!(spans_of(&store, trace_id(199)).len(), 1);
}

#[test]
fn a_torn_tail_is_cut_counted_and_written_over() {
    let power = Power::default();
    let (store, _) = open(&power);
    append(&store, &[span(1, 1)]);
    append(&store, &[span(1, 2)]);
    drop(store);
    let path = power.paths().remove(0);
    let whole = power.content(&path);
    power.put(&path, &whole[..whole.len() - 7]);
    let (store, opened) = open(&power);
    assert!(opened.torn_bytes > 0);
    assert_eq!(store.stats().torn_bytes, opened.torn_bytes);
    assert_eq!(spans_of(&store, trace_id(1)), [span(1, 1)]);
    append(&store, &[span(1, 3)]);
    drop(store);
    let (store, opened) = open(&power);
    assert_eq!(opened.torn_bytes, 0);
    assert_eq!(spans_of(&store, trace_id(1)), [span(1, 1), span(1, 3)]);
}

#[test]
fn a_damaged_frame_costs_nothing_but_itself() {
    let power = Power::default();
    let (store, _) = open(&power);
    for number in 1..=3 {
        append(&store, &[span(1, number)]);
    }
    drop(store);
    let path = power.paths().remove(0);
    let frame = (power.content(&path).len() - SEGMENT_HEADER) / 3;
    power.damage(&path, SEGMENT_HEADER + frame + frame / 2);
    let (store, opened) = open(&power);
    assert_eq!((opened.torn_bytes, opened.corrupt_parts), (0, 1));
    assert_eq!(spans_of(&store, trace_id(1)), [span(1, 1), span(1, 3)]);
}

/// Makes one sealed segment of some spans, and one more segment.
fn with_a_sealed_segment() -> (Power, std::path::PathBuf) {
    let power = Power::default();
    let (store, _) = open_with(&power, small_segments());
    for number in 1..=6 {
        append(&store, &[span(1, number)]);
    }
    drop(store);
    let (_, opened) = open_with(&power, small_segments());
    assert!(opened.segments > opened.scanned_segments);
    let path = power.paths().remove(0);
    (power, path)
}

#[test]
fn damage_anywhere_in_a_sealed_segment_costs_one_frame_at_most() {
    let (power, path) = with_a_sealed_segment();
    let whole = power.content(&path);
    let steps = (0..whole.len()).step_by(13);
    for at in steps.chain(whole.len() - 40..whole.len()) {
        power.put(&path, &whole);
        power.damage(&path, at);
        let (store, _) = open_with(&power, small_segments());
        let found = spans_of(&store, trace_id(1)).len();
        assert!(found >= 5, "damage at {at} left {found} spans");
    }
}

#[test]
fn a_log_from_a_newer_hopline_is_left_alone() {
    let (power, path) = with_a_sealed_segment();
    let mut newer = power.content(&path);
    newer[8] = 9;
    let checksum = crc32c::crc32c(&newer[..12]);
    newer[12..16].copy_from_slice(&checksum.to_le_bytes());
    power.put(&path, &newer);
    let opened = LogStore::open_on(Arc::new(power.clone()), Path::new(FOLDER), options());
    let error = opened.err().unwrap();
    assert!(matches!(error, TracesError::Newer { version: 9, .. }));
    assert!(error.to_string().contains("version 9"), "{error}");
    assert_eq!(power.content(&path), newer);
}

#[test]
fn files_of_others_are_left_alone() {
    let power = Power::default();
    for name in ["notes.txt", "1.log", "000000000000000x.log"] {
        power.put(&Path::new(FOLDER).join(name), b"mine");
    }
    let (store, opened) = open(&power);
    append(&store, &[span(1, 1)]);
    assert_eq!(opened, Opened::default());
    assert_eq!(power.paths().len(), 4);
}

#[test]
fn looking_into_an_empty_store_writes_nothing() {
    let power = Power::default();
    let (store, _) = open(&power);
    assert!(spans_of(&store, trace_id(1)).is_empty());
    assert_eq!(
        store.append(&[], Durability::Durable).unwrap(),
        Appended::default()
    );
    drop(store);
    assert!(power.paths().is_empty());
}

#[test]
fn readers_see_spans_while_segments_are_sealed_and_removed() {
    let power = Power::default();
    let options = LogOptions {
        flush_interval: Duration::from_millis(1),
        retained_bytes: 60_000,
        ..small_segments()
    };
    let (store, _) = open_with(&power, options);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for _ in 0..200 {
                // Each of these is among the latest at some time; none may be an error.
                spans_of(&store, trace_id(150));
            }
        });
        for number in 0..300 {
            append(&store, &[span(number, number)]);
        }
        reader.join().unwrap();
    });
    assert_eq!(spans_of(&store, trace_id(299)), [span(299, 299)]);
}

#[test]
fn segments_that_cannot_be_sealed_hold_nothing_back_but_appends() {
    let power = Power::default();
    let (store, _) = open_with(&power, small_segments());
    let mut number = 0;
    let refused = loop {
        // Room for the spans, none for an index.
        power.set_capacity(Some(power.used() + 1_000));
        number += 1;
        match store.append(&[span(number, number)], Durability::Buffered) {
            Ok(_) => assert!(number < 1_000, "nothing was refused"),
            // A half-written index had taken the room just then.
            Err(TracesError::DiskFull { .. }) => number -= 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, TracesError::Behind { .. }), "{refused}");
    assert_eq!(spans_of(&store, trace_id(1)), [span(1, 1)]);
    assert_eq!(store.stats().spans, number - 1);
}

/// Has taken nothing over yet.
struct Nothing;

impl Older for Nothing {
    fn stretches(&self, _: TraceId) -> Result<Vec<Box<dyn Stretch>>, TracesError> {
        Ok(Vec::new())
    }

    fn visit(
        &self,
        _: RangeInclusive<u64>,
        _: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), u64>, TracesError> {
        Ok(ControlFlow::Continue(0))
    }

    fn stats(&self) -> OlderStats {
        OlderStats::default()
    }
}

#[test]
fn what_is_to_be_taken_over_is_never_removed_and_appends_wait_for_room() {
    let options = |held_for| LogOptions {
        retained_bytes: 2_000,
        held_for,
        ..small_segments()
    };
    let power = Power::default();
    let (store, _) = open_with(&power, options(Duration::ZERO));
    store.set_older(Arc::new(Nothing));
    let mut taken = Vec::new();
    let refused = loop {
        let spans = [span(1, taken.len() as u64)];
        match store.append(&spans, Durability::Durable) {
            Ok(_) => taken.extend(spans),
            Err(error) => break error,
        }
        assert!(taken.len() < 1_000, "it takes whatever comes");
    };
    assert!(matches!(refused, TracesError::Behind { .. }), "{refused}");
    assert!(refused.is_transient(), "a sender is to come again");
    assert_eq!(spans_of(&store, trace_id(1)), taken);
    // Whoever takes over is not held up, since room comes of that alone.
    store.append_again(&[span(2, 0)]).unwrap();
    store.close().unwrap();

    let (store, _) = open_with(&power, options(Duration::from_secs(3_600)));
    store.set_older(Arc::new(Nothing));
    let store = Arc::new(store);
    let waiting = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || store.append(&[span(3, 0)], Durability::Durable))
    };
    // Its last segment may still be written; all others are sealed.
    let newest = store.segments().last().unwrap().number;
    store.release(newest - 1);
    waiting.join().unwrap().unwrap();
    assert_eq!(spans_of(&*store, trace_id(3)), [span(3, 0)]);
}
