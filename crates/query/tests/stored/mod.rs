//! A store in a folder of its own: spans in its log, in its segments, and in both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hopline_columns::{Columns, Segments, SettleOptions, Settler};
use hopline_files::Disk;
use hopline_query::{Engine, EngineOptions};
use hopline_traces::{Durability, LogOptions, LogStore, Older, TraceStore};
use hopline_wire::span::Span;

pub(crate) struct Stored {
    log: Arc<LogStore>,
    segments: Arc<Segments>,
    folder: tempfile::TempDir,
}

impl Stored {
    pub(crate) fn new() -> Self {
        // Not every path is made of plain letters.
        let folder = tempfile::Builder::new()
            .prefix("ä ~#%[x]")
            .tempdir()
            .unwrap();
        let spans = folder.path().join("spans");
        let segments = Arc::new(Segments::open(Arc::new(Disk), spans).unwrap());
        let (log, _) = LogStore::open(folder.path(), LogOptions::default()).unwrap();
        let log = Arc::new(log);
        log.set_older(Arc::clone(&segments) as Arc<dyn Older>);
        Self {
            log,
            segments,
            folder,
        }
    }

    pub(crate) fn engine(&self, options: EngineOptions) -> Engine {
        let columns = Columns::new(Arc::clone(&self.log), Arc::clone(&self.segments));
        Engine::start(columns, options).unwrap()
    }

    pub(crate) fn append(&self, spans: &[Span]) {
        self.log.append(spans, Durability::Durable).unwrap();
    }

    /// Waits until all that is in the log is in segments, and fewer of these than are merged at once.
    pub(crate) fn settle(&self) {
        /// How many segments are merged at once.
        const MERGED: usize = 8;
        let options = SettleOptions {
            interval: Duration::from_millis(1),
            seal_after: Duration::ZERO,
            ..SettleOptions::default()
        };
        let settler = Settler::start(Arc::clone(&self.log), Arc::clone(&self.segments), options);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.log.segments().is_empty() || self.files().len() >= MERGED {
            assert!(Instant::now() < deadline, "the spans do not come to rest");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(settler);
    }

    /// The segments' files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true => walk(&path, found),
                    false => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.folder.path().join("spans"), &mut found);
        found
    }
}
