//! From what a question says to a plan over the columns.

use std::ops::Range;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, Like, cast, lit};
use hopline_columns::schema::names;
use hopline_traces::questions::{Column, Mistake, QuestionError};
use hopline_wire::Timestamp;

use crate::fields::{self, Kind, Known, attribute, column};
use crate::gather::within;
use crate::language::{
    Amount, Comparison, Condition, Field, Order, OrderKey, Pattern, Query, Time, What, amount_of,
};
use crate::partials::Kept;
use crate::states::Unfit;
use crate::table::no_record;
use crate::tables::Tables;
use crate::words::Words;
use crate::{figures, listing};

/// How many groups of spans are answered where the question does not say.
const GROUPS: usize = 1_000;

/// How many nanoseconds are a second.
const SECOND: u64 = 1_000_000_000;

/// A planned question.
pub(crate) struct Planned {
    pub(crate) frame: DataFrame,
    pub(crate) columns: Vec<Column>,
    /// How many rows are answered; the plan may give one more.
    pub(crate) limit: usize,
}

impl From<DataFusionError> for PlanError {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<Mistake> for PlanError {
    fn from(mistake: Mistake) -> Self {
        Self::Question(mistake.into())
    }
}

/// Why a question could not be planned.
pub(crate) enum PlanError {
    Question(QuestionError),
    Engine(Box<DataFusionError>),
}

pub(crate) type Planning<T> = Result<T, PlanError>;

/// Plans a question over all spans. No answer has more than `most` rows. What is kept of an earlier time may be used, if anything.
pub(crate) async fn plan(
    tables: &Tables,
    query: &Query,
    kept: Option<&Kept>,
    now: Timestamp,
    most: usize,
) -> Planning<Planned> {
    let conditions = all_of(&conditions(query)?);
    match &query.what {
        What::Spans => {
            let conditions = match within(&time_of(query, now)) {
                Some(time) => time.and(conditions),
                None => conditions,
            };
            listing::plan(tables, conditions, query, most).await
        }
        What::Figures(figures) => {
            let time = time_of(query, now);
            let prepare = |words: &Words| {
                let limit = query.limit.unwrap_or(GROUPS).min(most);
                figures::prepare(query, figures, &conditions, time.clone(), words, limit)
            };
            if let Some(kept) = kept {
                let prepared = prepare(&kept.words)?;
                match prepared.aggregation.of_parts(tables, kept).await {
                    Ok(frame) => return prepared.plan_on(frame),
                    Err(Unfit::ForParts) => kept.give_up(),
                    Err(Unfit::Now) if kept.words.are_too_many() => kept.give_up(),
                    Err(Unfit::Now) => {}
                    Err(Unfit::Engine(error)) => return Err(error.into()),
                }
            }
            let prepared = prepare(&Words::default())?;
            let frame = prepared.aggregation.at_once(tables)?;
            prepared.plan_on(frame)
        }
    }
}

/// The time that is asked about, from and to, in nanoseconds since 1970.
///
/// A minute and more reach back to the full second: what was found out of whole seconds before can be used then.
fn time_of(query: &Query, now: Timestamp) -> Range<i64> {
    let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    match query.time {
        Time::All => i64::MIN..i64::MAX,
        Time::Since(since) => {
            let from = now.as_nanos().saturating_sub(since);
            let rest = if since >= 60 * SECOND {
                from % SECOND
            } else {
                0
            };
            nanos(from - rest)..i64::MAX
        }
        Time::Between(from, to) => nanos(from)..to.map_or(i64::MAX, nanos),
    }
}

pub(crate) fn mistake_of_order(order: &Order, why: &str) -> PlanError {
    let (at, name) = match &order.key {
        OrderKey::Field(field) => (field.at.clone(), &field.name),
        OrderKey::Figure(figure) => (
            figure.field.as_ref().map_or(0..0, |field| field.at.clone()),
            &figure.text,
        ),
    };
    let message = format!("nothing can be sorted by {name}: {why}");
    Mistake {
        message,
        at,
        expected: Vec::new(),
        suggestion: None,
    }
    .into()
}

fn all_of(conditions: &[Expr]) -> Expr {
    balanced(conditions.to_vec(), Expr::and).unwrap_or_else(|| lit(true))
}

/// What spans must be to be among those that are asked about, but for their time.
fn conditions(query: &Query) -> Planning<Vec<Expr>> {
    let mut conditions = Vec::new();
    let mut mentioned = Vec::new();
    if let Some(condition) = &query.condition {
        conditions.push(condition_of(condition, &mut mentioned)?);
    }
    mentioned.extend(query.by.iter().map(|field| field.name.as_str()));
    if let What::Figures(figures) = &query.what {
        let fields = figures.iter().filter_map(|figure| figure.field.as_ref());
        mentioned.extend(fields.map(|field| field.name.as_str()));
    }
    let orders = query.order.iter().filter_map(|order| match &order.key {
        OrderKey::Field(field) => Some(field.name.as_str()),
        OrderKey::Figure(figure) => figure.field.as_ref().map(|field| field.name.as_str()),
    });
    mentioned.extend(orders);
    // Errors and logs are no spans; whoever asks for them names them.
    if !mentioned
        .iter()
        .any(|name| ["hopline.record", names::RECORD].contains(name))
    {
        conditions.push(no_record());
    }
    if mentioned
        .iter()
        .any(|name| fields::is_of_transactions(name))
    {
        conditions.push(is_transaction());
    }
    Ok(conditions)
}

/// Whether a span is the first of its process's part of a trace.
fn is_transaction() -> Expr {
    let kinds = ["server", "consumer"].map(lit).to_vec();
    column(names::PARENT_ID)
        .is_null()
        .or(column(names::KIND).in_list(kinds, false))
        .or(attribute("sentry.is_segment").eq(lit("true")))
}

fn condition_of<'q>(condition: &'q Condition, mentioned: &mut Vec<&'q str>) -> Planning<Expr> {
    Ok(match condition {
        Condition::All(all) | Condition::Any(all) => {
            let join = match condition {
                Condition::All(_) => Expr::and,
                _ => Expr::or,
            };
            let all = all.iter().map(|one| condition_of(one, mentioned));
            balanced(all.collect::<Planning<_>>()?, join).unwrap_or_else(|| lit(true))
        }
        // What is not there is not what was asked for.
        Condition::Not(inner) => condition_of(inner, mentioned)?.is_not_true(),
        Condition::Has(field) => {
            mentioned.push(&field.name);
            fields::named(&field.name).value.is_not_null()
        }
        Condition::Is(field, patterns) => {
            mentioned.push(&field.name);
            is_one_of(field, patterns)?
        }
        Condition::Compare(field, comparison, amount) => {
            mentioned.push(&field.name);
            compare(field, *comparison, amount)?
        }
    })
}

/// Joins conditions two by two, so that many of them are not as many levels deep.
fn balanced(mut all: Vec<Expr>, join: fn(Expr, Expr) -> Expr) -> Option<Expr> {
    while all.len() > 1 {
        let mut pairs = all.into_iter();
        let mut joined = Vec::new();
        while let Some(first) = pairs.next() {
            joined.push(match pairs.next() {
                Some(second) => join(first, second),
                None => first,
            });
        }
        all = joined;
    }
    all.pop()
}

fn is_one_of(field: &Field, patterns: &[Pattern]) -> Planning<Expr> {
    let known = fields::named(&field.name);
    let any = patterns.iter().map(|pattern| is(field, &known, pattern));
    let any = balanced(any.collect::<Planning<_>>()?, Expr::or);
    Ok(any.unwrap_or_else(|| lit(false)))
}

fn is(field: &Field, known: &Known, pattern: &Pattern) -> Planning<Expr> {
    let value = known.value.clone();
    let text = match &pattern.pieces[..] {
        [text] => text,
        pieces => {
            let value = match known.kind {
                Kind::Text | Kind::Status | Kind::Attribute => value,
                _ => cast(value, DataType::Utf8),
            };
            // Their own stars are LIKE's percents, and its marks are letters like others.
            let escape = |piece: &String| {
                let escaped = piece.replace('\\', "\\\\").replace('%', "\\%");
                escaped.replace('_', "\\_")
            };
            let pieces: Vec<_> = pieces.iter().map(escape).collect();
            let like = Like::new(
                false,
                Box::new(value),
                Box::new(lit(pieces.join("%"))),
                Some('\\'),
                false,
            );
            return Ok(Expr::Like(like));
        }
    };
    Ok(match known.kind {
        Kind::Status if text == "ok" => value.clone().is_null().or(value.eq(lit("ok"))),
        Kind::Status if text == "unset" => value.is_null(),
        Kind::Text | Kind::Status | Kind::Attribute => value.eq(lit(text.as_str())),
        Kind::Number | Kind::Duration | Kind::Milliseconds | Kind::Time => {
            let amount = amount_of(text);
            value.eq(literal(field, known, &amount)?)
        }
    })
}

fn compare(field: &Field, comparison: Comparison, amount: &Amount) -> Planning<Expr> {
    let known = fields::named(&field.name);
    let other = literal(field, &known, amount)?;
    let value = match known.kind {
        Kind::Attribute => known.number().unwrap_or(known.value),
        _ => known.value,
    };
    Ok(match comparison {
        Comparison::More => value.gt(other),
        Comparison::AtLeast => value.gt_eq(other),
        Comparison::Less => value.lt(other),
        Comparison::AtMost => value.lt_eq(other),
    })
}

/// What a field is compared with, in its own unit.
fn literal(field: &Field, known: &Known, amount: &Amount) -> Planning<Expr> {
    let expected = |what: &str| -> PlanError {
        let message = format!("{} is compared with {what}", field.name);
        Mistake {
            message,
            at: field.at.clone(),
            expected: vec![what.into()],
            suggestion: None,
        }
        .into()
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "parts of a nanosecond do not matter"
    )]
    let nanos = |nanos: f64| lit(nanos.round() as i64);
    Ok(match (known.kind, amount) {
        (Kind::Duration, Amount::Duration(length)) => nanos(*length),
        // As in Sentry, milliseconds where nothing is said.
        (Kind::Duration, Amount::Number(number)) => nanos(number * 1e6),
        (Kind::Duration, Amount::Text(_)) => return Err(expected("a duration, such as 500ms")),
        (Kind::Milliseconds, Amount::Duration(length)) => lit(length / 1e6),
        (Kind::Number | Kind::Milliseconds | Kind::Attribute, Amount::Number(number)) => {
            lit(*number)
        }
        (Kind::Number | Kind::Milliseconds | Kind::Attribute, _) => {
            return Err(expected("a number"));
        }
        (Kind::Time, Amount::Text(text)) => {
            let at: Option<Timestamp> = text.parse().ok();
            let at = at.ok_or_else(|| expected("a time, such as \"2026-01-31T09:30:00Z\""))?;
            let at = at.as_nanos().cast_signed();
            Expr::Literal(
                ScalarValue::TimestampNanosecond(Some(at), Some("UTC".into())),
                None,
            )
        }
        (Kind::Time, _) => return Err(expected("a time, such as \"2026-01-31T09:30:00Z\"")),
        (Kind::Text | Kind::Status, _) => return Err(expected("a text, by `:`")),
    })
}
