//! Spans on their way from the log into columns, with cuts of the power at every operation.

use std::path::Path;

use hopline_files::power::{Left, Power};
use hopline_files::{Disk, FileSystem};
use hopline_traces::testing::{span, span_id, spans_of, trace_id};
use hopline_traces::{Durability, LogOptions, Older, TraceStore};
use hopline_wire::span::SpanName;

use super::*;
use crate::rows::Rows;

struct House {
    log: Arc<LogStore>,
    segments: Arc<Segments>,
}

fn open_on(files: Arc<dyn FileSystem>, folder: &Path, bytes: u64) -> Result<House, TracesError> {
    let segments = Arc::new(Segments::open(Arc::clone(&files), folder.join("spans"))?);
    let options = LogOptions {
        segment_bytes: bytes,
        flush_interval: Duration::from_millis(1),
        taken_over: segments.taken_over(),
        ..LogOptions::default()
    };
    let (log, _) = LogStore::open_on(files, folder, options)?;
    log.set_older(Arc::clone(&segments) as Arc<dyn Older>);
    Ok(House {
        log: Arc::new(log),
        segments,
    })
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl House {
    fn append(&self, spans: &[Span]) {
        self.log.append(spans, Durability::Durable).unwrap();
    }

    /// Brings all that is in the log into columns, but for what is carried on.
    fn settle(&self, unfinished: &mut Unfinished) {
        let newest = self.log.segments().last().map_or(0, |last| last.number);
        self.log.seal_after(Duration::ZERO);
        let left = || {
            self.log
                .segments()
                .into_iter()
                .filter(move |one| one.number <= newest)
        };
        until("a sealed segment", || left().all(|one| one.sealed));
        take_over(&self.log, &self.segments, left(), unfinished).unwrap();
    }
}

/// How often each span is shown by a visit of all.
fn shown(log: &LogStore) -> HashMap<SpanId, usize> {
    let mut shown = HashMap::new();
    let visited = log.for_all(&mut |spans| {
        for span in spans {
            *shown.entry(span.span_id).or_default() += 1;
        }
        ControlFlow::Continue(())
    });
    visited.unwrap();
    shown
}

fn many(traces: u64, from: u64, count: u64) -> Vec<Span> {
    (from..from + count)
        .map(|number| span(number % traces, number))
        .collect()
}

#[test]
fn spans_are_seen_once_at_every_moment_of_their_way() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 4_000).unwrap();
    let options = SettleOptions {
        interval: Duration::from_millis(1),
        seal_after: Duration::ZERO,
        ..SettleOptions::default()
    };
    let settler =
        Settler::start(Arc::clone(&house.log), Arc::clone(&house.segments), options).unwrap();
    let mut expected: Vec<Vec<Span>> = vec![Vec::new(); 5];
    for round in 0..60 {
        let spans = many(5, round * 40, 40);
        house.append(&spans);
        for one in spans {
            let trace = usize::from(one.trace_id.to_bytes()[15]);
            expected[trace].push(one);
        }
        for (trace, spans) in expected.iter().enumerate() {
            assert_eq!(
                &spans_of(&*house.log, trace_id(trace as u64)),
                spans,
                "round {round}"
            );
        }
    }
    until("an empty log", || {
        // Wherever they are on their way, none is missed.
        assert_eq!(shown(&house.log).len(), 60 * 40);
        house.log.segments().is_empty()
    });
    assert!(shown(&house.log).values().all(|times| *times == 1));
    // All of it was merged again and again.
    until("a merge", || house.segments.all().len() < FAN_IN);
    for (trace, spans) in expected.iter().enumerate() {
        assert_eq!(&spans_of(&*house.log, trace_id(trace as u64)), spans);
    }
    assert!(spans_of(&*house.log, trace_id(99)).is_empty());
    let stats = house.log.stats();
    assert_eq!(stats.spans, 60 * 40);
    drop(settler);
    house.log.close().unwrap();
    drop(house);
    let house = open_on(Arc::new(Disk), folder.path(), 4_000).unwrap();
    for (trace, spans) in expected.iter().enumerate() {
        assert_eq!(&spans_of(&*house.log, trace_id(trace as u64)), spans);
    }
    // Numbers go on behind those that were taken over.
    house.append(&[span(77, 1)]);
    assert!(house.log.segments()[0].number > house.segments.taken_over());
}

#[test]
fn a_trace_larger_than_a_page_and_a_group_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 1 << 30).unwrap();
    let spans: Vec<_> = (0..150_000)
        .map(|number| span(u64::from(number >= 140_000), number))
        .collect();
    house.append(&spans);
    house.settle(&mut Unfinished::default());
    let all = house.segments.all();
    assert_eq!((all.len(), all[0].rows), (1, 150_000));
    assert_eq!(spans_of(&*house.log, trace_id(0)), spans[..140_000]);
    assert_eq!(spans_of(&*house.log, trace_id(1)), spans[140_000..]);
}

#[test]
fn the_last_of_a_span_that_came_again_is_kept_and_a_merge_leaves_one() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    for version in 0..3 {
        let again = Span {
            name: SpanName::from(format!("version {version}")),
            ..span(1, 1)
        };
        house.append(&[again, span(1, 10 + version)]);
        house.settle(&mut Unfinished::default());
    }
    let check = || {
        let found = spans_of(&*house.log, trace_id(1));
        let names: Vec<_> = found.iter().map(|span| span.name.to_string()).collect();
        assert_eq!(names, ["version 2", "test.10", "test.11", "test.12"]);
    };
    check();
    assert_eq!(house.log.stats().spans, 6);
    merge(&house.segments, &house.segments.all(), &|| false).unwrap();
    check();
    assert_eq!(
        (house.log.stats().spans, house.segments.all().len()),
        (4, 1)
    );
}

#[test]
fn an_unfinished_span_is_carried_until_its_end_comes() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    let now = Timestamp::now();
    let begun = |number: u64| {
        let one = span(1, number);
        Span {
            pending: true,
            start: now,
            end: now,
            ..one
        }
    };
    let old = Span {
        start: Timestamp::from_millis(1),
        end: Timestamp::from_millis(1),
        ..begun(3)
    };
    let mut unfinished = Unfinished::default();
    house.append(&[begun(1), begun(2), old, span(1, 4)]);
    let pending = || {
        let found = spans_of(&*house.log, trace_id(1)).into_iter();
        let pending: Vec<_> = found
            .filter(|span| span.pending)
            .map(|span| span.span_id)
            .collect();
        pending
    };
    assert_eq!(pending().len(), 3);
    for _ in 0..3 {
        house.settle(&mut unfinished);
        assert_eq!(
            pending(),
            [span_id(1), span_id(2)],
            "what is a day old was let go"
        );
    }
    let ended = Span {
        pending: false,
        end: Timestamp::now(),
        ..begun(1)
    };
    house.append(std::slice::from_ref(&ended));
    assert_eq!(pending(), [span_id(2)]);
    for _ in 0..3 {
        house.settle(&mut unfinished);
        assert_eq!(pending(), [span_id(2)]);
    }
    assert!(spans_of(&*house.log, trace_id(1)).contains(&ended));
    let in_log: u64 = house
        .log
        .segments()
        .iter()
        .map(|segment| segment.spans)
        .sum();
    assert_eq!(in_log, 1, "the ended one is no longer carried");
    // Those in columns are finished.
    assert_eq!(
        house
            .segments
            .all()
            .iter()
            .map(|segment| segment.rows)
            .sum::<u64>(),
        2
    );
}

#[test]
fn the_oldest_go_when_all_are_too_much_or_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    for round in 0..4 {
        house.append(&many(3, round * 10, 10));
        house.settle(&mut Unfinished::default());
    }
    let all = house.segments.all();
    let kept: u64 = all[2..].iter().map(|segment| segment.bytes).sum();
    let paths: Vec<_> = all.iter().map(|segment| segment.path.clone()).collect();
    drop(all);
    let shared = |options: SettleOptions| Shared {
        log: Arc::clone(&house.log),
        segments: Arc::clone(&house.segments),
        options,
        stopping: Mutex::new(false),
        wake: Condvar::new(),
        resting: Mutex::default(),
    };
    shared(SettleOptions {
        retained_bytes: kept,
        ..SettleOptions::default()
    })
    .remove_old();
    let is_there: Vec<_> = paths.iter().map(|path| path.exists()).collect();
    assert_eq!(is_there, [false, false, true, true]);
    let for_a_day = SettleOptions {
        retained_for: Some(UNFINISHED_FOR),
        ..SettleOptions::default()
    };
    shared(for_a_day).remove_old();
    assert_eq!(house.segments.all().len(), 2, "they are of this hour");
    let name = Name {
        hour: 0,
        first: 1,
        last: 1,
    };
    let rows = many(1, 500, 5);
    let mut columns = Rows::default();
    rows.iter().for_each(|row| columns.push(row));
    let batches = std::iter::once(Ok(columns.finish().unwrap()));
    runs::put(&house.segments, name, 1, batches).unwrap();
    let for_a_day = SettleOptions {
        retained_for: Some(UNFINISHED_FOR),
        ..SettleOptions::default()
    };
    shared(for_a_day).remove_old();
    assert_eq!(house.segments.all().len(), 2, "it was of 1970");
}

#[test]
fn a_damaged_segment_costs_what_is_in_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    for round in 0..3 {
        house.append(&many(1, round * 10, 10));
        house.settle(&mut Unfinished::default());
    }
    let paths: Vec<_> = house
        .segments
        .all()
        .iter()
        .map(|one| one.path.clone())
        .collect();
    // The middle of one is overwritten while it is in use, the end of another before the next opening.
    let bytes = std::fs::read(&paths[0]).unwrap();
    let garbage = |range: Range<usize>| {
        let mut bytes = bytes.clone();
        bytes[range].fill(0xa5);
        bytes
    };
    std::fs::write(&paths[0], garbage(4..bytes.len() / 2)).unwrap();
    let left = spans_of(&*house.log, trace_id(0));
    assert_eq!(left.len(), 20, "what is in the others is found");
    std::fs::write(&paths[0], garbage(bytes.len() - 20..bytes.len())).unwrap();
    house.log.close().unwrap();
    drop(house);
    for _ in 0..2 {
        let house = open_on(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
        assert_eq!(spans_of(&*house.log, trace_id(0)), left);
        house.append(&[span(5, 1)]);
        house.settle(&mut Unfinished::default());
        assert_eq!(spans_of(&*house.log, trace_id(5)).len(), 1);
        house.log.close().unwrap();
    }
    assert!(paths[0].with_extension("damaged").exists() && !paths[0].exists());
    assert!(paths[1].exists() && paths[2].exists());
}

#[test]
fn groups_are_merged_a_few_at_a_time_and_one_that_fails_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    for number in 1..=20 {
        let name = Name {
            hour: number / 15,
            first: number,
            last: number,
        };
        let mut rows = Rows::default();
        rows.push(&span(number, 1));
        runs::put(
            &house.segments,
            name,
            1,
            std::iter::once(Ok(rows.finish().unwrap())),
        )
        .unwrap();
    }
    let all = house.segments.all();
    let small = all[0].bytes;
    let group = |bytes, hour, rests: u64| {
        let may = |group: &[Arc<Segment>]| group[0].name.first != rests;
        group_to_merge(&all, bytes, hour, may)
    };
    assert_eq!(
        group(1 << 30, 0, 0),
        Some(0..8),
        "no more than are merged at once"
    );
    assert_eq!(
        group(small * 3 + 2, 0, 0),
        Some(0..3),
        "no more than may be in one"
    );
    assert_eq!(group(small / 2, 9, 0), None, "each is large enough");
    assert_eq!(
        group(1 << 30, 0, 1),
        None,
        "it rests, and the other hour is not over"
    );
    assert_eq!(group(1 << 30, 9, 1), Some(14..20), "the other hour is over");
}

#[test]
fn what_the_log_has_is_there_after_a_power_cut_at_any_operation() {
    const FOLDER: &str = "/traces";
    /// Works until the power goes or all is done. Answers what was acknowledged.
    fn work(power: &Power) -> Vec<Span> {
        let mut acknowledged = Vec::new();
        let Ok(house) = open_on(Arc::new(power.clone()), Path::new(FOLDER), 1 << 20) else {
            return acknowledged;
        };
        let mut unfinished = Unfinished::default();
        for round in 0..4 {
            let spans = many(3, round * 10, 6);
            if house.log.append(&spans, Durability::Durable).is_err() {
                break;
            }
            acknowledged.extend(spans);
            let now = Timestamp::now();
            let open = Span {
                pending: true,
                start: now,
                end: now,
                ..span(1, 900)
            };
            let _ = house.log.append(&[open], Durability::Buffered);
            house.log.seal_after(Duration::ZERO);
            let all_sealed = || house.log.segments().iter().all(|one| one.sealed);
            until("a seal, or the power's end", || {
                all_sealed() || power.is_cut()
            });
            // Two at once, so that one is read while the other is written.
            if round % 2 == 1 {
                let sealed = house.log.segments().into_iter();
                let _ = take_over(&house.log, &house.segments, sealed, &mut unfinished);
            }
        }
        let all = house.segments.all();
        let _ = merge(&house.segments, &all, &|| false);
        drop(all);
        house.segments.remove_released();
        let _ = house.log.close();
        acknowledged
    }
    let mut operation = 0;
    loop {
        operation += 1;
        let power = Power::cut_at(operation);
        let acknowledged = work(&power);
        let is_cut = power.is_cut();
        for left in Left::ALL {
            let again = power.after_cut(left);
            let house = open_on(Arc::new(again), Path::new(FOLDER), 1 << 20).unwrap();
            let found: Vec<_> = (0..3)
                .flat_map(|trace| spans_of(&*house.log, trace_id(trace)))
                .collect();
            for span in &acknowledged {
                assert!(
                    found.contains(span),
                    "{} is lost: cut at {operation}, {left:?} left",
                    span.name
                );
            }
            let finished = found.iter().filter(|span| !span.pending).count();
            assert!(
                finished <= 24,
                "a span is there twice: cut at {operation}, {left:?} left"
            );
        }
        if !is_cut {
            break;
        }
    }
    assert!(operation > 60, "only {operation} operations were tried");
}

/// Spans that share one text of so many bytes: the log has it once in each frame, columns once in each row.
fn sharing(text: usize, count: u64) -> Vec<Span> {
    let text: Arc<str> = "x".repeat(text).into();
    let mut spans = many(7, 0, count);
    for span in &mut spans {
        span.attributes.push(hopline_wire::span::Attribute {
            key: "statement".into(),
            value: hopline_wire::span::Value::Text(Arc::clone(&text).into()),
        });
    }
    spans
}

fn by_trace(spans: &[Span], trace: u64) -> Vec<Span> {
    let of_trace = spans.iter().filter(|span| span.trace_id == trace_id(trace));
    of_trace.cloned().collect()
}

#[test]
fn spans_too_large_for_memory_are_sorted_in_runs() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 1 << 30).unwrap();
    let spans = sharing(1_000, 900);
    let again = span(3, 3);
    let name = Name::new(Timestamp::now(), 1, 1);
    let mut runs = Runs::of_bytes(&house.segments, name, Shape::default(), 100_000);
    for span in spans.iter().chain([&again]) {
        runs.push(span).unwrap();
    }
    runs.finish().unwrap();
    let files = |folder: &Path| Disk.walk(folder).unwrap();
    assert_eq!(
        files(&folder.path().join("spans")).len(),
        1,
        "runs are removed"
    );
    let all = house.segments.all();
    assert_eq!((all.len(), all[0].rows), (1, 900));
    for trace in 0..7 {
        let mut expected = by_trace(&spans, trace);
        for span in &mut expected {
            if span.span_id == again.span_id {
                *span = again.clone();
            }
        }
        assert_eq!(spans_of(&*house.log, trace_id(trace)), expected);
    }
}

#[test]
fn a_text_that_many_spans_share_fills_neither_memory_nor_a_column() {
    let folder = tempfile::tempdir().unwrap();
    let house = open_on(Arc::new(Disk), folder.path(), 1 << 30).unwrap();
    // Together they would be 2.2 GB, which no column of texts can hold.
    let spans = sharing(1_000_000, 2_200);
    house.append(&spans);
    house.settle(&mut Unfinished::default());
    let segments = house.segments.all();
    assert_eq!((segments.len(), segments[0].rows), (1, 2_200));
    // Whatever is read at once is no more than a group.
    for batch in segments[0].batches(8_192).unwrap() {
        let bytes = batch.unwrap().get_array_memory_size();
        assert!(bytes < 64 << 20, "{bytes} bytes at once");
    }
    let name = Name::new(Timestamp::now(), 2, 2);
    let merged = Merged::of(&segments).unwrap();
    runs::put(&house.segments, name, 7, merged).unwrap();
    assert_eq!(house.segments.all()[1].rows, 2_200);
    let mut seen = 0;
    for stretch in house.segments.stretches(trace_id(5)).unwrap() {
        let spans = stretch.spans().unwrap();
        assert!(
            spans.len() <= 64,
            "{} spans of a megabyte at once",
            spans.len()
        );
        seen += spans.len();
    }
    assert_eq!(seen, by_trace(&spans, 5).len() * 2);
}
