//! Questions for figures of groups of spans: counts, sums, percentiles.

use std::collections::HashMap;
use std::ops::Range;

use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::{
    approx_percentile_cont, count_distinct, max, min, sum,
};
use datafusion::logical_expr::{Expr, SortExpr, lit, when};
use hopline_columns::schema::names;
use hopline_traces::questions::{Column, Mistake, Unit};

use crate::fields::{self, bin_of, column};
use crate::gather::Aggregation;
use crate::language::{Figure, Function, OrderKey, Query};
use crate::plan::{PlanError, Planned, Planning, mistake_of_order};
use crate::tables::Choosing;
use crate::words::Words;

/// What the time of a series is called.
const TIME: &str = "time";

/// Whether a value is made of attributes: a map for each row, which costs more than all other columns together.
fn is_of_attributes(value: &Expr) -> bool {
    let columns = value.column_refs();
    columns
        .iter()
        .any(|column| column.name == names::ATTRIBUTES)
}

/// A question for figures, but for where its groups come from.
pub(crate) struct Prepared {
    pub(crate) aggregation: Aggregation,
    /// What is told of each group.
    selected: Vec<Expr>,
    sort: Vec<SortExpr>,
    columns: Vec<Column>,
    limit: usize,
}

/// Prepares a question for figures of spans that meet these conditions, at most so many of them. The groups have words by these
/// numbers.
pub(crate) fn prepare(
    query: &Query,
    figures: &[Figure],
    conditions: &Expr,
    time: Range<i64>,
    words: &Words,
    limit: usize,
) -> Planning<Prepared> {
    let mut columns = Vec::new();
    let mut groups = Vec::new();
    if let Some(per) = query.per {
        groups.push(bin_of(i64::try_from(per).unwrap_or(i64::MAX)).alias(TIME));
        columns.push(Column {
            name: TIME.into(),
            unit: Unit::Bucket,
        });
    }
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
    let choosing = match by_attributes || is_of_attributes(conditions) {
        true => Choosing::WhileReading,
        false => Choosing::Afterwards,
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
    Ok(Prepared {
        aggregation: Aggregation {
            groups,
            parts,
            conditions: conditions.clone(),
            time,
            choosing,
        },
        selected,
        sort: order_of_groups(query, figures)?,
        columns,
        limit,
    })
}

impl Prepared {
    /// The whole plan, on the groups that the aggregation gives.
    pub(crate) fn plan_on(self, groups: DataFrame) -> Planning<Planned> {
        let mut frame = groups.select(self.selected)?;
        if !self.sort.is_empty() {
            frame = frame.sort(self.sort)?;
        }
        Ok(Planned {
            frame: frame.limit(0, Some(self.limit + 1))?,
            columns: self.columns,
            limit: self.limit,
        })
    }
}

/// By what groups are sorted: as the question says, else series by time and groups by their first figure.
fn order_of_groups(query: &Query, figures: &[Figure]) -> Planning<Vec<SortExpr>> {
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
