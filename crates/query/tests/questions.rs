//! Questions to a real store: spans in its log, in its segments, and in both.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stored;

use std::time::{Duration, Instant};

use hopline_query::{Engine, EngineOptions};
use hopline_traces::questions::{Answer, Language, Question, QuestionError, Questions, Unit};
use hopline_traces::testing::{span, span_id};
use hopline_wire::Timestamp;
use hopline_wire::span::{Attribute, EventKeys, Span, SpanKind, SpanStatus, Value};
use serde_json::{Value as Json, json};

use stored::Stored;

const NOW: u64 = 1_769_852_100_000_000_000;

struct House {
    stored: Stored,
    engine: Engine,
}

fn house_with(options: EngineOptions) -> House {
    let stored = Stored::new();
    let engine = stored.engine(options);
    House { stored, engine }
}

fn house() -> House {
    house_with(EngineOptions::default())
}

impl House {
    fn try_ask(&self, language: Language, text: &str) -> Result<Answer, QuestionError> {
        let (now, text) = (Timestamp::from_nanos(NOW), text.to_owned());
        self.engine.ask(&Question {
            text,
            language,
            now,
            limit: 1_000,
        })
    }

    fn ask(&self, text: &str) -> Answer {
        self.try_ask(Language::Query, text)
            .unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    fn rows(&self, text: &str) -> Vec<Vec<Json>> {
        self.ask(text).rows
    }

    fn sql(&self, text: &str) -> Vec<Vec<Json>> {
        let answer = self.try_ask(Language::Sql, text);
        answer
            .unwrap_or_else(|error| panic!("{text}: {error:?}"))
            .rows
    }
}

/// A hop of an event: it begins `at` milliseconds before now and takes so many.
fn hop(number: u64, op: &'static str, name: &str, at: u64, takes: u64) -> Span {
    let start = NOW - at * 1_000_000;
    Span {
        name: name.to_owned().into(),
        op: op.into(),
        start: Timestamp::from_nanos(start),
        end: Timestamp::from_nanos(start + takes * 1_000_000),
        event: Some(EventKeys {
            seq: number + 1,
            project_id: "p1".into(),
            ..EventKeys::default()
        }),
        ..span(number / 4, number)
    }
}

fn some_spans() -> Vec<Span> {
    let mut spans = vec![
        hop(0, "db.persist.event", "persistEvent.text", 5_000, 10),
        hop(1, "db.persist.event", "persistEvent.text", 4_000, 20),
        hop(2, "db.persist.event", "persistEvent.tool", 3_000, 60),
        hop(
            3,
            "broker.event.forward",
            "broker.forwardEvent.build-stream",
            2_000,
            5,
        ),
        hop(
            4,
            "broker.event.forward",
            "broker.forwardEvent.build-stream",
            1_000,
            7,
        ),
        hop(
            5,
            "broker.event.forward",
            "broker.forwardEvent.ack",
            100_000,
            9,
        ),
        hop(
            6,
            "runner.command",
            "handleCommand.start-build",
            6_000,
            5_000,
        ),
        hop(7, "runner.event.send", "broker_forwardEvent%odd", 6_000, 1),
    ];
    spans[4].status = SpanStatus::Error("refused".into());
    spans[5].status = SpanStatus::Ok;
    spans[6].kind = SpanKind::Consumer;
    spans[6].parent_id = Some(span_id(900));
    spans[7].parent_id = Some(span_id(900));
    spans[7].attributes = vec![
        Attribute::new("retries", 12),
        Attribute::new("odd key", "x*y"),
        Attribute::new("flag", true),
    ];
    spans
}

/// Asks the same of the log, of both, and of segments.
fn in_every_place(spans: &[Span], ask: impl Fn(&House)) {
    let house = house();
    house.stored.append(spans);
    ask(&house);
    house.stored.settle();
    ask(&house);
    let house = self::house();
    house.stored.append(&spans[..spans.len() / 2]);
    house.stored.settle();
    house.stored.append(&spans[spans.len() / 2..]);
    ask(&house);
}

const MS: u64 = 1_000_000;

#[test]
fn the_questions_of_the_seed_are_answered() {
    in_every_place(&some_spans(), |house| {
        let average = house.ask("avg(span.duration) where op:\"db.persist.event\"");
        assert_eq!(average.rows, [[json!(30 * MS)]]);
        assert_eq!(average.columns[0].name, "avg(span.duration)");
        assert_eq!(average.columns[0].unit, Unit::Nanoseconds);
        let sum = house.rows("sum(span.duration) where op:\"broker.event.forward\"");
        assert_eq!(sum, [[json!(21 * MS)]]);
        let slowest =
            house.ask("spans where op:\"db.persist.event\" order by duration desc limit 2");
        let names: Vec<_> = slowest.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(
            names,
            [
                "start", "duration", "name", "op", "service", "status", "trace_id", "span_id"
            ]
        );
        let durations: Vec<_> = slowest.rows.iter().map(|row| row[1].clone()).collect();
        assert_eq!(durations, [json!(60 * MS), json!(20 * MS)]);
        assert!(slowest.more);
        assert_eq!(slowest.rows[0][0], "2026-01-31T09:34:57.000Z");
        let failed = house.rows("spans where name:\"broker.forwardEvent.*\" and status:\"error\"");
        assert_eq!(
            (failed.len(), &failed[0][7]),
            (1, &json!(span_id(4).to_string()))
        );
        let count =
            house.rows("count(spans) where name:\"broker.forwardEvent.*\" and status:\"error\"");
        assert_eq!(count, [[json!(1)]]);
        let average = house.rows("avg(transaction.duration) where name:\"handleCommand.*\"");
        assert_eq!(average, [[json!(5_000 * MS)]]);
    });
}

#[test]
fn conditions_choose_what_they_say() {
    in_every_place(&some_spans(), |house| {
        for (condition, count) in [
            ("name:\"broker.forwardEvent.*\"", 3),
            ("name:\"broker_*\"", 1),
            ("name:\"*%odd\"", 1),
            ("name:\"*Event*\"", 7),
            ("op:[db.persist.event, runner.command]", 4),
            ("op!:db.persist.event", 5),
            ("duration>20ms", 2),
            ("span.duration:>=20ms duration<5s", 2),
            ("duration:<9", 3),
            ("duration:20ms", 1),
            ("transaction.op:runner.command", 1),
            ("status:ok", 7),
            ("status:unset", 6),
            ("status!:error", 7),
            ("has:retries", 1),
            ("!has:retries", 7),
            ("retries:12", 1),
            ("retries>2", 1),
            ("retries>12", 0),
            ("\"odd key\":\"x\\*y\"", 1),
            ("flag:true", 1),
            ("event.seq:3", 1),
            ("event.seq>=3 event.projectId:p1", 6),
            ("event.projectId:p2", 0),
            ("kind:consumer or op:runner.event.send", 2),
            ("not (op:db.persist.event or status:error)", 4),
            ("trace_id:07070707070707070000000000000001", 4),
            ("start>\"2026-01-31T09:34:57.500Z\"", 2),
            ("has:parent_id", 2),
            ("service:unknown_service", 8),
        ] {
            let found = house.rows(&format!("count(spans) where {condition}"));
            assert_eq!(found, [[json!(count)]], "{condition}");
            let found = house.rows(&format!("spans where {condition}"));
            assert_eq!(found.len(), count, "{condition}");
        }
        assert_eq!(house.rows("count() since 10s"), [[json!(7)]]);
        assert_eq!(
            house.rows("count() from 2026-01-31T09:34:57Z to 2026-01-31T09:34:59Z"),
            [[json!(2)]]
        );
    });
}

#[test]
fn figures_are_grouped_sorted_and_made_series() {
    in_every_place(&some_spans(), |house| {
        let by = house.rows("count(), max(duration), failure_rate() where op:[db.persist.event, broker.event.forward] by op order by op");
        let third = 1.0 / 3.0;
        assert_eq!(
            by[0][..3],
            [json!("broker.event.forward"), json!(3), json!(9 * MS)]
        );
        assert!((by[0][3].as_f64().unwrap() - third).abs() < 1e-12);
        assert_eq!(
            by[1],
            [
                json!("db.persist.event"),
                json!(3),
                json!(60 * MS),
                json!(0)
            ]
        );
        let most = house.rows("count() by name limit 1");
        assert_eq!(
            most,
            [[json!("broker.forwardEvent.build-stream"), json!(2)]]
        );
        let figures = "min(event.seq), max(event.seq), sum(retries), avg(retries), count(retries), count_unique(op), p50(duration)";
        let figures = house.rows(figures);
        assert_eq!(
            figures[0][..6],
            [json!(1), json!(8), json!(12), json!(12), json!(1), json!(4)]
        );
        let none =
            house.rows("count(), sum(duration), avg(duration), failure_rate() where op:none");
        assert_eq!(none, [[json!(0), json!(null), json!(null), json!(null)]]);
        let series = house.ask("count() by op per 2s where op:db.persist.event");
        assert_eq!(
            (series.columns[0].name.as_str(), series.columns[0].unit),
            ("time", Unit::Bucket)
        );
        assert_eq!(
            series.rows,
            [
                [
                    json!("2026-01-31T09:34:54.000Z"),
                    json!("db.persist.event"),
                    json!(1)
                ],
                [
                    json!("2026-01-31T09:34:56.000Z"),
                    json!("db.persist.event"),
                    json!(2)
                ],
            ]
        );
    });
}

#[test]
fn counts_and_sums_weigh_what_was_sampled_and_what_is_shared() {
    let mut spans: Vec<_> = (0..4)
        .map(|number| hop(number, "db.query", "COMMIT", 1_000, 10))
        .collect();
    spans[0]
        .attributes
        .push(Attribute::new("hopline.shared_by", 2));
    spans[1]
        .attributes
        .push(Attribute::new("hopline.shared_by", 2));
    spans[2]
        .attributes
        .push(Attribute::new("sentry.sample_rate", Value::Double(0.1)));
    spans[3].trace_state = "ot=th:8".into();
    spans[3].end = Timestamp::from_nanos(spans[3].start.as_nanos() + 36 * MS);
    in_every_place(&spans, |house| {
        let figures = house.rows("count(), sum(duration), avg(duration)");
        let expected = [1.0 + 10.0 + 2.0, (10.0 + 100.0 + 72.0) * 1e6, 182e6 / 13.0];
        for (found, expected) in figures[0].iter().zip(expected) {
            assert!(
                (found.as_f64().unwrap() - expected).abs() < 1e-3,
                "{figures:?}"
            );
        }
    });
}

#[test]
fn unfinished_spans_and_records_that_are_none_are_not_counted() {
    let mut spans = some_spans();
    spans[0].pending = true;
    spans[1]
        .attributes
        .push(Attribute::new("hopline.record", "log"));
    let house = house();
    house.stored.append(&spans);
    assert_eq!(house.rows("count()"), [[json!(6)]]);
    assert_eq!(house.rows("count() where hopline.record:log"), [[json!(1)]]);
    assert_eq!(house.rows("count() by record")[0], [json!(null), json!(6)]);
}

#[test]
fn mistakes_that_only_the_columns_show_are_told() {
    let house = house();
    house.stored.append(&some_spans());
    for (text, place, message) in [
        ("avg(name)", "name", "is no number"),
        ("spans where duration>x", "duration", "a duration"),
        ("spans where op>5", "op", "a text"),
        ("spans where retries>5ms", "retries", "a number"),
        ("spans where event.seq:x", "event.seq", "a number"),
        ("spans order by count()", "", "nothing can be sorted"),
        (
            "count() by op order by name",
            "name",
            "nothing can be sorted",
        ),
        (
            "count() by op order by avg(duration)",
            "duration",
            "nothing can be sorted",
        ),
    ] {
        match house.try_ask(Language::Query, text) {
            Err(QuestionError::Mistake(mistake)) => {
                assert_eq!(&text[mistake.at.clone()], place, "{text}: {mistake:?}");
                assert!(mistake.message.contains(message), "{text}: {mistake:?}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn sql_reads_the_spans_and_nothing_else() {
    in_every_place(&some_spans(), |house| {
        let rows = house.sql(
            "select op, count(*) as n, avg(duration_ns) as avg_ns from spans group by op order by n desc, op",
        );
        assert_eq!(
            rows[0],
            [json!("broker.event.forward"), json!(3), json!(7 * MS)]
        );
        let rows =
            house.sql("select attributes['odd key'] from spans where attributes['retries'] = '12'");
        assert_eq!(rows, [[json!("x*y")]]);
        let elsewhere = tempfile::tempdir().unwrap();
        let outside = elsewhere.path().join("outside.csv");
        std::fs::write(&outside, "a,b\n1,2\n").unwrap();
        let path = outside.display();
        for text in [
            format!("select * from '{path}'"),
            format!("create external table t stored as csv location '{path}'"),
            format!("copy spans to '{path}'"),
            "insert into spans select * from spans".into(),
            "drop table spans".into(),
            "create view v as select 1".into(),
            "set datafusion.execution.batch_size = 1".into(),
            "select * from information_schema.tables".into(),
            "select 1; select 2".into(),
            "selct 1".into(),
            "explain select 1".into(),
            "describe spans".into(),
            "select count(*) from spans a, spans b where a.duration_ns < b.duration_ns".into(),
            "select range(0, 5000000000)".into(),
            "select repeat('x', 2000000000)".into(),
            "select cast(name as bigint) from spans".into(),
            "select 1 / 0".into(),
            format!("select {}1", "1+".repeat(9_000)),
            "select nothing from spans".into(),
        ] {
            let refused = house.try_ask(Language::Sql, &text);
            assert!(
                matches!(refused, Err(QuestionError::Mistake(_))),
                "{text}: {refused:?}"
            );
        }
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "a,b\n1,2\n");
        let wrong = "select op\nfrom spans wher x";
        match house.try_ask(Language::Sql, wrong) {
            Err(QuestionError::Mistake(mistake)) => {
                assert_eq!(&wrong[mistake.at.clone()], "x", "{mistake:?}");
                assert!(mistake.message.starts_with("Expected"), "{mistake:?}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_question_that_takes_too_long_or_too_much_is_ended() {
    let house = house_with(EngineOptions {
        time: Duration::from_millis(300),
        memory: 8 << 20,
        ..EngineOptions::default()
    });
    house.stored.append(&some_spans());
    // As many pairs as no machine counts in the time, of two sides that are equal in one bit.
    let long = "select count(*) from generate_series(1, 300000) a(x) join generate_series(1, 300000) b(y) on x % 2 = y % 2 where (x * y) % 7 = 3";
    let begun = Instant::now();
    let ended = house.try_ask(Language::Sql, long);
    assert_eq!(ended, Err(QuestionError::TooLong { seconds: 0 }));
    assert!(begun.elapsed() < Duration::from_secs(10));
    let much = "select count(distinct x) from generate_series(1, 10000000) a(x)";
    let ended = house.try_ask(Language::Sql, much);
    let is_ended = matches!(
        ended,
        Err(QuestionError::TooMuch | QuestionError::TooLong { .. })
    );
    assert!(is_ended, "{ended:?}");
    // And the next one is answered.
    assert_eq!(house.sql("select 1"), [[json!(1)]]);
    for text in [
        format!("select {}1{}", "(".repeat(1_000), ")".repeat(1_000)),
        format!("select {}1", "1+".repeat(8_000)),
        format!("select {}1", "- ".repeat(8_000)),
    ] {
        let ended = house.try_ask(Language::Sql, &text);
        let is_ended = matches!(
            ended,
            Ok(_) | Err(QuestionError::Mistake(_) | QuestionError::TooLong { .. })
        );
        assert!(is_ended, "{ended:?}");
    }
}

#[test]
fn long_questions_are_answered() {
    let house = house();
    house.stored.append(&some_spans());
    for many in [
        format!("count() where op:[{}a]", "a,".repeat(1_000)),
        format!("count() where {}", "op:a ".repeat(500)),
    ] {
        let answer = house.try_ask(Language::Query, &many);
        assert_eq!(answer.map(|answer| answer.rows), Ok(vec![vec![json!(0)]]));
    }
}

#[test]
fn other_engines_find_the_files_by_their_names() {
    let house = house();
    house.stored.append(&some_spans());
    house.stored.settle();
    let found = house.stored.files();
    assert_eq!(found.len(), 1);
    let name = found[0].display().to_string();
    assert!(
        name.contains("/spans/date=") && name.contains("/hour="),
        "{name}"
    );
}

#[test]
fn the_first_of_many_spans_are_those_that_sorting_all_of_them_gives() {
    let house = house();
    // Few lengths, so that many spans are equal in what they are sorted by; some in files, some only in the log.
    let many = |from: u64| {
        let numbers = from..from + 400;
        let spans =
            numbers.map(|number| hop(number, "op", "name", 9_000 - number, number * 7 % 13));
        spans.collect::<Vec<_>>()
    };
    house.stored.append(&many(0));
    house.stored.settle();
    house.stored.append(&many(400));
    house.stored.settle();
    house.stored.append(&many(800));
    for (asked, order) in [
        ("duration desc", "duration_ns desc"),
        ("duration", "duration_ns"),
        ("start", "start"),
        ("name, start desc", "name, start desc"),
    ] {
        for limit in [1, 7, 1_000] {
            let first = house.rows(&format!("spans where op:op order by {asked} limit {limit}"));
            let sql = format!("select duration_ns from spans order by {order} limit {limit}");
            let lengths: Vec<_> = first.iter().map(|row| vec![row[1].clone()]).collect();
            assert_eq!(lengths, house.sql(&sql), "{asked} limit {limit}");
            let again = house.rows(&format!("spans where op:op order by {asked} limit {limit}"));
            assert_eq!(first, again, "equal ones come in the same order each time");
        }
    }
    assert_eq!(house.rows("spans where op:none"), Vec::<Vec<Json>>::new());
}
