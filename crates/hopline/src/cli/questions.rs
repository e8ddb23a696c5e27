//! The command line of `query` and `sql`.

use clap::Args;

use super::args::ServerFlag;
use crate::settings::Period;

/// Ask a question about the stored spans
///
/// Figures (`avg(span.duration)`, `count(spans)`, `p95(…)`) or the spans themselves (`spans`), of those that match a
/// condition. Asks the running Hopline if there is one, else reads the data folder. docs/queries.md has the language.
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  hopline query 'avg(span.duration), count(spans) where op:"db.persist.event" by name'
  hopline query 'spans where status:error order by duration desc limit 10'
  hopline query 'p95(span.duration) where op:broker.event.forward per 1m since 1h' --watch"#)]
pub(crate) struct QueryArgs {
    /// The question
    #[arg(value_name = "QUESTION")]
    pub(crate) question: String,
    #[command(flatten)]
    pub(crate) asking: AskingFlags,
}

/// Ask a question about the stored spans in SQL
///
/// One statement that reads from the table `spans`, whose columns docs/spans.md describes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline sql 'select op, count(*) n, avg(duration_ns) avg_ns from spans group by op order by n desc'
  hopline sql \"select attributes['http.route'] from spans where service = 'shop'\" --csv")]
pub(crate) struct SqlArgs {
    /// The statement
    #[arg(value_name = "SQL")]
    pub(crate) statement: String,
    #[command(flatten)]
    pub(crate) asking: AskingFlags,
}

/// How a question is asked and its answer shown.
#[derive(Debug, Args)]
pub(crate) struct AskingFlags {
    /// At most so many rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: Option<u32>,
    /// The answer in JSON: `{columns, rows, more}`
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// The answer as comma-separated values
    #[arg(long)]
    pub(crate) csv: bool,
    /// Ask again every so often, until interrupted
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "2s")]
    pub(crate) watch: Option<Period>,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}
