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

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampNanosecondArray};
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit, TimestampNanosecondType,
};
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::{ExecutionPlan, collect};
use futures_util::{StreamExt, TryStreamExt, stream};
use hopline_columns::SegmentFile;
use hopline_columns::schema::names;

use crate::fields::{bin_of, column, instant};
use crate::partials::{Found, Kept, Piece};
use crate::tables::{Choosing, Tables};

/// How long a slot is, in nanoseconds: as questions reach back to a full second, these are cut by nobody who asks about the last
/// minutes.
const SLOT: i64 = 1_000_000_000;

/// The same of files whose spans are of so many seconds that there would be too many.
const LONG_SLOT: i64 = 60 * SLOT;

/// Beyond how many rows slots become long ones when files are merged.
const ROWS: usize = 8 << 10;

/// What the group of the slot is called.
const NAME_OF_SLOT: &str = "slot";

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

    /// The same, put together from what is known of each file, which is found out first where it is not kept. None if these parts
    /// are not worth it.
    pub(crate) async fn of_parts(&self, tables: &Tables, kept: &Kept) -> Result<Option<DataFrame>> {
        let context = tables.session().task_ctx();
        let in_log = self.frame(tables.in_log()?, within(&self.time), None)?;
        let Some(in_log) = plan_of_states(in_log).await? else {
            return Ok(None);
        };
        let shape = Shape::of(&in_log);
        if !shape.is_of(self) {
            return Ok(None);
        }
        kept.retain(tables.files());
        let Some(pieces) = self.pieces(tables, kept, &shape).await? else {
            return Ok(None);
        };
        let mut states = collect(Arc::new(in_log), Arc::clone(&context)).await?;
        for (at, piece) in pieces {
            let cut = self.cut(&piece);
            if let Some(cut) = cut {
                // Few of its rows are of that time, wherever in it they are.
                let spans = tables.file(at, Choosing::WhileReading)?;
                let spans = self.frame(spans, Some(cut), None)?;
                let Some(plan) = plan_of_states(spans).await? else {
                    return Ok(None);
                };
                states.extend(collect(Arc::new(plan), Arc::clone(&context)).await?);
            }
            states.push(whole_slots(&piece, &self.time)?);
        }
        let answer = shape
            .combined(AggregateMode::Final, states, context)
            .await?;
        tables.session().read_batch(self.named(&answer)?).map(Some)
    }

    /// What each file adds whose spans may be of that time.
    async fn pieces(
        &self,
        tables: &Tables,
        kept: &Kept,
        shape: &Shape,
    ) -> Result<Option<Vec<(usize, Piece)>>> {
        let context = tables.session().task_ctx();
        let files = tables.files().iter().enumerate();
        let asked = files.filter(|(_, file)| self.concerns(file));
        let mut pieces = Vec::new();
        let mut makings = Vec::new();
        for (at, file) in asked {
            match kept.find(file) {
                Found::Piece(piece) => pieces.push((at, piece)),
                Found::Parts(parts) => {
                    let piece = merged(file, parts, shape, Arc::clone(&context)).await?;
                    kept.keep(piece.clone());
                    pieces.push((at, piece));
                }
                Found::Nothing => makings.push((at, self.made(tables, at)?)),
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
            let Some(states) = states else {
                return Ok(None);
            };
            let mut piece = Piece::of(file, SLOT, states);
            if !piece.is_worth_keeping() {
                piece = merged(file, vec![piece], shape, Arc::clone(&context)).await?;
            }
            if !piece.is_worth_keeping() {
                return Ok(None);
            }
            kept.keep(piece.clone());
            pieces.push((at, piece));
        }
        Ok(Some(pieces))
    }

    /// Whether a file may have spans of the time that is asked about.
    fn concerns(&self, file: &SegmentFile) -> bool {
        file.starts
            .is_none_or(|(first, last)| first < self.time.end && self.time.start <= last)
    }

    fn made(&self, tables: &Tables, at: usize) -> Result<DataFrame> {
        self.frame(tables.file(at, self.choosing)?, None, Some(SLOT))
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

/// The part of a plan for aggregates that makes states; none if the engine makes these aggregates in another way.
async fn plan_of_states(frame: DataFrame) -> Result<Option<AggregateExec>> {
    let plan = frame.create_physical_plan().await?;
    let mut aggregates = Vec::new();
    aggregates_in(&*plan, &mut aggregates);
    let found = match aggregates[..] {
        [whole, part] if !makes_states(whole) && makes_states(part) => part,
        // On one thread it is done at once.
        [whole] if !makes_states(whole) => whole,
        _ => return Ok(None),
    };
    let input = Arc::clone(found.input());
    let input_schema = input.schema();
    AggregateExec::try_new(
        AggregateMode::Partial,
        found.group_expr().clone(),
        found.aggr_expr().to_vec(),
        found.filter_expr().to_vec(),
        input,
        input_schema,
    )
    .map(Some)
}

fn aggregates_in<'p>(plan: &'p dyn ExecutionPlan, found: &mut Vec<&'p AggregateExec>) {
    found.extend(plan.downcast_ref::<AggregateExec>());
    for below in plan.children() {
        aggregates_in(&**below, found);
    }
}

fn makes_states(aggregate: &AggregateExec) -> bool {
    *aggregate.mode() == AggregateMode::Partial
}

/// The states that a file's spans make, one for each slot and group.
async fn made(
    frame: DataFrame,
    shape: Shape,
    context: Arc<TaskContext>,
) -> Result<Option<RecordBatch>> {
    let Some(plan) = plan_of_states(frame).await? else {
        return Ok(None);
    };
    let states = collect(Arc::new(plan), Arc::clone(&context)).await?;
    let shape = shape.with_slot();
    shape
        .combined(AggregateMode::PartialReduce, states, context)
        .await
        .map(Some)
}

/// What a file adds that was merged from those that add these parts, or is the one that does: with longer slots where there would
/// be too many.
async fn merged(
    file: &SegmentFile,
    parts: Vec<Piece>,
    shape: &Shape,
    context: Arc<TaskContext>,
) -> Result<Piece> {
    let rows: usize = parts.iter().map(|part| part.states.num_rows()).sum();
    let longest = parts.iter().map(|part| part.slot).max().unwrap_or(SLOT);
    let slot = if rows > ROWS { LONG_SLOT } else { longest };
    let states = parts.into_iter().map(|part| match part.slot == slot {
        true => Ok(part.states),
        false => with_slots(&part.states, slot),
    });
    let states = states.collect::<Result<Vec<_>>>()?;
    let shape = shape.with_slot();
    let states = shape
        .combined(AggregateMode::PartialReduce, states, context)
        .await?;
    Ok(Piece::of(file, slot, states))
}

/// The slots of states, which are their first column.
fn slots_of(states: &RecordBatch) -> &TimestampNanosecondArray {
    states.column(0).as_primitive::<TimestampNanosecondType>()
}

/// The same states in longer slots, each in the one that its own lies in.
fn with_slots(states: &RecordBatch, slot: i64) -> Result<RecordBatch> {
    let slots = slots_of(states);
    let longer: TimestampNanosecondArray =
        slots.unary(|at| at.div_euclid(slot).saturating_mul(slot));
    let longer = longer.with_timezone_opt(slots.timezone());
    let mut columns: Vec<ArrayRef> = states.columns().to_vec();
    columns[0] = Arc::new(longer);
    Ok(RecordBatch::try_new(states.schema(), columns)?)
}

/// The states of the slots that lie within a time, without their slots.
fn whole_slots(piece: &Piece, time: &Range<i64>) -> Result<RecordBatch> {
    let slots = slots_of(&piece.states);
    let is_within = |at: i64| time.start <= at && at.saturating_add(piece.slot) <= time.end;
    let chosen: BooleanArray = slots
        .values()
        .iter()
        .map(|at| Some(is_within(*at)))
        .collect();
    let without: Vec<usize> = (1..piece.states.num_columns()).collect();
    let states = piece.states.project(&without)?;
    Ok(filter_record_batch(&states, &chosen)?)
}

/// What states consist of: groups, and for each aggregate some columns.
#[derive(Clone)]
struct Shape {
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    groups: usize,
    /// What the aggregates are of.
    input: SchemaRef,
    states: SchemaRef,
}

impl Shape {
    /// Of the states that this makes.
    fn of(plan: &AggregateExec) -> Self {
        let fields = plan
            .schema()
            .fields()
            .iter()
            .map(nullable)
            .collect::<Vec<_>>();
        Self {
            aggregates: plan.aggr_expr().to_vec(),
            groups: plan.group_expr().expr().len(),
            input: plan.input_schema(),
            states: Arc::new(Schema::new(fields)),
        }
    }

    /// Whether it has a column for each group and an aggregate for each part: what is asked for twice is made once.
    fn is_of(&self, aggregation: &Aggregation) -> bool {
        self.groups == aggregation.groups.len() && self.aggregates.len() == aggregation.parts.len()
    }

    /// The same with a slot before the groups.
    fn with_slot(&self) -> Self {
        let slot = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let slot = Arc::new(Field::new(NAME_OF_SLOT, slot, true));
        let fields = [slot]
            .into_iter()
            .chain(self.states.fields().iter().cloned());
        Self {
            groups: self.groups + 1,
            states: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            ..self.clone()
        }
    }

    /// States of the same groups put together: to states again, or to what they come to.
    async fn combined(
        &self,
        mode: AggregateMode,
        states: Vec<RecordBatch>,
        context: Arc<TaskContext>,
    ) -> Result<RecordBatch> {
        let states = states.into_iter().map(|states| {
            // Of some rows it is known that there is none without a value.
            RecordBatch::try_new(Arc::clone(&self.states), states.columns().to_vec())
        });
        let states = states.collect::<Result<Vec<_>, _>>()?;
        let states = MemorySourceConfig::try_new_exec(&[states], Arc::clone(&self.states), None)?;
        let names = self.states.fields().iter().take(self.groups).enumerate();
        let groups = names.map(|(at, field)| {
            let name = field.name().clone();
            (
                Arc::new(PhysicalColumn::new(&name, at)) as Arc<dyn PhysicalExpr>,
                name,
            )
        });
        let plan = AggregateExec::try_new(
            mode,
            PhysicalGroupBy::new_single(groups.collect()),
            self.aggregates.clone(),
            vec![None; self.aggregates.len()],
            states,
            Arc::clone(&self.input),
        )?;
        let schema = plan.schema();
        let combined = collect(Arc::new(plan), context).await?;
        Ok(concat_batches(&schema, &combined)?)
    }
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}
