//! The stores of the data folder: rows and spans.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::Write;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

use hopline_state::postgres::{Address, PostgresStore};
use hopline_state::sqlite::SqliteStore;
use hopline_state::{StateError, Store};
use hopline_traces::questions::Questions;
use hopline_traces::{LinesError, LogStore, Overview, Trace, TraceStore, TracesError, write_spans};
use hopline_wire::otlp::JsonDocument;
use hopline_wire::{Timestamp, TraceId};

use super::columns::Columns;
use crate::exit::{self, Failure};
use crate::settings::{Database, Settings};

/// The rows and the spans, open.
pub(crate) struct Stores {
    /// The rows.
    pub(crate) rows: Arc<dyn Store>,
    /// The spans.
    pub(crate) traces: Arc<LogStore>,
    columns: Columns,
}

impl Stores {
    /// Opens both at once, and makes what is not there.
    ///
    /// # Errors
    /// A [`Failure`] that says which of them cannot be used and why.
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let own = settings.clone();
        let traces = tokio::task::spawn_blocking(move || open_traces(&own));
        let (rows, traces) = tokio::join!(open_rows(settings), traces);
        let (traces, columns) = traces??;
        Ok(Self {
            rows: rows?,
            traces,
            columns,
        })
    }

    /// Has spans brought into columns, in the background and until the spans are closed.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start_settling(&self, settings: &Settings) -> anyhow::Result<()> {
        self.columns.start_settling(&self.traces, settings)
    }

    /// Answers questions about the spans; none if there is no engine in this program.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub(crate) fn questions(&self) -> anyhow::Result<Option<Arc<dyn Questions>>> {
        self.columns.questions(&self.traces)
    }

    /// A trace in figures; none if it has no spans.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn overview(&self, trace_id: TraceId) -> anyhow::Result<Option<Overview>> {
        let traces = Arc::clone(&self.traces);
        Ok(tokio::task::spawn_blocking(move || traces.overview(trace_id)).await??)
    }

    /// The spans of a trace, at most `limit`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn trace(&self, trace_id: TraceId, limit: usize) -> anyhow::Result<Trace> {
        let traces = Arc::clone(&self.traces);
        Ok(tokio::task::spawn_blocking(move || traces.trace(trace_id, limit)).await??)
    }

    /// Writes all spans of a trace as OTLP in JSON, as they are read; false if there are none. Blocks the thread.
    ///
    /// # Errors
    /// If they cannot be read, or `out` cannot be written.
    pub(crate) fn copy_trace(
        &self,
        trace_id: TraceId,
        out: &mut impl Write,
    ) -> anyhow::Result<bool> {
        let mut document = JsonDocument::begin(out)?;
        let mut any = false;
        let mut written = Ok(());
        self.traces.for_each(trace_id, &mut |part| {
            any = true;
            written = document.add_spans(part.spans);
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        written?;
        document.finish()?;
        Ok(any)
    }

    /// Writes all spans that began within a time, as lines of OTLP in JSON. Blocks the thread.
    ///
    /// # Errors
    /// If they cannot be read, or `out` cannot be written.
    pub(crate) fn copy_spans(
        &self,
        began: &Range<Timestamp>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        match write_spans(&*self.traces, began, out) {
            // As it is: whoever reads what is written may have gone.
            Err(LinesError::Write(error)) => Err(error.into()),
            written => Ok(written?),
        }
    }

    /// Closes the rows: the second last step of an end.
    pub(crate) async fn close_rows(&self) {
        self.rows.close().await;
    }

    /// Closes the spans: after the telemetry that writes them.
    pub(crate) async fn close_traces(&self) {
        let traces = Arc::clone(&self.traces);
        let settling = self.columns.end_settling();
        let close = move || {
            drop(settling);
            traces.close()
        };
        match tokio::task::spawn_blocking(close).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the spans could not be flushed"),
            Err(error) => tracing::error!(%error, "the trace store panicked while closing"),
        }
    }
}

async fn open_rows(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    match settings.database() {
        Database::Sqlite(path) => {
            let opened = tokio::task::spawn_blocking(move || open_sqlite(&path));
            Ok(Arc::new(opened.await??))
        }
        Database::Postgres(address) => {
            let connections = settings.database_connections;
            Ok(Arc::new(open_postgres(&address, connections).await?))
        }
    }
}

async fn open_postgres(address: &Address, connections: usize) -> anyhow::Result<PostgresStore> {
    let opened = PostgresStore::open(address, connections).await;
    opened.map_err(|error| not_opened(&error, address, exit::UNAVAILABLE))
}

fn open_sqlite(path: &Path) -> anyhow::Result<SqliteStore> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| cannot_write(parent, &error))?;
    }
    SqliteStore::open(path).map_err(|error| not_opened(&error, path.display(), exit::CANNOT_WRITE))
}

/// Tells that a database cannot be used, where it is and why.
fn not_opened(error: &StateError, place: impl Display, unavailable: u8) -> anyhow::Error {
    let code = match error {
        StateError::NewerSchema { .. } | StateError::ChangedMigration { .. } => exit::VERSION,
        StateError::Unavailable { .. } => unavailable,
        _ => exit::INTERNAL,
    };
    let mut told = format!("{place}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a text does not fail.
        let _ = write!(told, ": {error}");
        cause = error.source();
    }
    Failure::new(code, told).into()
}

fn open_traces(settings: &Settings) -> anyhow::Result<(Arc<LogStore>, Columns)> {
    let path = settings.traces_path();
    let not_opened = |error: TracesError| {
        let code = match &error {
            TracesError::Newer { .. } => exit::VERSION,
            TracesError::DiskFull { .. } | TracesError::Io { .. } => exit::CANNOT_WRITE,
            _ => exit::INTERNAL,
        };
        anyhow::Error::from(Failure::new(code, format!("open the trace store: {error}")))
    };
    let columns = Columns::open(&path.with_file_name("spans"), &path, settings);
    let columns = columns.map_err(not_opened)?;
    let (store, opened) = LogStore::open(&path, columns.log_options()).map_err(not_opened)?;
    let store = Arc::new(store);
    columns.join(&store);
    if opened.torn_bytes > 0 || opened.corrupt_parts > 0 {
        tracing::warn!(
            torn_bytes = opened.torn_bytes,
            corrupt_parts = opened.corrupt_parts,
            "the trace store was repaired: what a crash had left unfinished was cut off"
        );
    }
    Ok((store, columns))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Failure::new(
        exit::CANNOT_WRITE,
        format!("write the folder {}: {error}", path.display()),
    )
    .into()
}
