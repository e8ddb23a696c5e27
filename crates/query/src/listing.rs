//! Questions that spans themselves answer: the first few of many, in some order.
//!
//! What a span is told by takes eight columns, two of them of texts that no two spans share. Of ten million spans of which ten are
//! told, most of the time would go into making these. So what spans are sorted by is read first, and of which traces the first
//! ones are; then these traces alone are read in full.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, SortExpr, cast, lit};
use hopline_columns::schema::names;
use hopline_traces::questions::Column;

use crate::fields::{self, Kind, column};
use crate::language::{OrderKey, Query};
use crate::plan::{Planned, Planning, mistake_of_order};
use crate::tables::{Choosing, Tables};

/// How many spans are told where the question does not say.
const SPANS: usize = 100;

/// Up to how many spans their traces are looked for first.
const FEW: usize = 1_000;

/// What spans are told by.
const FIELDS: [&str; 8] = [
    "start", "duration", "name", "op", "service", "status", "trace_id", "span_id",
];

/// Plans a question for those of these spans that come first, at most `most`.
pub(crate) async fn plan(
    tables: &Tables,
    conditions: Expr,
    query: &Query,
    most: usize,
) -> Planning<Planned> {
    let limit = query.limit.unwrap_or(SPANS).min(most);
    let order = order(query)?;
    let few = tables.all(Choosing::WhileReading)?;
    let mut told = few.filter(conditions.clone())?;
    if limit <= FEW {
        let all = tables.all(Choosing::Afterwards)?.filter(conditions)?;
        let traces = traces_of_first(all, order.clone(), limit + 1).await?;
        let traces = traces.into_iter().map(lit).collect();
        told = told.filter(column(names::TRACE_ID).in_list(traces, false))?;
    }
    let mut sort = order;
    // So that equal ones come in the same order each time.
    sort.push(column(names::SPAN_ID).sort(true, false));
    let known = FIELDS.map(|name| (name, fields::named(name)));
    let columns = known.iter().map(|(name, known)| Column {
        name: (*name).into(),
        unit: known.unit(),
    });
    let columns = columns.collect();
    let values = known.map(|(name, known)| known.value.alias(name));
    let frame = told
        .sort(sort)?
        .limit(0, Some(limit + 1))?
        .select(values.to_vec())?;
    Ok(Planned {
        frame,
        columns,
        limit,
    })
}

/// By what they are sorted: as the question says, else the latest first.
fn order(query: &Query) -> Planning<Vec<SortExpr>> {
    let mut sort = Vec::new();
    for order in &query.order {
        match &order.key {
            OrderKey::Field(field) => {
                let known = fields::named(&field.name);
                let value = known.number().filter(|_| known.kind == Kind::Attribute);
                sort.push(value.unwrap_or(known.value).sort(!order.descending, false));
            }
            OrderKey::Figure(figure) => {
                let told = format!("spans have no {}", figure.text);
                return Err(mistake_of_order(order, &told));
            }
        }
    }
    if sort.is_empty() {
        sort.push(column(names::START).sort(false, false));
    }
    Ok(sort)
}

/// The ids of the traces of the first spans, each once. Of equal spans some are taken, always the same.
async fn traces_of_first(
    spans: DataFrame,
    mut order: Vec<SortExpr>,
    count: usize,
) -> Planning<Vec<String>> {
    let trace_id: Expr = column(names::TRACE_ID);
    order.extend([&trace_id, &column(names::START)].map(|key| key.clone().sort(true, false)));
    let first = spans
        .sort(order)?
        .limit(0, Some(count))?
        .select(vec![cast(trace_id, DataType::Utf8)])?;
    let mut traces = Vec::new();
    for batch in first.collect().await? {
        let ids = batch.column(0).as_string::<i32>();
        traces.extend(ids.iter().flatten().map(str::to_owned));
    }
    traces.sort_unstable();
    traces.dedup();
    Ok(traces)
}
