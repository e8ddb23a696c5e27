//! Spans as columns, where this program has been built with them (the feature `query`).

#[cfg(feature = "query")]
pub(crate) use with::Columns;
#[cfg(not(feature = "query"))]
pub(crate) use without::Columns;

#[cfg(feature = "query")]
mod with {
    use std::fs;
    use std::io::{self, Write as _};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use anyhow::Context as _;
    use hopline_columns::{Bucket, Segments, SettleOptions, Settler};
    use hopline_files::Disk;
    use hopline_query::{Engine, EngineOptions};
    use hopline_traces::questions::Questions;
    use hopline_traces::{LogOptions, LogStore, Older, TracesError};
    use parking_lot::Mutex;

    use crate::parts::kept;
    use crate::settings::Settings;

    /// How many bytes of spans may wait in the log to become columns: some ten million, so that a while of more than these
    /// can take is no more than that.
    const LOG_BYTES: u64 = 1 << 30;

    /// The segments, and what works on them.
    pub(crate) struct Columns {
        segments: Arc<Segments>,
        settler: Mutex<Option<Settler>>,
    }

    impl Columns {
        /// Opens the segments in a folder, those of a log in another.
        ///
        /// # Errors
        /// If they cannot be read, or those in a bucket.
        pub(crate) fn open(
            folder: &Path,
            log: &Path,
            settings: &Settings,
        ) -> Result<Self, TracesError> {
            // Whoever reads the files is given their paths, and knows no current folder.
            let folder = std::path::absolute(folder)
                .map_err(|error| TracesError::io("find", folder.to_owned(), error))?;
            let mut segments = Segments::open(Arc::new(Disk), folder.clone())?;
            let owner = Owner::of(&folder);
            match kept::bucket(settings) {
                Some(address) => {
                    let failed = |error| TracesError::io("keep spans in", address.into(), error);
                    let options = settings.bucket_options.iter();
                    let options =
                        options.map(|(name, value)| (name.clone(), value.expose().to_owned()));
                    let bucket = Arc::new(Bucket::open(address, options).map_err(failed)?);
                    let is_fresh = !log.read_dir().is_ok_and(|mut log| log.next().is_some());
                    segments = segments.with_bucket(bucket, &owner.id()?, is_fresh)?;
                }
                None => owner.check_there_is_none()?,
            }
            Ok(Self {
                segments: Arc::new(segments),
                settler: Mutex::default(),
            })
        }

        /// How the log is to be opened, from which spans are taken over.
        pub(crate) fn log_options(&self) -> LogOptions {
            LogOptions {
                retained_bytes: LOG_BYTES,
                taken_over: self.segments.taken_over(),
                ..LogOptions::default()
            }
        }

        /// Lets the log find what was taken over from it.
        pub(crate) fn join(&self, log: &LogStore) {
            log.set_older(Arc::clone(&self.segments) as Arc<dyn Older>);
        }

        /// Has spans brought into columns in the background, and those removed that are no longer to be kept.
        pub(crate) fn start_settling(
            &self,
            log: &Arc<LogStore>,
            settings: &Settings,
        ) -> anyhow::Result<()> {
            let (log, segments) = (Arc::clone(log), Arc::clone(&self.segments));
            let options = SettleOptions {
                retained_for: kept::spans(settings),
                retained_bytes: kept::span_bytes(settings),
                ..SettleOptions::default()
            };
            let settler = Settler::start(log, segments, options);
            *self.settler.lock() = Some(settler.context("start bringing spans into columns")?);
            Ok(())
        }

        /// Ends that, once what this gives is dropped: it waits for what is under way.
        pub(crate) fn end_settling(&self) -> impl Send + 'static {
            self.settler.lock().take()
        }

        /// Answers questions about the spans.
        pub(crate) fn questions(
            &self,
            log: &Arc<LogStore>,
        ) -> anyhow::Result<Option<Arc<dyn Questions>>> {
            let segments = Arc::clone(&self.segments);
            let columns = hopline_columns::Columns::new(Arc::clone(log), segments);
            let engine = Engine::start(columns, EngineOptions::default());
            Ok(Some(Arc::new(engine.context("start the query engine")?)))
        }
    }

    /// What a bucket is told of whose spans it has: a name made once for the data folder that they come from. Where it is, some
    /// of the folder's spans are in a bucket.
    struct Owner(PathBuf);

    impl Owner {
        fn of(folder: &Path) -> Self {
            Self(folder.with_file_name("bucket-owner"))
        }

        fn failed(&self, operation: &'static str) -> impl FnOnce(io::Error) -> TracesError {
            let path = self.0.clone();
            move |error| TracesError::io(operation, path, error)
        }

        /// The name; made if there is none.
        fn id(&self) -> Result<String, TracesError> {
            match fs::read_to_string(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let id = uuid::Uuid::new_v4().to_string();
                    self.write(&id).map_err(self.failed("write"))?;
                    Ok(id)
                }
                read => read.map_err(self.failed("read")),
            }
        }

        /// The bucket must not know a name that this machine has forgotten.
        fn write(&self, id: &str) -> io::Result<()> {
            let folder = self.0.parent().unwrap_or(&self.0);
            fs::create_dir_all(folder)?;
            let unnamed = self.0.with_extension("new");
            let mut file = fs::File::create(&unnamed)?;
            file.write_all(id.as_bytes())?;
            file.sync_all()?;
            fs::rename(unnamed, &self.0)?;
            fs::File::open(folder)?.sync_all()
        }

        /// Without its bucket the log would give numbers again that segments there have.
        fn check_there_is_none(&self) -> Result<(), TracesError> {
            match self.0.exists() {
                false => Ok(()),
                true => Err(self.failed("open without its bucket")(io::Error::other(
                    "some of the spans are in a bucket: name it, as span_bucket in the data folder's hopline.toml or as \
                     HOPLINE_SPAN_BUCKET",
                ))),
            }
        }
    }
}

#[cfg(not(feature = "query"))]
mod without {
    use std::io;
    use std::path::Path;
    use std::sync::Arc;

    use hopline_traces::questions::Questions;
    use hopline_traces::{LogOptions, LogStore, TracesError};

    use crate::settings::Settings;

    /// No columns: spans stay in the log.
    pub(crate) struct Columns;

    impl Columns {
        /// Sees to it that no spans are overlooked that are in columns.
        ///
        /// # Errors
        /// If there are such.
        pub(crate) fn open(
            folder: &Path,
            _log: &Path,
            _settings: &Settings,
        ) -> Result<Self, TracesError> {
            if folder.exists() {
                let told = "its spans were brought into columns, and this Hopline was built without the feature `query`";
                return Err(TracesError::io(
                    "open",
                    folder.to_owned(),
                    io::Error::other(told),
                ));
            }
            Ok(Self)
        }

        /// How the log is to be opened, which keeps all there is.
        #[expect(clippy::unused_self, reason = "as with columns")]
        pub(crate) fn log_options(&self) -> LogOptions {
            LogOptions::default()
        }

        /// Nothing is to be found elsewhere.
        #[expect(clippy::unused_self, reason = "as with columns")]
        pub(crate) fn join(&self, _log: &LogStore) {}

        /// Nothing is to be done.
        #[expect(
            clippy::unused_self,
            clippy::unnecessary_wraps,
            reason = "as with columns"
        )]
        pub(crate) fn start_settling(
            &self,
            _log: &Arc<LogStore>,
            _settings: &Settings,
        ) -> anyhow::Result<()> {
            Ok(())
        }

        /// Nothing is to be ended.
        #[expect(clippy::unused_self, reason = "as with columns")]
        pub(crate) fn end_settling(&self) -> impl Send + 'static {}

        /// There is no engine.
        #[expect(
            clippy::unused_self,
            clippy::unnecessary_wraps,
            reason = "as with columns"
        )]
        pub(crate) fn questions(
            &self,
            _log: &Arc<LogStore>,
        ) -> anyhow::Result<Option<Arc<dyn Questions>>> {
            Ok(None)
        }
    }
}
