//! What the fields of a question are among the columns.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::{Column, ScalarValue};
use datafusion::functions::core::expr_fn::{coalesce, get_field};
use datafusion::functions::datetime::expr_fn::date_bin;
use datafusion::logical_expr::{Expr, cast, try_cast};
use hopline_columns::schema::{
    DOUBLE_ATTRIBUTES, EVENT_KEYS, INT_ATTRIBUTES, TEXT_ATTRIBUTES, names,
};
use hopline_traces::questions::Unit;

/// A field.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Its value.
    pub(crate) value: Expr,
    pub(crate) kind: Kind,
}

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// `ok` also where nothing was said.
    Status,
    Number,
    /// Nanoseconds.
    Duration,
    /// Milliseconds.
    Milliseconds,
    Time,
    /// An attribute that is kept as text, whatever it was.
    Attribute,
}

impl Known {
    /// The value as a number; none if it can be none.
    pub(crate) fn number(&self) -> Option<Expr> {
        match self.kind {
            Kind::Number | Kind::Duration | Kind::Milliseconds | Kind::Attribute => {
                Some(try_cast(self.value.clone(), DataType::Float64))
            }
            Kind::Text | Kind::Status | Kind::Time => None,
        }
    }

    pub(crate) const fn unit(&self) -> Unit {
        match self.kind {
            Kind::Duration => Unit::Nanoseconds,
            Kind::Milliseconds => Unit::Milliseconds,
            Kind::Time => Unit::Time,
            Kind::Text | Kind::Status | Kind::Number | Kind::Attribute => Unit::Plain,
        }
    }
}

/// A column by its name, which may have dots and capitals in it.
pub(crate) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// A point in time, in nanoseconds since 1970.
pub(crate) fn instant(nanos: i64) -> Expr {
    Expr::Literal(
        ScalarValue::TimestampNanosecond(Some(nanos), Some("UTC".into())),
        None,
    )
}

/// The beginning of the stretch of so many nanoseconds that a span's start lies in, counted from 1970.
pub(crate) fn bin_of(nanos: i64) -> Expr {
    let width = IntervalMonthDayNano::new(0, 0, nanos);
    let width = Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(width)), None);
    date_bin(width, column(names::START), instant(0))
}

/// An attribute without a column of its own.
pub(crate) fn attribute(key: &str) -> Expr {
    get_field(column(names::ATTRIBUTES), key)
}

/// The field of this name: one that every span has, one of Sentry's spellings, a column, or an attribute.
pub(crate) fn named(name: &str) -> Known {
    let known = |name: &str, kind| Known {
        value: column(name),
        kind,
    };
    match name {
        "op" | "span.op" | "sentry.op" => return known(names::OP, Kind::Text),
        "name" | "span.name" | "span.description" | "description" => {
            return known(names::NAME, Kind::Text);
        }
        "status" | "span.status" => return known(names::STATUS, Kind::Status),
        "duration" | "span.duration" | "transaction.duration" => {
            return known(names::DURATION, Kind::Duration);
        }
        "start" | "timestamp" => return known(names::START, Kind::Time),
        "service" | "service.name" => return known(names::SERVICE, Kind::Text),
        "kind" | "span.kind" => return known(names::KIND, Kind::Text),
        "trace" | "trace_id" => return known(names::TRACE_ID, Kind::Text),
        "id" | "span_id" => return known(names::SPAN_ID, Kind::Text),
        "parent" | "parent_id" | "parent_span" => return known(names::PARENT_ID, Kind::Text),
        "status_message" => return known(names::STATUS_MESSAGE, Kind::Text),
        "weight" => return known(names::WEIGHT, Kind::Number),
        "event.seq" => return known(names::EVENT_SEQ, Kind::Number),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("transaction.") {
        return named(rest);
    }
    let own = |all: &[(&'static str, &'static str)]| {
        let found = all.iter().find(|(key, _)| *key == name);
        found.map(|(_, own)| *own)
    };
    // A value of another type than its column's is among the attributes.
    let number = |own: &str, kind| Known {
        value: coalesce(vec![
            cast(column(own), DataType::Float64),
            try_cast(attribute(name), DataType::Float64),
        ]),
        kind,
    };
    if name == names::RECORD {
        return known(names::RECORD, Kind::Text);
    }
    own(&EVENT_KEYS)
        .or_else(|| own(&TEXT_ATTRIBUTES))
        .map(|own| known(own, Kind::Text))
        .or_else(|| own(&INT_ATTRIBUTES).map(|own| number(own, Kind::Number)))
        .or_else(|| own(&DOUBLE_ATTRIBUTES).map(|own| number(own, Kind::Milliseconds)))
        .unwrap_or_else(|| Known {
            value: attribute(name),
            kind: Kind::Attribute,
        })
}

/// Whether a field is one of transactions: spans with which a process's part of a trace begins.
pub(crate) fn is_of_transactions(name: &str) -> bool {
    name.starts_with("transaction.")
}
