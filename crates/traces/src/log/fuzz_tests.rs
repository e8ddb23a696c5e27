//! Files of the log that are anything but what was written. See the crate `hopline-fuzz`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hopline_files::power::Power;
use hopline_fuzz::{Bound, fuzz};
use hopline_wire::TraceId;
use hopline_wire::span::Span;

use super::*;
use crate::testing::{span, spans_of, trace_id};

const FOLDER: &str = "/traces";

/// A frame may be compressed; what it says it holds is bounded, whatever that is.
const BOUND: Bound = Bound {
    base: 4 << 20,
    factor: 1_024,
};

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/trace-log")
}

fn open(content: &[u8]) -> Result<LogStore, TracesError> {
    let power = Power::default();
    power.put(&Path::new(FOLDER).join("0000000000000001.log"), content);
    let store = LogStore::open_on(Arc::new(power), Path::new(FOLDER), LogOptions::default());
    store.map(|(store, _)| store)
}

/// The spans of these traces that a log has.
fn read(store: &LogStore, traces: &BTreeSet<TraceId>) -> Vec<Span> {
    traces
        .iter()
        .flat_map(|trace| spans_of(store, *trace))
        .collect()
}

#[test]
fn fuzz_trace_log() {
    let traces: BTreeSet<_> = (0..8).map(trace_id).collect();
    let mut written = Vec::new();
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let store = open(&std::fs::read(&path).unwrap());
        // What was found broken stays in the corpus, and says nothing of what was written.
        if !path.to_string_lossy().contains("found") {
            let spans = read(&store.unwrap(), &traces);
            assert!(!spans.is_empty(), "{}", path.display());
            written.extend(spans);
        }
    }
    fuzz(&corpus(), BOUND, |input| {
        // Refused whole: the file of a later version, say.
        let Ok(store) = open(input) else {
            return;
        };
        for span in read(&store, &traces) {
            assert!(written.contains(&span), "nobody wrote {span:?}");
        }
        // And it goes on behind whatever that was.
        let new = span(100, 1);
        store
            .append(std::slice::from_ref(&new), Durability::Durable)
            .unwrap();
        assert_eq!(spans_of(&store, trace_id(100)), [new]);
    });
}
