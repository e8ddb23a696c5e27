//! From what a question says to a plan over the columns.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::functions::datetime::expr_fn::date_bin;
use datafusion::functions_aggregate::expr_fn::{
    approx_percentile_cont, count_distinct, max, min, sum,
};
use datafusion::logical_expr::{Expr, Like, cast, lit, when};
use hopline_columns::schema::names;
use hopline_traces::questions::{Column, Mistake, QuestionError, Unit};
use hopline_wire::Timestamp;

use crate::fields::{self, Kind, Known, attribute, column};
use crate::language::{
    Amount, Comparison, Condition, Field, Figure, Function, Order, OrderKey, Pattern, Query, Time,
    What, amount_of,
};
use crate::listing;
use crate::table::no_record;
use crate::words::Words;

/// How many groups of spans are answered where the question does not say.
const GROUPS: usize = 1_000;

/// What the time of a series is called.
const TIME: &str = "time";

/// The table of spans, for those who read it in either way.
pub(crate) struct Tables {
    /// Whole columns are made, and rows chosen afterwards: cheaper where few columns are needed, each cheap to make.
    pub(crate) all: DataFrame,
    /// Of each column only the rows are made that the conditions let through so far.
    pub(crate) few: DataFrame,
}

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

/// Plans a question over all spans. No answer has more than `most` rows.
pub(crate) async fn plan(
    spans: Tables,
    query: &Query,
    now: Timestamp,
    most: usize,
) -> Planning<Planned> {
    let conditions = all_of(&conditions(query, now)?);
    match &query.what {
        What::Spans => {
            let spans = Tables {
                all: spans.all.filter(conditions.clone())?,
                few: spans.few.filter(conditions)?,
            };
            listing::plan(spans, query, most).await
        }
        What::Figures(figures) => plan_figures(spans, conditions, query, figures, most),
    }
}

/// Whether a value is made of attributes: a map for each row, which costs more than all other columns together.
fn is_of_attributes(value: &Expr) -> bool {
    let columns = value.column_refs();
    columns
        .iter()
        .any(|column| column.name == names::ATTRIBUTES)
}

fn plan_figures(
    spans: Tables,
    conditions: Expr,
    query: &Query,
    figures: &[Figure],
    most: usize,
) -> Planning<Planned> {
    let limit = query.limit.unwrap_or(GROUPS).min(most);
    let mut columns = Vec::new();
    let mut groups = Vec::new();
    if let Some(per) = query.per {
        let width = IntervalMonthDayNano::new(0, 0, i64::try_from(per).unwrap_or(i64::MAX));
        let width = Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(width)), None);
        groups.push(date_bin(width, column(names::START), instant(0)).alias(TIME));
        columns.push(Column {
            name: TIME.into(),
            unit: Unit::Bucket,
        });
    }
    let words = Words::default();
    // By what the numbers of words become words again.
    let mut words_of = HashMap::new();
    for (number, field) in query.by.iter().enumerate() {
        let known = fields::named(&field.name);
        let name = format!("by{number}");
        let value = match words.numbers_of(&known.value) {
            Some((numbers, word_of)) => {
                words_of.insert(name.clone(), word_of);
                numbers
            }
            None => known.value.clone(),
        };
        groups.push(value.alias(name));
        columns.push(Column {
            name: field.name.clone(),
            unit: known.unit(),
        });
    }
    let mut aggregates = Vec::new();
    for (number, figure) in figures.iter().enumerate() {
        let (value, unit) = figure_of(figure)?;
        // What aggregates are combined to is computed behind them.
        aggregates.push((value, format!("figure{number}")));
        columns.push(Column {
            name: figure.text.clone(),
            unit,
        });
    }
    let parts: Vec<_> = aggregates
        .iter()
        .flat_map(|(value, name)| {
            let parts = value.parts.iter().enumerate();
            parts.map(move |(at, part)| part.clone().alias(format!("{name}.{at}")))
        })
        .collect();
    let by_attributes = groups.iter().chain(&parts).any(is_of_attributes);
    let spans = match by_attributes || is_of_attributes(&conditions) {
        true => spans.few.filter(conditions)?,
        false => spans.all.filter(conditions)?,
    };
    let names_of_groups = groups.iter().map(|group| group.schema_name().to_string());
    let selected = names_of_groups.map(|name| match words_of.get(&name) {
        Some(word_of) => word_of.call(vec![column(&name)]).alias(name),
        None => column(&name),
    });
    let mut selected: Vec<Expr> = selected.collect();
    selected.extend(aggregates.iter().map(|(value, name)| {
        let parts = (0..value.parts.len()).map(|at| column(&format!("{name}.{at}")));
        (value.whole)(parts.collect()).alias(name)
    }));
    let mut frame = spans.aggregate(groups, parts)?.select(selected)?;
    let sort = order_of_groups(query, figures)?;
    if !sort.is_empty() {
        frame = frame.sort(sort)?;
    }
    let frame = frame.limit(0, Some(limit + 1))?;
    Ok(Planned {
        frame,
        columns,
        limit,
    })
}

/// By what groups are sorted: as the question says, else series by time and groups by their first figure.
fn order_of_groups(
    query: &Query,
    figures: &[Figure],
) -> Planning<Vec<datafusion::logical_expr::SortExpr>> {
    let mut sort = Vec::new();
    let mut by_time = false;
    for order in &query.order {
        let found = match &order.key {
            OrderKey::Field(field) if field.name == TIME && query.per.is_some() => {
                by_time = true;
                Some(TIME.to_owned())
            }
            OrderKey::Field(field) => {
                let at = query.by.iter().position(|by| by.name == field.name);
                at.map(|at| format!("by{at}"))
            }
            OrderKey::Figure(figure) => {
                let same = |other: &Figure| {
                    let name =
                        |figure: &Figure| figure.field.as_ref().map(|field| field.name.clone());
                    other.function == figure.function && name(other) == name(figure)
                };
                figures
                    .iter()
                    .position(same)
                    .map(|at| format!("figure{at}"))
            }
        };
        let name = found.ok_or_else(|| {
            mistake_of_order(
                order,
                "it is none of the figures asked for, and none of the fields that these are by",
            )
        })?;
        sort.push(column(&name).sort(!order.descending, false));
    }
    if query.order.is_empty() && query.per.is_none() && !query.by.is_empty() {
        sort.push(column("figure0").sort(false, false));
    }
    if query.per.is_some() && !by_time {
        sort.push(column(TIME).sort(true, false));
    }
    // So that equal ones come in the same order each time.
    sort.extend((0..query.by.len()).map(|at| column(&format!("by{at}")).sort(true, false)));
    Ok(sort)
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

/// A figure: aggregates, and what is computed of them.
struct Aggregate {
    parts: Vec<Expr>,
    whole: fn(Vec<Expr>) -> Expr,
}

fn figure_of(figure: &Figure) -> Planning<(Aggregate, Unit)> {
    let weight = || column(names::WEIGHT);
    let one = |part| Aggregate {
        parts: vec![part],
        whole: |mut parts| parts.remove(0),
    };
    let share = |part, of| Aggregate {
        parts: vec![part, of],
        whole: |mut parts| {
            let of = parts.remove(1);
            parts.remove(0) / of
        },
    };
    let known = figure
        .field
        .as_ref()
        .map(|field| fields::named(&field.name));
    let known_or_none = || known.clone().ok_or_else(|| missing_field(figure));
    let number = || -> Planning<(Expr, Unit)> {
        let known = known_or_none()?;
        let number = known.number().ok_or_else(|| no_number(figure))?;
        Ok((number, known.unit()))
    };
    let if_there = |value: &Expr, then: Expr| when(value.clone().is_not_null(), then).end();
    Ok(match figure.function {
        Function::Count => {
            let counted = match &known {
                Some(known) => if_there(&known.value, weight())?,
                None => weight(),
            };
            let zero_if_none = |mut parts: Vec<Expr>| {
                datafusion::functions::core::expr_fn::coalesce(vec![parts.remove(0), lit(0.0)])
            };
            (
                Aggregate {
                    parts: vec![sum(counted)],
                    whole: zero_if_none,
                },
                Unit::Plain,
            )
        }
        Function::CountUnique => (one(count_distinct(known_or_none()?.value)), Unit::Plain),
        Function::Min | Function::Max => {
            let known = known_or_none()?;
            let value = known.number().unwrap_or_else(|| known.value.clone());
            let value = if figure.function == Function::Min {
                min(value)
            } else {
                max(value)
            };
            (one(value), known.unit())
        }
        Function::Sum => {
            let (number, unit) = number()?;
            (one(sum(number * weight())), unit)
        }
        Function::Avg => {
            let (number, unit) = number()?;
            let weights = if_there(&number, weight())?;
            (share(sum(number * weight()), sum(weights)), unit)
        }
        Function::Percentile(share_below) => {
            let (number, unit) = number()?;
            let sorted = number.sort(true, false);
            (
                one(approx_percentile_cont(sorted, lit(share_below), None)),
                unit,
            )
        }
        Function::FailureRate => {
            let failed =
                when(column(names::STATUS).eq(lit("error")), weight()).otherwise(lit(0.0))?;
            (share(sum(failed), sum(weight())), Unit::Share)
        }
    })
}

fn missing_field(figure: &Figure) -> PlanError {
    let message = format!("{} is of a field", figure.text);
    Mistake {
        message,
        at: 0..0,
        expected: Vec::new(),
        suggestion: None,
    }
    .into()
}

fn no_number(figure: &Figure) -> PlanError {
    let (name, at) = figure
        .field
        .as_ref()
        .map_or(("", 0..0), |field| (&*field.name, field.at.clone()));
    let message = format!("{name} is no number: expected one, such as span.duration");
    Mistake {
        message,
        at,
        expected: vec!["a number".into()],
        suggestion: Some("span.duration".into()),
    }
    .into()
}

fn all_of(conditions: &[Expr]) -> Expr {
    balanced(conditions.to_vec(), Expr::and).unwrap_or_else(|| lit(true))
}

/// What spans must be to be among those that are asked about.
fn conditions(query: &Query, now: Timestamp) -> Planning<Vec<Expr>> {
    let mut conditions = Vec::new();
    match query.time {
        Time::All => {}
        Time::Since(nanos) => {
            let from = now.as_nanos().saturating_sub(nanos);
            conditions.push(column(names::START).gt_eq(instant(from)));
        }
        Time::Between(from, to) => {
            conditions.push(column(names::START).gt_eq(instant(from)));
            conditions.extend(to.map(|to| column(names::START).lt(instant(to))));
        }
    }
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

/// A point in time, in nanoseconds since 1970.
fn instant(nanos: u64) -> Expr {
    let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
    Expr::Literal(
        ScalarValue::TimestampNanosecond(Some(nanos), Some("UTC".into())),
        None,
    )
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
