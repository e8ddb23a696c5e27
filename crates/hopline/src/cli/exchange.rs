//! The command line of `export` and `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hopline_wire::Timestamp;

use super::args::ServerFlag;
use crate::settings::Period;

/// Write the stored spans to a file
///
/// All of them, or those that began within a time. What is in the file can be taken in by `hopline import`, OTLP also by any
/// collector, and Parquet read by any engine: docs/spans.md has its columns. Asks the running Hopline if there is one, else
/// reads the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline export spans.parquet --since 7d
  hopline export spans.jsonl --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z
  hopline export | gzip > spans.jsonl.gz")]
pub(crate) struct ExportArgs {
    /// The file, which is replaced if it is there; - is standard output
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// The form: Parquet has finished spans alone [default: parquet if the file ends so, else otlp]
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) format: Option<SpanForm>,
    /// Spans that began within so long before now
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    pub(crate) since: Option<Period>,
    /// When they began at the earliest, such as 2026-11-30T09:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<Timestamp>,
    /// And before when
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}

/// A form of spans in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpanForm {
    /// Lines of OTLP in JSON.
    Otlp,
    /// Columns.
    Parquet,
}

/// Take in spans from files
///
/// Files that `hopline export` wrote, and others of the same forms: OTLP in JSON, one document or many, and Parquet with the
/// columns of docs/spans.md. Spans that are there already stay as they are there once. Sends to the running Hopline if there is
/// one, else writes to the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hopline import spans.parquet
  hopline trace last --json | hopline import --data elsewhere -
  zcat spans.jsonl.gz | hopline import -")]
pub(crate) struct ImportArgs {
    /// The files; - is standard input, which has OTLP
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerFlag,
}
