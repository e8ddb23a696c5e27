//! Aggregates over spans: at once, or put together from what each file adds.
//!
//! The parts are those in which the engine itself works on several threads: what one thread makes of its rows is the *state* of
//! each aggregate for each group, and states are put together in the end. Here the states of a file's spans are kept
//! ([`crate::partials`]), with the slot of time as one more group:
//!
//! - a slot that lies within the time that is asked about counts whole;
//! - of a slot that is cut, the spans themselves are read, and these alone;
//! - so are those that only the log has.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::aggregates::AggregateMode;
use datafusion::physical_plan::collect;
use futures_util::{StreamExt, TryStreamExt, stream};
use hopline_columns::SegmentFile;
use hopline_columns::schema::names;

use crate::fields::{bin_of, column, instant};
use crate::partials::{Found, Kept, Piece};
use crate::states::{
    Fitting, NAME_OF_SLOT, SLOT, Shape, Unfit, made, merged, plan_of_states, slots_of, whole_slots,
};
use crate::tables::{Choosing, Tables};

/// Aggregates of groups of spans.
pub(crate) struct Aggregation {
    pub(crate) groups: Vec<Expr>,
    pub(crate) parts: Vec<Expr>,
    /// What spans must be, but for their time.
    pub(crate) conditions: Expr,
    /// Between which starts spans must be, in nanoseconds since 1970.
    pub(crate) time: Range<i64>,
    pub(crate) choosing: Choosing,
}

impl Aggregation {
    /// The groups, of all spans at once.
    pub(crate) fn at_once(&self, tables: &Tables) -> Result<DataFrame> {
        self.frame(tables.all(self.choosing)?, within(&self.time), None)
    }

    /// The same, put together from what is kept of each file, which is found out first where it is not known.
    pub(crate) async fn of_parts(&self, tables: &Tables, kept: &Kept) -> Fitting<DataFrame> {
        let context = tables.session().task_ctx();
        let in_log = self.frame(tables.in_log()?, within(&self.time), None)?;
        let in_log = plan_of_states(in_log).await?;
        let shape = Shape::of(&in_log);
        if !shape.is_of(self) {
            return Err(Unfit::ForParts);
        }
        kept.retain(tables.files());
        let pieces = self.pieces(tables, kept, &shape).await?;
        let mut states = collect(Arc::new(in_log), Arc::clone(&context)).await?;
        for (at, piece) in pieces {
            if let Some(cut) = self.cut(&piece) {
                // Few of its rows are of that time, wherever in it they are.
                let spans = tables.file(at, Choosing::WhileReading)?;
                let spans = self.frame(spans, Some(cut), None)?;
                let plan = plan_of_states(spans).await?;
                states.extend(collect(Arc::new(plan), Arc::clone(&context)).await?);
            }
            states.push(whole_slots(&piece, &self.time)?);
        }
        let answer = shape.combined(AggregateMode::Final, states, context);
        let answer = self.named(&answer.await?)?;
        Ok(tables.session().read_batch(answer)?)
    }

    /// What each file adds whose spans may be of that time.
    async fn pieces(
        &self,
        tables: &Tables,
        kept: &Kept,
        shape: &Shape,
    ) -> Fitting<Vec<(usize, Piece)>> {
        let context = tables.session().task_ctx();
        let mut pieces = Vec::new();
        let mut makings = Vec::new();
        for (at, file) in tables.files().iter().enumerate() {
            match kept.find(file) {
                _ if !self.concerns(file) => {}
                Found::Piece(piece) => pieces.push((at, piece)),
                Found::Parts(parts) => {
                    let piece = merged(file, parts, shape, Arc::clone(&context)).await?;
                    kept.keep(piece.clone())?;
                    pieces.push((at, piece));
                }
                Found::Nothing => {
                    let spans = tables.file(at, self.choosing)?;
                    makings.push((at, self.frame(spans, None, Some(SLOT))?));
                }
            }
        }
        let threads = tables.session().copied_config().target_partitions();
        let made = makings.into_iter().map(|(at, frame)| {
            let (shape, context) = (shape.clone(), Arc::clone(&context));
            async move {
                let states = SpawnedTask::spawn(made(frame, shape, context)).join_unwind();
                let states = states
                    .await
                    .map_err(|error| DataFusionError::External(error.into()))?;
                states.map(|states| (at, states))
            }
        });
        let mut made = stream::iter(made).buffered(threads);
        while let Some((at, states)) = made.try_next().await? {
            let file = &tables.files()[at];
            let mut piece = Piece::of(file, SLOT, states);
            if !piece.is_worth_keeping() {
                piece = merged(file, vec![piece], shape, Arc::clone(&context)).await?;
            }
            kept.keep(piece.clone())?;
            pieces.push((at, piece));
        }
        Ok(pieces)
    }

    /// Whether a file may have spans of the time that is asked about.
    fn concerns(&self, file: &SegmentFile) -> bool {
        file.starts
            .is_none_or(|(first, last)| first < self.time.end && self.time.start <= last)
    }

    /// The groups of some spans, and within each those of a slot, if slots are asked for.
    fn frame(&self, spans: DataFrame, time: Option<Expr>, slot: Option<i64>) -> Result<DataFrame> {
        let conditions = time.into_iter().chain([self.conditions.clone()]);
        let spans = match conditions.reduce(Expr::and) {
            Some(conditions) => spans.filter(conditions)?,
            None => spans,
        };
        let slot = slot.map(|slot| bin_of(slot).alias(NAME_OF_SLOT));
        let groups = slot.into_iter().chain(self.groups.iter().cloned());
        spans.aggregate(groups.collect(), self.parts.clone())
    }

    /// Which of a file's spans are of the time that is asked about and in slots that it cuts.
    fn cut(&self, piece: &Piece) -> Option<Expr> {
        let slots = slots_of(&piece.states);
        let Range { start, end } = self.time;
        let cuts = |at: i64| {
            let slot = at.div_euclid(piece.slot).saturating_mul(piece.slot);
            let is_cut = slot < at && slots.values().contains(&slot);
            is_cut.then_some(slot)
        };
        let first = cuts(start).map(|slot| start..slot.saturating_add(piece.slot).min(end));
        let last = cuts(end).map(|slot| slot.max(start)..end);
        let last = last.filter(|last| first.as_ref() != Some(last));
        let both = first.into_iter().chain(last);
        both.filter_map(|time| within(&time)).reduce(Expr::or)
    }

    /// The answer under the names that the groups and the parts have.
    fn named(&self, answer: &RecordBatch) -> Result<RecordBatch> {
        let exprs = self.groups.iter().chain(&self.parts);
        let fields = exprs
            .zip(answer.schema_ref().fields())
            .map(|(expr, field)| {
                Field::new(
                    expr.schema_name().to_string(),
                    field.data_type().clone(),
                    true,
                )
            });
        let schema = Schema::new(fields.collect::<Vec<_>>());
        Ok(RecordBatch::try_new(
            Arc::new(schema),
            answer.columns().to_vec(),
        )?)
    }
}

/// The condition that a span's start lies between these; none if any does.
pub(crate) fn within(time: &Range<i64>) -> Option<Expr> {
    let from = (time.start > i64::MIN).then(|| column(names::START).gt_eq(instant(time.start)));
    let to = (time.end < i64::MAX).then(|| column(names::START).lt(instant(time.end)));
    from.into_iter().chain(to).reduce(Expr::and)
}
