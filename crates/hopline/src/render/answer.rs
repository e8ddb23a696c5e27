//! Answers about stored spans: tables, sparklines of series, and mistakes under the question.

use std::collections::BTreeMap;

use hopline_traces::questions::{Answer, Mistake, Unit};
use hopline_wire::Timestamp;
use serde_json::Value;

use super::table::{Align, Cell, Table};
use super::{Style, duration, plain};

/// The bars of a sparkline, from the lowest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How many characters a sparkline has at most where the terminal does not say.
const SPARKLINE: usize = 80;

/// An answer as a table; series are drawn above it.
pub(crate) fn table(answer: &Answer, style: Style) -> String {
    if answer.rows.is_empty() {
        return "nothing matches\n".to_owned();
    }
    let mut out = sparklines(answer, style);
    let columns: Vec<_> = answer
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let is_number = |row: &Vec<Value>| {
                row.get(at)
                    .is_some_and(|value| value.is_number() || value.is_null())
            };
            let align = match answer.rows.iter().all(is_number) {
                true => Align::Right,
                false => Align::Left,
            };
            (plain(&column.name).into_owned(), align)
        })
        .collect();
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, align)| (name.as_str(), *align))
        .collect();
    let elastic = columns
        .iter()
        .position(|(name, _)| *name == "name")
        .unwrap_or(0);
    let mut table = Table::new(&columns, elastic);
    for row in &answer.rows {
        let cells = row.iter().zip(&answer.columns);
        table.row(
            cells
                .map(|(value, column)| cell(value, column.unit))
                .collect(),
        );
    }
    out.push_str(&table.render(style, 0));
    if answer.more {
        out.push_str(&style.dim("and more: `limit` says how many are shown"));
        out.push('\n');
    }
    out
}

fn cell(value: &Value, unit: Unit) -> Cell {
    match value {
        Value::Null => Cell::painted("-", Style::dim),
        Value::String(text) if text == "error" => Cell::painted("error", Style::bad),
        Value::String(text) => plain(text).into_owned().into(),
        other => shown(other, unit).into(),
    }
}

/// A number in its unit.
fn shown(value: &Value, unit: Unit) -> String {
    let Some(number) = value.as_f64() else {
        return value.to_string();
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a length of time, of which three digits are shown"
    )]
    let length = |nanos: f64| match nanos < 0.0 {
        true => format!("-{}", duration::nanos(-nanos as u64)),
        false => duration::nanos(nanos as u64),
    };
    match unit {
        Unit::Nanoseconds => length(number),
        Unit::Milliseconds => length(number * 1e6),
        Unit::Share => format!("{:.2} %", number * 100.0),
        Unit::Plain | Unit::Time | Unit::Bucket if number.fract() == 0.0 => format!("{number:.0}"),
        Unit::Plain | Unit::Time | Unit::Bucket => format!("{number:.3}"),
    }
}

/// A line for each series: the values of one figure of one group over time. Nothing if there are none.
fn sparklines(answer: &Answer, style: Style) -> String {
    let is_series = answer
        .columns
        .first()
        .is_some_and(|column| column.unit == Unit::Bucket);
    if !is_series {
        return String::new();
    }
    let times: Vec<_> = answer
        .rows
        .iter()
        .filter_map(|row| time(row.first()?))
        .collect();
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
        return String::new();
    };
    let sorted: std::collections::BTreeSet<_> = times.iter().copied().collect();
    let steps = sorted.iter().zip(sorted.iter().skip(1)).map(|(a, b)| b - a);
    let step = steps.min().unwrap_or(1).max(1);
    let most = style
        .width()
        .map_or(SPARKLINE, |width| width.saturating_sub(2).max(8)) as u64;
    let buckets = ((last - first) / step + 1).min(most);
    let begin = last - (buckets - 1) * step;
    let mut series: BTreeMap<(usize, String), Vec<Option<f64>>> = BTreeMap::new();
    for row in &answer.rows {
        let Some(at) = row.first().and_then(time).filter(|at| *at >= begin) else {
            continue;
        };
        let bucket = usize::try_from((at - begin) / step).unwrap_or(usize::MAX);
        let group: Vec<_> = row
            .iter()
            .skip(1)
            .filter_map(Value::as_str)
            .map(plain)
            .collect();
        for (figure, value) in row.iter().enumerate().skip(1) {
            if let Some(number) = value.as_f64() {
                let values = series.entry((figure, group.join(" "))).or_default();
                values.resize(usize::try_from(buckets).unwrap_or(0), None);
                if let Some(value) = values.get_mut(bucket) {
                    *value = Some(number);
                }
            }
        }
    }
    let mut out = String::new();
    for ((figure, group), values) in series {
        let Some(column) = answer.columns.get(figure) else {
            continue;
        };
        let there = || values.iter().flatten().copied();
        let least = there().fold(f64::INFINITY, f64::min);
        let greatest = there().fold(f64::NEG_INFINITY, f64::max);
        let title = format!("{} {group}", plain(&column.name));
        let unit = |value: f64| shown(&serde_json::json!(value), column.unit);
        let range = format!("{} … {}", unit(least), unit(greatest));
        out.push_str(&format!(
            "{}  {}\n",
            style.bold(title.trim_end()),
            style.dim(&range)
        ));
        out.extend(values.iter().map(|value| bar(*value, greatest)));
        out.push('\n');
    }
    out.push('\n');
    out
}

/// The bar of a value, from zero up to the greatest; a blank where there is none.
fn bar(value: Option<f64>, greatest: f64) -> char {
    let Some(value) = value else { return ' ' };
    let share = if greatest > 0.0 {
        (value / greatest).clamp(0.0, 1.0)
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 7"
    )]
    let at = (share * 7.0).round() as usize;
    BARS[at.min(7)]
}

fn time(value: &Value) -> Option<u64> {
    let at: Timestamp = value.as_str()?.parse().ok()?;
    Some(at.as_nanos())
}

/// A mistake, with the line of the question that it is in and a mark under its place.
pub(crate) fn mistake(question: &str, mistake: &Mistake) -> String {
    let start = floor(question, mistake.at.start);
    let line_start = question[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = question[start..]
        .find('\n')
        .map_or(question.len(), |at| start + at);
    let end = floor(question, mistake.at.end).clamp(start, line_end.max(start));
    let line = plain(&question[line_start..line_end]);
    let before = question[line_start..start].chars().count();
    let marks = question[start..end].chars().count().max(1);
    let mut told = format!(
        "{}\n  {line}\n  {}{}",
        mistake.message,
        " ".repeat(before),
        "^".repeat(marks)
    );
    if let Some(suggestion) = &mistake.suggestion {
        told.push_str(&format!("\ndid you mean `{suggestion}`?"));
    }
    told
}

/// The place itself, or the beginning of the character that it is within.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use hopline_traces::questions::Column;
    use serde_json::json;

    use super::*;

    fn answer(columns: &[(&str, Unit)], rows: &[&[Value]]) -> Answer {
        let columns = columns.iter();
        Answer {
            columns: columns
                .map(|(name, unit)| Column {
                    name: (*name).into(),
                    unit: *unit,
                })
                .collect(),
            rows: rows.iter().map(|row| row.to_vec()).collect(),
            more: false,
        }
    }

    #[test]
    fn figures_are_shown_in_their_units() {
        let answer = answer(
            &[
                ("op", Unit::Plain),
                ("avg(duration)", Unit::Nanoseconds),
                ("failure_rate()", Unit::Share),
                ("count()", Unit::Plain),
            ],
            &[
                &[json!("db.query"), json!(12_340_000), json!(0.125), json!(7)],
                &[json!(null), json!(null), json!(0), json!(1.25)],
            ],
        );
        let shown = table(&answer, Style::plain());
        let expected = "op        avg(duration)  failure_rate()  count()\n\
                        db.query        12.3 ms         12.50 %        7\n\
                        -                     -          0.00 %    1.250\n";
        assert_eq!(shown, expected);
        assert_eq!(
            table(&Answer::default(), Style::plain()),
            "nothing matches\n"
        );
    }

    #[test]
    fn a_series_is_drawn_with_its_gaps() {
        let answer = answer(
            &[
                ("time", Unit::Bucket),
                ("op", Unit::Plain),
                ("count()", Unit::Plain),
            ],
            &[
                &[json!("2026-01-31T09:30:00.000Z"), json!("a"), json!(1)],
                &[json!("2026-01-31T09:31:00.000Z"), json!("a"), json!(8)],
                &[json!("2026-01-31T09:31:00.000Z"), json!("b"), json!(4)],
                &[json!("2026-01-31T09:33:00.000Z"), json!("a"), json!(4)],
            ],
        );
        let shown = table(&answer, Style::plain());
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(
            lines[..4],
            ["count() a  1 … 8", "▂█ ▅", "count() b  4 … 4", " █  "]
        );
    }

    #[test]
    fn a_mistake_is_marked_in_its_line() {
        let at = |question: &str, at: std::ops::Range<usize>| {
            let mistake_at = Mistake {
                message: "no".into(),
                at,
                expected: Vec::new(),
                suggestion: Some("yes".into()),
            };
            mistake(question, &mistake_at)
        };
        assert_eq!(
            at("spans wher x", 6..10),
            "no\n  spans wher x\n        ^^^^\ndid you mean `yes`?"
        );
        assert_eq!(at("é\nü x", 6..7), "no\n  ü x\n    ^\ndid you mean `yes`?");
        assert_eq!(at("x", 1..1), "no\n  x\n   ^\ndid you mean `yes`?");
        assert_eq!(at("é", 1..900), "no\n  é\n  ^\ndid you mean `yes`?");
    }
}
