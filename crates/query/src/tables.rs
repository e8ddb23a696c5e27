//! What a question reads: all spans, or those of one file, or those that only the log has.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;
use hopline_columns::{SegmentFile, Snapshot};

use crate::table::Spans;

/// How rows are chosen among those that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choosing {
    /// Whole columns are made, and rows chosen afterwards: cheaper where few columns are needed, each cheap to make.
    Afterwards,
    /// Of each column only the rows are made that the conditions let through so far.
    WhileReading,
}

/// The spans as they were when the snapshot was taken.
#[derive(Clone)]
pub(crate) struct Tables {
    session: SessionContext,
    snapshot: Arc<Snapshot>,
}

impl Tables {
    pub(crate) fn new(session: SessionContext, snapshot: Arc<Snapshot>) -> Self {
        Self { session, snapshot }
    }

    pub(crate) const fn session(&self) -> &SessionContext {
        &self.session
    }

    pub(crate) fn files(&self) -> &[SegmentFile] {
        &self.snapshot.files
    }

    /// All spans.
    pub(crate) fn all(&self, choosing: Choosing) -> Result<DataFrame> {
        self.frame(Spans::of(Arc::clone(&self.snapshot)), choosing)
    }

    /// Those of one of the files.
    pub(crate) fn file(&self, at: usize, choosing: Choosing) -> Result<DataFrame> {
        self.frame(Spans::of_file(Arc::clone(&self.snapshot), at), choosing)
    }

    /// Those that are in no file yet.
    pub(crate) fn in_log(&self) -> Result<DataFrame> {
        let spans = Spans::in_log(Arc::clone(&self.snapshot));
        self.frame(spans, Choosing::Afterwards)
    }

    fn frame(&self, spans: Spans, choosing: Choosing) -> Result<DataFrame> {
        {
            let state = self.session.state_ref();
            let mut state = state.write();
            let parquet = &mut state.config_mut().options_mut().execution.parquet;
            parquet.pushdown_filters = choosing == Choosing::WhileReading;
        }
        self.session.read_table(Arc::new(spans))
    }
}
