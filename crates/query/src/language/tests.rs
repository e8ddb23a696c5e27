//! Questions that are understood, and a table of mistakes.

use std::path::PathBuf;

use hopline_fuzz::{Bound, fuzz};

use super::*;

fn understood(text: &str) -> Query {
    parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"))
}

fn field(name: &str) -> String {
    name.to_owned()
}

/// What a condition says, in one way of writing it.
fn told(condition: &Condition) -> String {
    let join = |all: &[Condition], by: &str| {
        let all: Vec<_> = all.iter().map(told).collect();
        format!("({})", all.join(by))
    };
    match condition {
        Condition::All(all) => join(all, " & "),
        Condition::Any(any) => join(any, " | "),
        Condition::Not(inner) => format!("!{}", told(inner)),
        Condition::Is(field, patterns) => {
            let patterns = patterns.iter().map(|pattern| pattern.pieces.join("%"));
            format!("{}={}", field.name, patterns.collect::<Vec<_>>().join(","))
        }
        Condition::Compare(field, comparison, amount) => {
            format!("{} {comparison:?} {amount:?}", field.name)
        }
        Condition::Has(field) => format!("has {}", field.name),
    }
}

fn condition(text: &str) -> String {
    told(
        &understood(&format!("spans where {text}"))
            .condition
            .unwrap(),
    )
}

#[test]
fn the_questions_that_the_language_began_with_are_understood() {
    for text in [
        "avg(span.duration) where op:\"db.persist.event\"",
        "sum(span.duration) where op:\"broker.event.forward\"",
        "spans where op:\"db.persist.event\" order by duration desc limit 10",
        "spans where name:\"broker.forwardEvent.*\" and status:\"error\"",
        "count(spans) where name:\"broker.forwardEvent.*\" and status:\"error\"",
        "avg(transaction.duration) where name:\"handleCommand.*\"",
    ] {
        understood(text);
    }
}

#[test]
fn every_clause_is_understood_in_any_order() {
    let query = understood(
        "count(), p95(span.duration) where op:db.query limit 5 by op, \"odd key\" per 5m since 1.5h order by p95(span.duration) desc, op asc",
    );
    let What::Figures(figures) = &query.what else {
        panic!()
    };
    let texts: Vec<_> = figures.iter().map(|figure| &*figure.text).collect();
    assert_eq!(texts, ["count()", "p95(span.duration)"]);
    assert_eq!(figures[1].function, Function::Percentile(0.95));
    let by: Vec<_> = query.by.iter().map(|field| field.name.clone()).collect();
    assert_eq!(by, [field("op"), field("odd key")]);
    assert_eq!((query.per, query.limit), (Some(300_000_000_000), Some(5)));
    assert_eq!(query.time, Time::Since(5_400_000_000_000));
    let orders: Vec<_> = query.order.iter().map(|order| order.descending).collect();
    assert_eq!(orders, [true, false]);
    let query = understood("spans from 2026-01-31T09:30Z to 2026-02-01");
    assert_eq!(
        query.time,
        Time::Between(1_769_851_800_000_000_000, Some(1_769_904_000_000_000_000))
    );
    let query = understood("spans from 2026-01-31T09:30:00.5+02:00");
    assert_eq!(query.time, Time::Between(1_769_844_600_500_000_000, None));
}

#[test]
fn conditions_are_joined_as_people_read_them() {
    for (text, said) in [
        ("a:b", "a=b"),
        ("a:b c:d", "(a=b & c=d)"),
        ("a:b and c:d or e:f", "((a=b & c=d) | e=f)"),
        ("a:b and (c:d or e:f)", "(a=b & (c=d | e=f))"),
        ("not a:b or !c:d", "(!a=b | !c=d)"),
        ("a!:b", "!a=b"),
        ("!a:b", "!a=b"),
        ("not (a:b c:d)", "!(a=b & c=d)"),
        ("a:[b, \"c d\",e*]", "a=b,c d,e%"),
        (
            "has:event.projectId and !has:x",
            "(has event.projectId & !has x)",
        ),
        ("\"a key\":\"a \\\"value\\\"\"", "a key=a \"value\""),
        ("a:\\*b*", "a=*b%"),
        ("a:\"\"", "a="),
        ("duration>500ms", "duration More Duration(500000000.0)"),
        (
            "span.duration:>=2.5s",
            "span.duration AtLeast Duration(2500000000.0)",
        ),
        ("n<5 n:<=6", "(n Less Number(5.0) & n AtMost Number(6.0))"),
        ("a = b", "a=b"),
        (
            "start>\"2026-01-31T09:30:00Z\"",
            "start More Text(\"2026-01-31T09:30:00Z\")",
        ),
        ("AND:b", "AND=b"),
    ] {
        assert_eq!(condition(text), said, "{text}");
    }
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_was_meant() {
    for (text, place, message, suggestion) in [
        ("", "", "expected `spans`", None),
        (
            "avrg(span.duration)",
            "avrg",
            "there is no `avrg`",
            Some("avg"),
        ),
        (
            "span where a:b",
            "span",
            "there is no `span`",
            Some("spans"),
        ),
        (
            "avg()",
            "avg()",
            "avg is of a field",
            Some("avg(span.duration)"),
        ),
        (
            "avg(span.duration",
            "",
            "expected `)`, and the question ends",
            None,
        ),
        (
            "count(spans) wher op:x",
            "wher",
            "not expected here",
            Some("where"),
        ),
        ("spans where", "", "expected a field", None),
        (
            "spans where op",
            "",
            "after `op`, and the question ends",
            None,
        ),
        ("spans where op:", "", "expected a value", None),
        (
            "spans where op:x oder by y",
            "oder",
            "not expected here",
            Some("order"),
        ),
        (
            "spans where op:x adn y:z",
            "adn",
            "not expected here",
            Some("and"),
        ),
        ("spans where (op:x", "", "expected `)`", None),
        ("spans where op:x)", ")", "not expected here", None),
        ("spans where a:[b", "", "expected `]`", None),
        ("spans where duration>", "", "expected a number", None),
        ("spans where a:\"b", "\"b", "does not end", None),
        ("spans limit 0", "0", "a number from 1", None),
        ("spans limit x", "x", "a number from 1", None),
        ("spans limit 5 limit 6", "limit", "a second time", None),
        (
            "spans by op",
            "by",
            "groups figures",
            Some("count(spans) … by …"),
        ),
        ("count() per minute", "minute", "a duration", Some("1m")),
        ("count() since 1e400d", "1e400d", "a duration", Some("1h")),
        (
            "count() since 99999999999999999w",
            "99999999999999999w",
            "a duration",
            Some("1h"),
        ),
        ("spans from yesterday", "yesterday", "a time", None),
        (
            "spans from 2026-02-01 to 2026-01-31",
            "2026-01-31",
            "ends before",
            None,
        ),
        ("spans order duration", "duration", "expected `by`", None),
        ("spans where a \u{1}", "\u{1}", "no meaning", None),
    ] {
        let mistake = parse(text).unwrap_err();
        assert_eq!(&text[mistake.at.clone()], place, "{text}: {mistake:?}");
        assert!(mistake.message.contains(message), "{text}: {mistake:?}");
        assert_eq!(
            mistake.suggestion.as_deref(),
            suggestion,
            "{text}: {mistake:?}"
        );
    }
}

#[test]
fn a_question_nested_a_thousand_deep_is_a_mistake() {
    for (open, close) in [("(", ")"), ("not ", ""), ("!", "")] {
        let text = format!(
            "spans where {}a:b{}",
            open.repeat(1_000),
            close.repeat(1_000)
        );
        let mistake = parse(&text).unwrap_err();
        assert!(mistake.message.contains("64 deep"), "{open}: {mistake:?}");
        let text = format!("spans where {}a:b{}", open.repeat(60), close.repeat(60));
        understood(&text);
    }
}

/// A mark of one byte is a token with its place, in a list that may be growing; conditions hold several texts each.
const TOKENS: Bound = Bound {
    base: 64 << 10,
    factor: 512,
};

#[test]
fn fuzz_questions() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/question");
    fuzz(&corpus, TOKENS, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        match parse(text) {
            Ok(query) => drop(query),
            // A place can be shown, whatever was typed.
            Err(mistake) => assert!(text.get(mistake.at.clone()).is_some(), "{mistake:?}"),
        }
    });
}
