//! The states of aggregates: what one thread makes of its rows for each group, to be put together with those of others.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampNanosecondArray};
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit, TimestampNanosecondType,
};
use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::{ExecutionPlan, collect, execute_stream};
use futures_util::TryStreamExt;
use hopline_columns::SegmentFile;

use crate::gather::Aggregation;
use crate::partials::Piece;

/// How long a slot is, in nanoseconds: as questions reach back to a full second, these are cut by nobody who asks about the last
/// minutes.
pub(crate) const SLOT: i64 = 1_000_000_000;

/// The same of files whose spans are of so many seconds that there would be too many.
const LONG_SLOT: i64 = 60 * SLOT;

/// Beyond how many rows slots become long ones when files are merged.
const ROWS: usize = 8 << 10;

/// What the group of the slot is called.
pub(crate) const NAME_OF_SLOT: &str = "slot";

/// How many bytes what is made of a file may take before slots and groups of several threads are put together.
const BYTES: usize = 8 << 20;

/// Why aggregates were not put together from parts.
pub(crate) enum Unfit {
    /// The engine makes them in another way, or the parts take more than they are worth.
    ForParts,
    /// There is no memory for it at this moment.
    Now,
    Engine(DataFusionError),
}

impl From<DataFusionError> for Unfit {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Now,
            _ => Self::Engine(error),
        }
    }
}

pub(crate) type Fitting<T> = std::result::Result<T, Unfit>;

/// The part of a plan for aggregates that makes states.
pub(crate) async fn plan_of_states(frame: DataFrame) -> Fitting<AggregateExec> {
    let plan = frame.create_physical_plan().await?;
    let mut aggregates = Vec::new();
    aggregates_in(&*plan, &mut aggregates);
    let found = match aggregates[..] {
        [whole, part] if !makes_states(whole) && makes_states(part) => part,
        // On one thread it is done at once.
        [whole] if !makes_states(whole) => whole,
        _ => return Err(Unfit::ForParts),
    };
    let input = Arc::clone(found.input());
    let input_schema = input.schema();
    let plan = AggregateExec::try_new(
        AggregateMode::Partial,
        found.group_expr().clone(),
        found.aggr_expr().to_vec(),
        found.filter_expr().to_vec(),
        input,
        input_schema,
    );
    Ok(plan?)
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
pub(crate) async fn made(
    frame: DataFrame,
    shape: Shape,
    context: Arc<TaskContext>,
) -> Fitting<RecordBatch> {
    let plan = plan_of_states(frame).await?;
    let mut stream = execute_stream(Arc::new(plan), Arc::clone(&context))?;
    let mut states = Vec::new();
    let mut bytes = 0;
    // Where each span is a group of its own, they come as many as they are.
    while let Some(some) = stream.try_next().await? {
        bytes += some.get_array_memory_size();
        if bytes > BYTES {
            return Err(Unfit::ForParts);
        }
        states.push(some);
    }
    let shape = shape.with_slot();
    let states = shape.combined(AggregateMode::PartialReduce, states, context);
    Ok(states.await?)
}

/// What a file adds that was merged from those that add these parts, or is the one that does: with longer slots where there would
/// be too many.
pub(crate) async fn merged(
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
pub(crate) fn slots_of(states: &RecordBatch) -> &TimestampNanosecondArray {
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
pub(crate) fn whole_slots(piece: &Piece, time: &Range<i64>) -> Result<RecordBatch> {
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
pub(crate) struct Shape {
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    groups: usize,
    /// What the aggregates are of.
    input: SchemaRef,
    states: SchemaRef,
}

impl Shape {
    /// Of the states that this makes.
    pub(crate) fn of(plan: &AggregateExec) -> Self {
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
    pub(crate) fn is_of(&self, aggregation: &Aggregation) -> bool {
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
    pub(crate) async fn combined(
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
