//! Spans in a bucket of a real S3 server: a process of its own, which is killed and started again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hopline_columns::{Bucket, Columns, Segments, SettleOptions, Settler};
use hopline_files::Disk;
use hopline_query::{Engine, EngineOptions};
use hopline_traces::questions::{Language, Question, Questions};
use hopline_traces::testing::{span, spans_of, trace_id};
use hopline_traces::{Durability, LogOptions, LogStore, Older, TraceStore, TracesError};
use hopline_wire::Timestamp;
use hopline_wire::span::Span;
use serde_json::json;

const ADDRESS: &str = "s3://kept/a/spans";

/// The server, over a folder whose folders are its buckets.
struct S3 {
    child: Child,
    url: String,
}

impl S3 {
    fn start(folder: &Path) -> Self {
        // Another program of this workspace's, made beside the tests.
        let own = std::env::current_exe().unwrap();
        let program = own.ancestors().nth(2).unwrap().join("s3-server");
        let mut command = Command::new(program);
        command.arg(folder).args(["key", "secret"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let url = line.trim().to_owned();
        Self { child, url }
    }

    fn bucket(&self) -> Arc<Bucket> {
        let options = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SOMETHING_ELSE", "is passed over"),
        ];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Arc::new(Bucket::open(ADDRESS, options).unwrap())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct House {
    engine: Engine,
    log: Arc<LogStore>,
    segments: Arc<Segments>,
}

fn open(folder: &Path, s3: &S3, owner: &str) -> Result<House, TracesError> {
    let segments = Segments::open(Arc::new(Disk), folder.join("spans"))?;
    let is_fresh = !folder.join("spans").exists();
    let segments = Arc::new(segments.with_bucket(s3.bucket(), owner, is_fresh)?);
    let options = LogOptions {
        taken_over: segments.taken_over(),
        ..LogOptions::default()
    };
    let (log, _) = LogStore::open(folder, options)?;
    let log = Arc::new(log);
    log.set_older(Arc::clone(&segments) as Arc<dyn Older>);
    let columns = Columns::new(Arc::clone(&log), Arc::clone(&segments));
    let engine = Engine::start(columns, EngineOptions::default()).unwrap();
    Ok(House {
        engine,
        log,
        segments,
    })
}

impl House {
    fn append(&self, spans: &[Span]) {
        self.log.append(spans, Durability::Durable).unwrap();
    }

    /// Settles until this holds. Any segment is large enough to be sent to the bucket.
    fn settle_until(&self, retained_bytes: u64, what: &str, mut holds: impl FnMut() -> bool) {
        let options = SettleOptions {
            interval: Duration::from_millis(1),
            seal_after: Duration::ZERO,
            merged_bytes: 1,
            retained_bytes,
            retained_for: None,
        };
        let settler = Settler::start(Arc::clone(&self.log), Arc::clone(&self.segments), options);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < deadline, "{what} did not come");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(settler);
    }

    fn count(&self) -> serde_json::Value {
        let answer = self.engine.ask(&Question {
            text: "count(spans)".to_owned(),
            language: Language::Query,
            now: Timestamp::now(),
            limit: 10,
        });
        answer.unwrap().rows[0][0].clone()
    }

    /// All spans, by trace and id; none twice.
    fn all(&self) -> BTreeSet<(String, String)> {
        let mut all = BTreeSet::new();
        let visited = self.log.for_all(&mut |spans| {
            for span in spans {
                let key = (span.trace_id.to_string(), span.span_id.to_string());
                assert!(all.insert(key), "{} came twice", span.span_id);
            }
            ControlFlow::Continue(())
        });
        visited.unwrap();
        all
    }
}

/// The Parquet files in a folder and those within it.
fn parquet(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.append(&mut parquet(&path)),
            false if path.extension().is_some_and(|end| end == "parquet") => found.push(path),
            false => {}
        }
    }
    found
}

fn some(from: u64, count: u64) -> Vec<Span> {
    (from..from + count)
        .map(|number| span(number % 7, number))
        .collect()
}

#[test]
fn spans_in_a_bucket_are_found_as_those_in_the_folder() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kept = there.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let folder = here.path().join("spans");
    let s3 = S3::start(there.path());
    let house = open(here.path(), &s3, "me").unwrap();
    house.append(&some(0, 700));
    let is_sent = || parquet(&folder).is_empty() && !parquet(&kept).is_empty();
    house.settle_until(u64::MAX, "the sending", is_sent);
    let sent = parquet(&kept.join("a/spans"));
    let path = sent[0].to_string_lossy();
    assert!(path.contains("/date=") && path.contains("/hour="), "{path}");
    // Those that only the log has, and those in the bucket.
    house.append(&some(700, 70));
    assert_eq!(house.count(), json!(770));
    assert_eq!(house.all().len(), 770);
    assert_eq!(spans_of(&*house.log, trace_id(3)).len(), 110);
    assert_eq!(house.log.stats().spans, 770);
    house.log.close().unwrap();
    drop(house);

    let again = open(here.path(), &s3, "me").unwrap();
    assert_eq!((again.count(), again.all().len()), (json!(770), 770));
    again.log.close().unwrap();
    drop(again);

    // The folder was lost: what the bucket has is found, and nothing that comes is taken for what it has.
    let other = tempfile::tempdir().unwrap();
    let told = open(other.path(), &s3, "you").err().unwrap().to_string();
    assert!(
        told.contains("another Hopline") && told.contains("hopline-owner"),
        "{told}"
    );
    std::fs::remove_file(kept.join("a/spans/hopline-owner")).unwrap();
    let told = open(here.path(), &s3, "you").err().unwrap().to_string();
    assert!(told.contains("only an empty one"), "{told}");
    let other = open(other.path(), &s3, "you").unwrap();
    assert_eq!(other.count(), json!(700));
    other.append(&some(1_000, 7));
    other.settle_until(u64::MAX, "the sending", || parquet(&kept).len() == 2);
    assert_eq!(spans_of(&*other.log, trace_id(0)).len(), 101);

    // The oldest are removed there too.
    let newest = parquet(&kept)
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .min();
    other.settle_until(newest.unwrap(), "the removal", || parquet(&kept).len() == 1);
    assert_eq!(other.count(), json!(7));
}

#[test]
fn while_a_bucket_is_out_of_reach_spans_stay_in_the_folder() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kept = there.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let folder = here.path().join("spans");
    let s3 = S3::start(there.path());
    let house = open(here.path(), &s3, "me").unwrap();
    drop(s3);
    house.append(&some(0, 70));
    let is_settled = || house.log.segments().is_empty() && parquet(&folder).len() == 1;
    house.settle_until(u64::MAX, "the settling", is_settled);
    assert_eq!((house.count(), house.all().len()), (json!(70), 70));
    house.log.close().unwrap();
    drop(house);
    let s3 = S3::start(there.path());
    let house = open(here.path(), &s3, "me").unwrap();
    let is_sent = || parquet(&folder).is_empty() && parquet(&kept).len() == 1;
    house.settle_until(u64::MAX, "the sending", is_sent);
    // A copy that a crash left behind is no second segment.
    let sent = parquet(&kept).remove(0);
    let copy = folder.join(sent.strip_prefix(kept.join("a/spans")).unwrap());
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::copy(&sent, &copy).unwrap();
    house.log.close().unwrap();
    drop(house);
    let house = open(here.path(), &s3, "me").unwrap();
    assert!(!copy.exists());
    assert_eq!((house.count(), house.all().len()), (json!(70), 70));
}
