//! Questions that come again: what files add to their answers is kept, and no answer is another for that.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hopline_columns::{Columns, Segments, SettleOptions, Settler};
use hopline_files::Disk;
use hopline_query::{Engine, EngineOptions};
use hopline_traces::questions::{Answer, Language, Question, QuestionError, Questions};
use hopline_traces::testing::span;
use hopline_traces::{Durability, LogOptions, LogStore, Older, TraceStore};
use hopline_wire::Timestamp;
use hopline_wire::span::{Span, SpanStatus};
use serde_json::Value as Json;

const NOW: u64 = 1_769_852_100_250_000_000;

/// How many segments are merged at once.
const MERGED_AT_ONCE: usize = 8;

const SECOND: u64 = 1_000_000_000;

struct House {
    /// Keeps what files add.
    keeping: Engine,
    /// Keeps nothing.
    forgetful: Engine,
    log: Arc<LogStore>,
    segments: Arc<Segments>,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spans = folder.path().join("spans");
        let segments = Arc::new(Segments::open(Arc::new(Disk), spans).unwrap());
        let (log, _) = LogStore::open(folder.path(), LogOptions::default()).unwrap();
        let log = Arc::new(log);
        log.set_older(Arc::clone(&segments) as Arc<dyn Older>);
        let engine = |kept| {
            let columns = Columns::new(Arc::clone(&log), Arc::clone(&segments));
            let options = EngineOptions {
                kept,
                ..EngineOptions::default()
            };
            Engine::start(columns, options).unwrap()
        };
        Self {
            keeping: engine(EngineOptions::default().kept),
            forgetful: engine(0),
            log,
            segments,
            folder,
        }
    }

    fn append(&self, spans: &[Span]) {
        self.log.append(spans, Durability::Durable).unwrap();
    }

    /// Waits until all that is in the log is in segments, and these are merged if they are as many as are merged at once.
    fn settle(&self) {
        let options = SettleOptions {
            interval: Duration::from_millis(1),
            seal_after: Duration::ZERO,
            ..SettleOptions::default()
        };
        let settler = Settler::start(Arc::clone(&self.log), Arc::clone(&self.segments), options);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.log.segments().is_empty() || self.files().len() >= MERGED_AT_ONCE {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(settler);
    }

    fn files(&self) -> Vec<PathBuf> {
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

fn ask(engine: &Engine, text: &str, now: u64) -> Result<Answer, QuestionError> {
    engine.ask(&Question {
        text: text.to_owned(),
        language: Language::Query,
        now: Timestamp::from_nanos(now),
        limit: 10_000,
    })
}

fn rows(engine: &Engine, text: &str, now: u64) -> Vec<Vec<Json>> {
    let answer = ask(engine, text, now);
    let answer = answer.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    answer.rows
}

/// Whether two answers are the same, but for the order in which numbers were added, and for what percentiles leave open.
fn assert_same(one: &[Vec<Json>], other: &[Vec<Json>], about: &str) {
    assert_eq!(one.len(), other.len(), "{about}\n{one:?}\n{other:?}");
    let open = if about.contains("p95") { 0.05 } else { 1e-9 };
    for (one, other) in one.iter().zip(other) {
        for (one, other) in one.iter().zip(other) {
            let same = match (one.as_f64(), other.as_f64()) {
                (Some(one), Some(other)) => (one - other).abs() <= open * one.abs(),
                _ => one == other,
            };
            assert!(same, "{about}: {one} {other}");
        }
    }
}

/// So many spans that begin within so many seconds before `now`.
fn spans(first: u64, count: u64, now: u64, seconds: u64) -> Vec<Span> {
    let numbers = first..first + count;
    let made = numbers.map(|number| {
        // Spread over the time without any pattern that slots have as well.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let start = now - mixed % (seconds * SECOND);
        let mut span = Span {
            name: ["parse", "plan", "build"][(number % 3) as usize]
                .to_owned()
                .into(),
            op: format!("op {}", mixed % 5).into(),
            start: Timestamp::from_nanos(start),
            end: Timestamp::from_nanos(start + 1_000 + mixed % 1_000_003),
            ..span(number / 4, number)
        };
        if mixed.is_multiple_of(7) {
            span.status = SpanStatus::Error("refused".into());
        }
        span
    });
    made.collect()
}

fn questions() -> Vec<String> {
    let from = Timestamp::from_nanos(NOW - 100 * SECOND - 123_456_789);
    let to = Timestamp::from_nanos(NOW - 20 * SECOND - 1);
    let mut all: Vec<String> = [
        "count(spans)",
        "count(spans) since 1m",
        "count(spans), avg(span.duration) by name since 2m",
        "sum(duration), min(duration), max(duration) by op, name since 5m order by sum(duration)",
        "failure_rate() by name since 17s",
        "count(spans) where op:\"op 3\" by name per 7s since 3m",
        "p95(duration) by name since 4m order by name",
        "count_unique(op) by name since 90s",
        "count(spans), count(spans) by name, name since 70s",
        "count(spans) by trace since 70s limit 5",
        "count(spans) by name since 10000d",
    ]
    .map(str::to_owned)
    .into();
    all.push(format!(
        "count(spans), max(start) by name from \"{from}\" to \"{to}\""
    ));
    all
}

#[test]
fn a_question_that_comes_again_has_the_answer_that_it_would_have_at_once() {
    let house = House::new();
    let mut number = 0;
    let mut most_files = 0;
    for round in 0..13 {
        let now = NOW + round * 3 * SECOND + round * 7_654_321;
        let made = match round {
            // Of hours: too many seconds for a slot each.
            5 => spans(number, 6_000, now, 20_000),
            _ => spans(number, 300, now, 40 + round * 10),
        };
        number += made.len() as u64;
        house.append(&made);
        if round % 5 == 3 {
            // The same again, which counts once when both are merged.
            house.append(&made[..100]);
        }
        // In the log alone every fourth time.
        if round % 4 != 2 {
            house.settle();
        }
        most_files = most_files.max(house.files().len());
        for question in questions() {
            let expected = rows(&house.forgetful, &question, now);
            let first = rows(&house.keeping, &question, now);
            assert_same(&expected, &first, &format!("round {round}: {question}"));
            let again = rows(&house.keeping, &question, now);
            assert_same(
                &expected,
                &again,
                &format!("round {round}, again: {question}"),
            );
        }
    }
    assert!(most_files > house.files().len(), "nothing was merged");
}

#[test]
fn what_a_file_adds_to_a_question_that_comes_again_is_not_read_again() {
    let house = House::new();
    house.append(&spans(0, 5_000, NOW, 200));
    house.settle();
    let question = "count(spans), avg(duration) by name since 2m";
    let first = rows(&house.keeping, question, NOW);
    let again = rows(&house.keeping, question, NOW);
    assert_same(&first, &again, question);
    // From now on nothing can be read of what the columns have in them.
    for path in house.files() {
        let length = std::fs::metadata(&path).unwrap().len();
        let mut file = std::fs::File::options().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(64)).unwrap();
        let broken = vec![0xAA; usize::try_from(length / 2).unwrap()];
        file.write_all(&broken).unwrap();
    }
    assert_same(&first, &rows(&house.keeping, question, NOW), question);
    // A second later one more slot is passed over, and what came meanwhile is there.
    let mut late = spans(5_000, 1, NOW + SECOND, 1);
    late[0].name = "late".to_owned().into();
    house.append(&late);
    let later = rows(&house.keeping, question, NOW + SECOND);
    assert_eq!(later.len(), first.len() + 1);
    let other = ask(&house.keeping, "count(spans), max(duration) by name", NOW);
    assert!(other.is_err(), "the file was to be unreadable: {other:?}");
}

#[test]
fn partial_answers_take_no_more_memory_than_they_may_and_answers_stay_right() {
    let house = House::new();
    house.append(&spans(0, 40_000, NOW, 200));
    house.settle();
    let columns = Columns::new(Arc::clone(&house.log), Arc::clone(&house.segments));
    let options = EngineOptions {
        kept: 64 << 10,
        ..EngineOptions::default()
    };
    let engine = Engine::start(columns, options).unwrap();
    for question in [
        "count(spans) by name since 2m",
        "count(spans) by op, name since 2m",
    ] {
        let expected = rows(&house.forgetful, question, NOW);
        for _ in 0..4 {
            assert_same(&expected, &rows(&engine, question, NOW), question);
        }
    }
}
