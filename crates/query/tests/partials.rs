//! Questions that come again: what files add to their answers is kept, and no answer is another for that.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stored;

use std::io::{Seek as _, SeekFrom, Write as _};

use hopline_query::{Engine, EngineOptions};
use hopline_traces::questions::{Answer, Language, Question, QuestionError, Questions};
use hopline_traces::testing::span;
use hopline_wire::Timestamp;
use hopline_wire::span::{Span, SpanStatus};
use serde_json::Value as Json;

use stored::Stored;

const NOW: u64 = 1_769_852_100_250_000_000;

const SECOND: u64 = 1_000_000_000;

struct House {
    stored: Stored,
    /// Keeps what files add.
    keeping: Engine,
    /// Keeps nothing.
    forgetful: Engine,
}

impl House {
    fn new() -> Self {
        let stored = Stored::new();
        Self {
            keeping: stored.engine(EngineOptions::default()),
            forgetful: stored.engine(keeping(0)),
            stored,
        }
    }
}

/// Options of an engine that keeps so many bytes.
fn keeping(kept: usize) -> EngineOptions {
    EngineOptions {
        kept,
        ..EngineOptions::default()
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
        house.stored.append(&made);
        if round % 5 == 3 {
            // The same again, which counts once when both are merged.
            house.stored.append(&made[..100]);
        }
        // In the log alone every fourth time.
        if round % 4 != 2 {
            house.stored.settle();
        }
        most_files = most_files.max(house.stored.files().len());
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
    assert!(
        most_files > house.stored.files().len(),
        "nothing was merged"
    );
}

#[test]
fn what_a_file_adds_to_a_question_that_comes_again_is_not_read_again() {
    let house = House::new();
    house.stored.append(&spans(0, 5_000, NOW, 200));
    house.stored.settle();
    let question = "count(spans), avg(duration) by name since 2m";
    let first = rows(&house.keeping, question, NOW);
    let again = rows(&house.keeping, question, NOW);
    assert_same(&first, &again, question);
    // From now on nothing can be read of what the columns have in them.
    for path in house.stored.files() {
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
    house.stored.append(&late);
    let later = rows(&house.keeping, question, NOW + SECOND);
    assert_eq!(later.len(), first.len() + 1);
    let other = ask(&house.keeping, "count(spans), max(duration) by name", NOW);
    assert!(other.is_err(), "the file was to be unreadable: {other:?}");
}

#[test]
fn partial_answers_take_no_more_memory_than_they_may_and_answers_stay_right() {
    let house = House::new();
    house.stored.append(&spans(0, 40_000, NOW, 200));
    house.stored.settle();
    let engine = house.stored.engine(keeping(64 << 10));
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
