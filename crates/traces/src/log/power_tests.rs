//! What was acknowledged survives every power cut.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::testing::{span, spans_of, trace_id};
use hopline_files::power::{Left, Power};

const FOLDER: &str = "/traces";

fn options() -> LogOptions {
    LogOptions {
        // Many segments of few spans, so that cuts fall into every kind of work.
        segment_bytes: 600,
        flush_interval: Duration::from_millis(1),
        ..LogOptions::default()
    }
}

fn open(power: &Power) -> Result<(LogStore, Opened), TracesError> {
    LogStore::open_on(Arc::new(power.clone()), Path::new(FOLDER), options())
}

/// Appends spans, some durable, until the power goes or all are in. Answers those that were acknowledged
/// as durable.
fn work(power: &Power) -> Vec<Span> {
    let mut acknowledged = Vec::new();
    let Ok((store, _)) = open(power) else {
        return acknowledged;
    };
    for round in 0..8 {
        let spans: Vec<_> = (0..4).map(|n| span(n % 3, round * 10 + n)).collect();
        let buffered = store.append(&spans[..2], Durability::Buffered);
        let durable = store.append(&spans[2..], Durability::Durable);
        if durable.is_ok() {
            // A buffered append of before is durable by the same sync.
            acknowledged.extend(
                buffered
                    .is_ok()
                    .then(|| spans[..2].to_vec())
                    .into_iter()
                    .flatten(),
            );
            acknowledged.extend_from_slice(&spans[2..]);
        }
    }
    let _ = store.close();
    acknowledged
}

fn all(store: &LogStore) -> Vec<Span> {
    let traces = (0..3).map(trace_id);
    traces.flat_map(|trace| spans_of(store, trace)).collect()
}

#[test]
fn acknowledged_spans_survive_a_power_cut_at_any_operation() {
    let mut operation = 0;
    loop {
        operation += 1;
        let power = Power::cut_at(operation);
        let acknowledged = work(&power);
        if !power.is_cut() {
            break;
        }
        for left in Left::ALL {
            let again = power.after_cut(left);
            let (store, opened) = open(&again).unwrap();
            let found = all(&store);
            for span in &acknowledged {
                assert!(
                    found.contains(span),
                    "lost {:?} of a cut at {operation}, {left:?} left, {opened:?}",
                    span.span_id
                );
            }
            // And the store goes on: what it takes now is there with the rest after the next opening.
            let later = span(1, 999);
            store
                .append(std::slice::from_ref(&later), Durability::Durable)
                .unwrap();
            drop(store);
            let (store, opened) = open(&again.after_cut(Left::Nothing)).unwrap();
            assert_eq!(opened.torn_bytes, 0);
            let found = all(&store);
            assert!(found.contains(&later));
            assert!(acknowledged.iter().all(|span| found.contains(span)));
        }
    }
    assert!(operation > 40, "only {operation} operations were tried");
}

#[test]
fn a_power_cut_while_a_cut_store_opens_loses_nothing_either() {
    for first in [9, 17, 30, 41] {
        let power = Power::cut_at(first);
        let acknowledged = work(&power);
        let mut second = 0;
        loop {
            second += 1;
            let reopened = power.after_cut(Left::Patches).cutting_at(second);
            let opened = open(&reopened).map(|(store, _)| store.close());
            let cut = reopened.is_cut();
            let (store, _) = open(&reopened.after_cut(Left::Patches)).unwrap();
            let found = all(&store);
            assert!(
                acknowledged.iter().all(|span| found.contains(span)),
                "cut at {first}, then at {second}: {opened:?}"
            );
            if !cut {
                break;
            }
        }
    }
}

/// Whoever waits for a flush looks at segments that are not sealed only: what is sealed counts as durable, be it that it
/// was written after the last flush.
#[test]
fn a_sealed_segment_is_durable_with_all_that_was_written_to_it() {
    let power = Power::default();
    let path = Path::new(FOLDER).join(segment::file_name(1));
    power.create_folder(Path::new(FOLDER)).unwrap();
    let file = power.create(&path).unwrap();
    power.sync_folder(Path::new(FOLDER)).unwrap();
    let spans: Vec<_> = (0..4).map(|number| span(1, number)).collect();
    let mut bytes = segment::header().to_vec();
    let at = u32::try_from(bytes.len()).unwrap();
    let encoded = FrameEncoder::new().encode(&spans, &mut bytes).unwrap();
    assert_eq!(encoded.spans, spans.len());
    file.write_at(&bytes, 0).unwrap();
    let written = Written {
        number: 1,
        path: path.clone(),
        file,
        synced: AtomicU64::new(0),
        failed: false.into(),
    };
    let entries = vec![(trace_id(1), at)];
    segment::seal(&power, &written, bytes.len() as u64, 4, entries).unwrap();
    let (store, opened) = open(&power.after_cut(Left::Nothing)).unwrap();
    assert_eq!(spans_of(&store, trace_id(1)), spans, "{opened:?}");
}
