//! The query language: what a question says. `docs/queries.md` describes it to those who ask.
//!
//! ```text
//! what    := "spans" | function [, function]…
//! function:= count(…) | avg(field) | p95(field) | …
//! query   := what clause…
//! clause  := where condition | by field… | per duration | since duration | from time [to time] | order by key… | limit number
//! ```
//!
//! Reading ends in a [`Query`] or in a [`Mistake`](hopline_traces::questions::Mistake) with its place, never in a panic,
//! and takes memory in proportion to the text: conditions are nested [`MAX_DEPTH`] deep at most.

mod parse;
mod suggest;
mod token;
mod values;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use parse::parse;
pub(crate) use values::amount_of;

/// How deep conditions may be nested.
pub(crate) const MAX_DEPTH: usize = 64;

/// What a question says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) what: What,
    pub(crate) condition: Option<Condition>,
    pub(crate) by: Vec<Field>,
    /// The length of a bucket of time, in nanoseconds.
    pub(crate) per: Option<u64>,
    pub(crate) time: Time,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<usize>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// The spans themselves.
    Spans,
    /// Figures of them.
    Figures(Vec<Figure>),
}

/// A figure of many spans.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) function: Function,
    /// Of which field; none where spans are counted.
    pub(crate) field: Option<Field>,
    /// As it was written, which is what its column is called.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Function {
    Count,
    CountUnique,
    Min,
    Max,
    Sum,
    Avg,
    /// A share of spans, such as 0.95, is not above it.
    Percentile(f64),
    FailureRate,
}

/// A field of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) at: Range<usize>,
}

/// What a span must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// The field is one of these.
    Is(Field, Vec<Pattern>),
    Compare(Field, Comparison, Amount),
    Has(Field),
}

/// A text, in which `*` stands for any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The texts between the stars.
    pub(crate) pieces: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    More,
    AtLeast,
    Less,
    AtMost,
}

/// What is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Amount {
    /// A number without a unit.
    Number(f64),
    /// A length of time, in nanoseconds.
    Duration(f64),
    /// Anything else.
    Text(String),
}

/// Which time is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    All,
    /// So many nanoseconds before now, and since.
    Since(u64),
    /// Between these, in nanoseconds since 1970.
    Between(u64, Option<u64>),
}

/// What rows are sorted by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) key: OrderKey,
    pub(crate) descending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OrderKey {
    Field(Field),
    Figure(Figure),
}
