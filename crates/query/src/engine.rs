//! Answering questions, on threads of their own and within bounds.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use datafusion::common::Result as EngineResult;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures_util::StreamExt;
use hopline_columns::Columns;
use hopline_traces::questions::{
    Answer, Column, Language, Mistake, Question, QuestionError, Questions,
};
use tokio::runtime::Runtime;

use crate::answer::{rows_of, unit_of};
use crate::language::{What, parse};
use crate::partials::Partials;
use crate::plan::{PlanError, plan};
use crate::table::Spans;
use crate::tables::Tables;

/// How many bytes an answer may have, about. Beyond, it ends early and says so.
const ANSWER_BYTES: usize = 16 << 20;

/// The longest question, in bytes.
const LONGEST_TEXT: usize = 16 << 10;

/// How much stack the threads have, in bytes: an expression of the longest question may be some thousands deep, and not all
/// that walks it minds that. It is address space, and memory only where it is used.
const STACK_BYTES: usize = 64 << 20;

/// How many rows are made values at once.
const SLICE_ROWS: usize = 256;

/// Functions that make as much as they are told to, past the bound of memory.
const UNBOUNDED: [&str; 10] = [
    "array_repeat",
    "array_resize",
    "generate_series",
    "list_repeat",
    "list_resize",
    "lpad",
    "range",
    "repeat",
    "rpad",
    "gen_series",
];

/// Bounds of questions.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How long an answer may take.
    pub time: Duration,
    /// How many bytes of memory all answers that are under way may take together.
    pub memory: usize,
    /// How many bytes of partial answers are kept for questions that come again.
    pub kept: usize,
    /// How many threads work on them; as many as there are processors if none.
    pub threads: Option<usize>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            memory: 256 << 20,
            kept: 32 << 20,
            threads: None,
        }
    }
}

/// Answers questions.
pub struct Engine {
    columns: Columns,
    runtime: Option<Runtime>,
    shared: Arc<RuntimeEnv>,
    partials: Arc<Partials>,
    time: Duration,
    threads: usize,
}

impl Engine {
    /// An engine that answers from these columns.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(columns: Columns, options: EngineOptions) -> std::io::Result<Self> {
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or(available).max(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("hopline-query")
            .thread_stack_size(STACK_BYTES)
            // A bucket is read over the network.
            .enable_all()
            .build()?;
        // What does not fit in memory is refused: a disk that others need is no place for it.
        let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let shared = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(options.memory)))
            .with_disk_manager_builder(no_disk)
            .build_arc()
            .map_err(std::io::Error::other)?;
        if let Some(bucket) = columns.bucket() {
            let url = ObjectStoreUrl::parse(bucket.root()).map_err(std::io::Error::other)?;
            shared.register_object_store(url.as_ref(), Arc::clone(bucket.store()));
        }
        Ok(Self {
            columns,
            runtime: Some(runtime),
            shared,
            partials: Arc::new(Partials::new(options.kept)),
            time: options.time,
            threads,
        })
    }

    fn session(&self, table: Spans) -> EngineResult<SessionContext> {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.threads)
            .with_information_schema(false);
        let parquet = &mut config.options_mut().execution.parquet;
        // Columns that only filters need are not made where a filter lets nothing through.
        parquet.pushdown_filters = true;
        parquet.reorder_filters = true;
        // The schema is ours, and so are its types.
        parquet.schema_force_view_types = false;
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.shared))
            .build();
        let session = SessionContext::new_with_state(state);
        for function in UNBOUNDED {
            session.deregister_udf(function);
        }
        session.register_table("spans", Arc::new(table))?;
        Ok(session)
    }
}

async fn answer(
    tables: Tables,
    partials: &Partials,
    question: Question,
) -> Result<Answer, PlanError> {
    if question.text.len() > LONGEST_TEXT {
        let told = format!("the question is longer than {LONGEST_TEXT} bytes");
        return Err(mistake(&question, told));
    }
    let (frame, columns, limit) = match question.language {
        Language::Query => {
            let query = parse(&question.text)?;
            let kept = match query.what {
                What::Figures(_) => partials.of(&query),
                What::Spans => None,
            };
            let planned = plan(
                &tables,
                &query,
                kept.as_deref(),
                question.now,
                question.limit,
            );
            let planned = planned.await;
            drop(kept);
            partials.trim();
            let planned = planned?;
            (planned.frame, Some(planned.columns), planned.limit)
        }
        Language::Sql => {
            let frame = sql(tables.session(), &question).await;
            let frame = frame.map_err(|error| not_planned(&question, error))?;
            (frame, None, question.limit)
        }
    };
    let answer = gather(frame, columns, limit).await;
    match (question.language, answer) {
        // What goes wrong with the values themselves is in the question: a cast, a division.
        (Language::Sql, Err(PlanError::Engine(error))) if is_in_values(&error) => {
            Err(not_planned(&question, *error))
        }
        (_, answer) => answer,
    }
}

/// Plans SQL that reads, within bounds.
async fn sql(session: &SessionContext, question: &Question) -> EngineResult<DataFrame> {
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let frame = session.sql_with_options(&question.text, options).await?;
    let is_about_plans = matches!(
        frame.logical_plan(),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)
    );
    if is_about_plans {
        let told = "only what reads spans is answered: expected SELECT";
        return Err(DataFusionError::Plan(told.into()));
    }
    frame.limit(0, Some(question.limit + 1))
}

/// The name of a join that compares every row with every other, in a plan or below it.
fn endless_join(plan: &dyn ExecutionPlan) -> bool {
    let endless = [
        "CrossJoinExec",
        "NestedLoopJoinExec",
        "PiecewiseMergeJoinExec",
    ];
    let below = plan.children();
    endless.contains(&plan.name()) || below.into_iter().any(|below| endless_join(&**below))
}

fn is_in_values(error: &DataFusionError) -> bool {
    matches!(
        error.find_root(),
        DataFusionError::ArrowError(..)
            | DataFusionError::Execution(_)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_)
    )
}

async fn gather(
    frame: DataFrame,
    columns: Option<Vec<Column>>,
    limit: usize,
) -> Result<Answer, PlanError> {
    let columns = columns.unwrap_or_else(|| {
        let fields = frame.schema().fields().iter();
        let columns = fields.map(|field| Column {
            name: field.name().clone(),
            unit: unit_of(field.name(), field.data_type()),
        });
        columns.collect()
    });
    let mut answer = Answer {
        columns,
        ..Answer::default()
    };
    let context = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    if endless_join(&*plan) {
        let told =
            "a join needs an equality between its two sides, such as a.span_id = b.parent_id";
        return Err(DataFusionError::Plan(told.into()).into());
    }
    let mut bytes = 0;
    let mut stream = execute_stream(plan, context)?;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        // A little at a time: rows as values take many times what they take as columns.
        for start in (0..batch.num_rows()).step_by(SLICE_ROWS) {
            let rows = SLICE_ROWS.min(batch.num_rows() - start);
            for row in rows_of(&batch.slice(start, rows)).map_err(DataFusionError::from)? {
                bytes += row.iter().map(size).sum::<usize>();
                if answer.rows.len() == limit || bytes > ANSWER_BYTES {
                    answer.more = true;
                    return Ok(answer);
                }
                answer.rows.push(row);
            }
        }
    }
    Ok(answer)
}

/// About how many bytes a value takes.
fn size(value: &serde_json::Value) -> usize {
    let text = value.as_str().map_or(0, str::len);
    text + size_of::<serde_json::Value>()
}

fn mistake(question: &Question, message: String) -> PlanError {
    let at = 0..question.text.len();
    Mistake {
        message,
        at,
        expected: Vec::new(),
        suggestion: None,
    }
    .into()
}

/// SQL that is wrong, or that does more than read.
fn not_planned(question: &Question, error: DataFusionError) -> PlanError {
    let message = match error.find_root() {
        DataFusionError::SQL(error, _) => {
            let told = error.to_string();
            // Which part of the parser says it is of no use to whoever asks.
            told.strip_prefix("sql parser error: ")
                .unwrap_or(&told)
                .to_owned()
        }
        DataFusionError::Plan(told) => told.clone(),
        other => other.strip_backtrace(),
    };
    match place(&question.text, &message) {
        Some((message, at)) => Mistake {
            message: message.to_owned(),
            at,
            expected: Vec::new(),
            suggestion: None,
        }
        .into(),
        None => mistake(question, message),
    }
}

/// What a message says before its ` at Line: 1, Column: 8`, and that place in the question.
fn place<'m>(text: &str, message: &'m str) -> Option<(&'m str, std::ops::Range<usize>)> {
    let (told, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    let lines = text.split_inclusive('\n');
    let start: usize = lines.clone().take(line.checked_sub(1)?).map(str::len).sum();
    let rest = text.get(start..)?;
    let (at, _) = rest.char_indices().nth(column.checked_sub(1)?)?;
    let word = rest[at..]
        .split(|c: char| c.is_whitespace())
        .next()
        .unwrap_or_default();
    Some((told, start + at..start + at + word.len().max(1)))
}

impl Questions for Engine {
    fn ask(&self, question: &Question) -> Result<Answer, QuestionError> {
        let Some(runtime) = &self.runtime else {
            return Err(QuestionError::Failed("the engine has ended".into()));
        };
        let snapshot = self.columns.snapshot();
        let snapshot = snapshot.map_err(|error| QuestionError::Failed(error.to_string()))?;
        // It is held until the answer is there, so that no file goes that it needs.
        let snapshot = Arc::new(snapshot);
        let session = self.session(Spans::of(Arc::clone(&snapshot)));
        let session = session.map_err(|error| QuestionError::Failed(error.strip_backtrace()))?;
        let tables = Tables::new(session, snapshot);
        let partials = Arc::clone(&self.partials);
        let (done, answered) = std::sync::mpsc::sync_channel(1);
        let question = question.clone();
        let task = runtime.spawn(async move {
            let answer = answer(tables, &partials, question).await;
            // Nobody listens any more if it took too long.
            let _ = done.send(answer);
        });
        // Waited for here and not by the runtime, whose threads may all be busy with it.
        match answered.recv_timeout(self.time) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(PlanError::Question(error))) => Err(error),
            Ok(Err(PlanError::Engine(error))) => Err(told(&error)),
            Err(RecvTimeoutError::Timeout) => {
                task.abort();
                Err(QuestionError::TooLong {
                    seconds: self.time.as_secs(),
                })
            }
            // It panicked, which was reported where it came about.
            Err(RecvTimeoutError::Disconnected) => {
                Err(QuestionError::Failed("the answer broke off".into()))
            }
        }
    }
}

fn told(error: &DataFusionError) -> QuestionError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => QuestionError::TooMuch,
        root => QuestionError::Failed(root.strip_backtrace()),
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped within another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}
