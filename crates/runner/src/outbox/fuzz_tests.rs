//! Files of the outbox that are anything but what was written. See the crate `hopline-fuzz`.

use std::path::{Path, PathBuf};

use hopline_files::power::Power;
use hopline_fuzz::{Bound, fuzz};

use super::testing::FOLDER;
use super::*;

/// What is known of a command and of a stretch of events is larger than its frame; a read takes a copy.
const BOUND: Bound = Bound {
    base: 1 << 20,
    factor: 256,
};

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/outbox")
}

/// The bodies of all events that a journal has which consists of this file.
fn read(content: &[u8]) -> io::Result<Vec<Bytes>> {
    let power = Power::default();
    power.put(&Path::new(FOLDER).join("0000000000000001.events"), content);
    let (journal, recovered) =
        Journal::open(Arc::new(power), Path::new(FOLDER), 1 << 20, 64 << 10)?;
    let mut bodies = Vec::new();
    for (number, runs) in &recovered.runs {
        for run in runs {
            assert!(run.first_seq <= run.last_seq);
            let entries = journal.read(*number, run)?;
            bodies.extend(entries.into_iter().map(|entry| entry.body));
        }
    }
    Ok(bodies)
}

#[test]
fn fuzz_outbox() {
    let mut written = Vec::new();
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        let bodies = read(&content);
        // What was found broken stays in the corpus, and says nothing of what was written.
        if !path.to_string_lossy().contains("found") {
            assert!(!bodies.unwrap().is_empty(), "{}", path.display());
            written.push(content);
        }
    }
    fuzz(&corpus(), BOUND, |input| {
        // Refused whole: the file of a later version, say.
        for body in read(input).unwrap_or_default() {
            // Also one that was settled, if it was that which is damaged.
            let was_written = |file: &Vec<u8>| memchr::memmem::find(file, &body).is_some();
            let is_known = written.iter().any(was_written);
            assert!(is_known, "nobody wrote {}", body.escape_ascii());
        }
    });
}
