//! What the words of a question are worth: patterns, numbers, lengths of time, points in time.

use hopline_wire::Timestamp;

use super::{Amount, Pattern};

/// A text with stars. A star behind a backslash is one itself.
pub(super) fn pattern_of(text: &str) -> Pattern {
    let mut pieces = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, pieces.last_mut()) {
            ('*', _) => pieces.push(String::new()),
            ('\\', Some(piece)) if letters.peek() == Some(&'*') => {
                piece.extend(letters.next());
            }
            (letter, Some(piece)) => piece.push(letter),
            (_, None) => {}
        }
    }
    Pattern { pieces }
}

/// What a text is to be compared with as.
pub(crate) fn amount_of(text: &str) -> Amount {
    match (text.parse::<f64>(), duration(text)) {
        (Ok(number), _) if number.is_finite() => Amount::Number(number),
        (_, Some(nanos)) => Amount::Duration(nanos),
        _ => Amount::Text(text.to_owned()),
    }
}

/// A duration in nanoseconds: a number and its unit.
pub(super) fn duration(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit);
    let nanos = match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3_600e9,
        "d" => 86_400e9,
        "w" => 604_800e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * nanos)
}

/// A point in time: a date, with a time of day or without; without a zone it is UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let text = text.to_ascii_uppercase();
    let of_day = text.split_once('T').map(|(_, of_day)| of_day);
    let whole = match of_day {
        None => format!("{text}T00:00:00Z"),
        Some(of_day) => {
            let zone = of_day.find(['Z', '+', '-']).unwrap_or(of_day.len());
            let seconds = if of_day[..zone].matches(':').count() < 2 {
                ":00"
            } else {
                ""
            };
            let (before, zone) = text.split_at(text.len() - (of_day.len() - zone));
            let zone = if zone.is_empty() { "Z" } else { zone };
            format!("{before}{seconds}{zone}")
        }
    };
    whole.parse().ok()
}
