//! The table `spans`: all finished spans at one moment, those in segments' files and those that only the log has.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array as _, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use hopline_columns::schema::{SCHEMA, names};
use hopline_columns::{SegmentFile, Snapshot};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::fields::column;

/// The table, as it was when its snapshot was taken; or a part of it.
pub(crate) struct Spans {
    snapshot: Arc<Snapshot>,
    /// Which of the snapshot's files, and of its batches, belong to it.
    files: Range<usize>,
    batches: Range<usize>,
    /// Whether some of the rows may be records: events and logs.
    has_records: bool,
}

impl Spans {
    /// The table of a snapshot, which is to be held until the answer is there.
    pub(crate) fn of(snapshot: Arc<Snapshot>) -> Self {
        let (files, batches) = (0..snapshot.files.len(), 0..snapshot.batches.len());
        Self::part(snapshot, files, batches)
    }

    /// The spans of one file.
    pub(crate) fn of_file(snapshot: Arc<Snapshot>, at: usize) -> Self {
        Self::part(snapshot, at..at + 1, 0..0)
    }

    /// The spans that are in no file yet.
    pub(crate) fn in_log(snapshot: Arc<Snapshot>) -> Self {
        let batches = 0..snapshot.batches.len();
        Self::part(snapshot, 0..0, batches)
    }

    fn part(snapshot: Arc<Snapshot>, files: Range<usize>, batches: Range<usize>) -> Self {
        let is_record = |batch: &RecordBatch| {
            let records = batch.column_by_name(names::RECORD);
            records.is_none_or(|records| records.null_count() < batch.num_rows())
        };
        let has_records = snapshot.files[files.clone()]
            .iter()
            .any(|file| file.has_records)
            || snapshot.batches[batches.clone()].iter().any(is_record);
        Self {
            snapshot,
            files,
            batches,
            has_records,
        }
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spans({} files)", self.files.len())
    }
}

#[async_trait]
impl TableProvider for Spans {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters choose among files, groups of rows and pages; what is left is filtered behind. Nothing is left of one that is
    /// true of every row: its column, which is empty then, need not be read.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushed = filters
            .iter()
            .map(|filter| match self.is_true_of_all(filter) {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Inexact,
            });
        Ok(pushed.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = &self.snapshot.batches[self.batches.clone()];
        let memory = MemorySourceConfig::try_new_exec(
            &[batches.to_vec()],
            Arc::clone(&SCHEMA),
            projection.cloned(),
        )?;
        let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        for (url, files) in self.stores()? {
            plans.push(self.scan_files(state, url, files, projection, filters, limit)?);
        }
        if plans.is_empty() {
            return Ok(memory);
        }
        if !batches.is_empty() {
            plans.push(memory);
        }
        match plans.len() {
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}

impl Spans {
    /// The files by what they are read from: the folder, and the bucket where there is one.
    fn stores(&self) -> Result<Vec<(ObjectStoreUrl, Vec<PartitionedFile>)>> {
        let mut here = Vec::new();
        let mut there = Vec::new();
        for file in &self.snapshot.files[self.files.clone()] {
            match &file.object {
                Some(object) => there.push(to_read(file, object.clone())),
                None => {
                    let path = Path::from_absolute_path(&file.path)
                        .map_err(|error| DataFusionError::External(error.into()))?;
                    here.push(to_read(file, path));
                }
            }
        }
        let mut stores = vec![(ObjectStoreUrl::local_filesystem(), here)];
        if let Some(bucket) = &self.snapshot.bucket {
            stores.push((ObjectStoreUrl::parse(bucket.root())?, there));
        }
        stores.retain(|(_, files)| !files.is_empty());
        Ok(stores)
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        url: ObjectStoreUrl,
        files: Vec<PartitionedFile>,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = filters.iter().filter(|filter| !self.is_true_of_all(filter));
        let store = state.runtime_env().object_store(&url)?;
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let factory = CachedParquetFileReaderFactory::new(store, cache);
        let options = state.config_options().execution.parquet.clone();
        let mut source = ParquetSource::new(Arc::clone(&SCHEMA))
            .with_table_parquet_options(datafusion::config::TableParquetOptions {
                global: options,
                ..Default::default()
            })
            .with_parquet_file_reader_factory(Arc::new(factory));
        if let Some(predicate) = conjunction(filters.cloned()) {
            let schema = DFSchema::try_from(Arc::clone(&SCHEMA))?;
            source = source.with_predicate(state.create_physical_expr(predicate, &schema)?);
        }
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(shared_out(files, state.config().target_partitions()))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// Whether a condition holds for every row, and need not be looked at.
    fn is_true_of_all(&self, filter: &Expr) -> bool {
        let Expr::IsNull(value) = filter else {
            return false;
        };
        // By what name the table goes makes no difference.
        let is_record = matches!(&**value, Expr::Column(column) if column.name == names::RECORD);
        is_record && !self.has_records
    }
}

/// A file that is to be read.
fn to_read(file: &SegmentFile, location: Path) -> PartitionedFile {
    PartitionedFile::new_from_meta(ObjectMeta {
        location,
        // A file of this name never changes.
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: file.bytes,
        e_tag: None,
        version: None,
    })
}

/// The files, shared out so that each worker has about as much.
fn shared_out(mut files: Vec<PartitionedFile>, workers: usize) -> Vec<FileGroup> {
    let size = |file: &PartitionedFile| file.object_meta.size;
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); workers.max(1)];
    files.sort_by_key(|file| std::cmp::Reverse(size(file)));
    for file in files {
        if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += size(&file);
            group.push(file);
        }
    }
    let groups = groups.into_iter().map(|(_, group)| group);
    groups
        .filter(|group| !group.is_empty())
        .map(FileGroup::new)
        .collect()
}

/// The condition that a row is a span and no record.
pub(crate) fn no_record() -> Expr {
    column(names::RECORD).is_null()
}

#[cfg(test)]
mod tests {
    use datafusion::functions_aggregate::expr_fn::sum;
    use datafusion::prelude::SessionContext;
    use hopline_columns::Rows;
    use hopline_traces::testing::span;
    use hopline_wire::span::{Attribute, Span};

    use super::*;

    #[tokio::test]
    async fn the_column_of_records_is_read_only_where_there_are_some() {
        let plan = |spans: Vec<Span>| async move {
            let mut rows = Rows::default();
            spans.iter().for_each(|span| rows.push(span));
            let snapshot = Snapshot {
                files: Vec::new(),
                batches: vec![rows.finish().unwrap()],
                bucket: None,
            };
            let session = SessionContext::new();
            let table = Arc::new(Spans::of(Arc::new(snapshot)));
            session.register_table("spans", table).unwrap();
            let spans = session.table("spans").await.unwrap();
            let asked = spans.filter(no_record()).unwrap();
            let counted = asked.aggregate(Vec::new(), vec![sum(column(names::WEIGHT))]);
            let plan = counted.unwrap().into_optimized_plan().unwrap();
            plan.display_indent().to_string()
        };
        let without = plan(vec![span(1, 1)]).await;
        assert!(without.contains("projection=[weight]"), "{without}");
        let mut record = span(1, 2);
        record
            .attributes
            .push(Attribute::new("hopline.record", "log"));
        let with = plan(vec![span(1, 1), record]).await;
        assert!(with.contains("projection=[weight, record]"), "{with}");
    }
}
