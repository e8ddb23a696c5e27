//! The segments that there are.
//!
//! Which these are is said by the files' names alone. A segment whose origin another one covers was merged into it, and a
//! crash came before it was removed: it is removed at the next opening.

use std::io;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hopline_files::FileSystem;
use hopline_traces::{Older, OlderStats, Stretch, TracesError};
use hopline_wire::TraceId;
use hopline_wire::span::Span;
use parking_lot::Mutex;

use crate::archive;
use crate::bucket::Bucket;
use crate::merge::Merged;
use crate::name::Name;
use crate::segment::{self, Segment, SegmentError};
use crate::spans::spans_of;

/// All segments.
pub struct Segments {
    files: Arc<dyn FileSystem>,
    folder: PathBuf,
    state: Mutex<State>,
    /// How many times damage was met.
    damaged: AtomicU64,
    /// Where those are kept that are merged no further, if not in the folder.
    bucket: Option<Joined>,
}

/// A bucket, as it was found.
struct Joined {
    bucket: Arc<Bucket>,
    /// The last segment of the log that spans there come from.
    last: u64,
}

#[derive(Default)]
struct State {
    /// By their origin.
    all: Vec<Arc<Segment>>,
    /// Those that are no longer among them, and may still be read by someone.
    leaving: Vec<Arc<Segment>>,
    /// Whether the last that was to be removed could not be.
    removing_fails: bool,
}

impl Segments {
    /// Opens those in a folder, which need not be there.
    ///
    /// # Errors
    /// If the folder or a segment cannot be read, or a segment's columns are others. One that is damaged is set aside, and
    /// told of in the log.
    pub fn open(files: Arc<dyn FileSystem>, folder: PathBuf) -> Result<Self, TracesError> {
        let failed = |operation| {
            let folder = folder.clone();
            move |source| TracesError::io(operation, folder, source)
        };
        let paths = files
            .walk(&folder)
            .map_err(failed("list the segments in"))?;
        let mut names: Vec<Name> = Vec::new();
        for path in &paths {
            if path.extension().is_some_and(|extension| extension == "new") {
                // A crash came before it had its name.
                files
                    .remove(path)
                    .map_err(failed("remove what is unfinished in"))?;
            }
            names.extend(Name::of_path(path));
        }
        // Those that cover most come first.
        names.sort_by_key(|name| (name.first, std::cmp::Reverse(name.last)));
        let mut all: Vec<Arc<Segment>> = Vec::new();
        for name in names {
            let path = folder.join(name.path());
            match all.last() {
                // It can be opened, and so the other is not needed; but it must be there after a power cut too.
                Some(cover) if cover.name.covers(&name) => {
                    segment::sync_folders(&*files, &folder, &cover.name)
                        .map_err(failed("sync the folders of"))?;
                    files
                        .remove(&path)
                        .map_err(failed("remove what was merged from"))?;
                }
                _ => match Segment::open(&files, &folder, name) {
                    Ok(segment) => all.push(Arc::new(segment)),
                    Err(error) if error.is_damage() => {
                        // Under another name it stands in nobody's way, and can be looked at.
                        let aside = path.with_extension("damaged");
                        files
                            .rename(&path, &aside)
                            .map_err(failed("set aside a segment of"))?;
                        tracing::error!(path = %aside.display(), %error, "a segment of spans is damaged and set aside");
                    }
                    Err(error) => return Err(error.during("open", &path)),
                },
            }
        }
        // The last that was made may have its name in memory only, and the log is about to let go of what is in it.
        if let Some(last) = all.iter().max_by_key(|segment| segment.name.last) {
            segment::sync_folders(&*files, &folder, &last.name)
                .map_err(failed("sync the folders of"))?;
        }
        let state = State {
            all,
            leaving: Vec::new(),
            removing_fails: false,
        };
        Ok(Self {
            files,
            folder,
            state: Mutex::new(state),
            damaged: AtomicU64::new(0),
            bucket: None,
        })
    }

    /// Up to which segment of the log spans were taken over; 0 if none were.
    #[must_use]
    pub fn taken_over(&self) -> u64 {
        let state = self.state.lock();
        state
            .all
            .iter()
            .map(|segment| segment.name.last)
            .chain(self.bucket.iter().map(|joined| joined.last))
            .max()
            .unwrap_or(0)
    }

    /// Has those in a bucket found as well, in the place of such in the folder as they cover; and those in the folder moved
    /// there once they are merged no further. `is_fresh` says that there are no spans of this machine's yet: only then may it
    /// take the place of another, since the numbers of segments go on behind those in the bucket.
    ///
    /// # Errors
    /// If the bucket belongs to another `owner`, or cannot be read. A damaged segment there is left out, and told of in the log.
    pub fn with_bucket(
        mut self,
        bucket: Arc<Bucket>,
        owner: &str,
        is_fresh: bool,
    ) -> Result<Self, TracesError> {
        let place = PathBuf::from(bucket.to_string());
        let failed = |operation| {
            let place = place.clone();
            move |source| TracesError::io(operation, place, source)
        };
        let listed = bucket.list();
        let mut listed = listed.map_err(failed("list the segments in the bucket"))?;
        let is_anyones = bucket.owner().map(|owner| owner.is_none());
        let is_anyones = is_anyones.map_err(failed("keep spans in the bucket"))?;
        if is_anyones && !listed.is_empty() && !(is_fresh && self.all().is_empty()) {
            let told = "there are spans of another, and some in this data folder: only an empty one can take another's place";
            return Err(failed("keep spans in the bucket")(io::Error::other(told)));
        }
        bucket
            .claim(owner)
            .map_err(failed("keep spans in the bucket"))?;
        // Those that cover most come first.
        listed.sort_by_key(|(name, _)| (name.first, std::cmp::Reverse(name.last)));
        let last = listed.iter().map(|(name, _)| name.last).max().unwrap_or(0);
        let opened = archive::open_all(&bucket, &listed);
        for ((name, _), opened) in listed.iter().zip(opened) {
            let path = bucket.path_of(name);
            let covers = |other: &Arc<Segment>| other.name != *name && other.name.covers(name);
            match opened {
                Ok(_) if self.all().iter().any(covers) => {
                    // It was sent, nobody heard of that, and it was merged further.
                    bucket
                        .remove(name)
                        .map_err(failed("remove what was merged from the bucket"))?;
                }
                Ok(segment) => self.put(segment),
                Err(error) if error.is_damage() => {
                    tracing::error!(%path, %error, "a segment of spans in the bucket is damaged and left out");
                }
                Err(error) => return Err(error.during("open in the bucket", &name.path())),
            }
        }
        self.remove_released();
        self.bucket = Some(Joined { bucket, last });
        Ok(self)
    }

    pub(crate) fn bucket(&self) -> Option<&Arc<Bucket>> {
        self.bucket.as_ref().map(|joined| &joined.bucket)
    }

    pub(crate) fn files(&self) -> &Arc<dyn FileSystem> {
        &self.files
    }

    /// The folder that they are in.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// All as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.state.lock().all.clone()
    }

    /// Adds one, in the place of those whose origin it covers.
    pub(crate) fn put(&self, segment: Segment) {
        let mut state = self.state.lock();
        let replaced: Vec<_> = state
            .all
            .extract_if(.., |other| segment.name.covers(&other.name))
            .collect();
        state.leaving.extend(replaced);
        let place = state
            .all
            .partition_point(|other| other.name.first < segment.name.first);
        state.all.insert(place, Arc::new(segment));
    }

    /// Lets go of one.
    pub(crate) fn release(&self, name: &Name) {
        let mut state = self.state.lock();
        let released: Vec<_> = state
            .all
            .extract_if(.., |other| other.name == *name)
            .collect();
        state.leaving.extend(released);
    }

    /// Removes the files of those that nobody reads any more.
    pub(crate) fn remove_released(&self) {
        let mut state = self.state.lock();
        // Only this hands out more of them, and it no longer has these.
        let gone: Vec<_> = state
            .leaving
            .extract_if(.., |segment| Arc::strong_count(segment) == 1)
            .collect();
        drop(state);
        for segment in gone {
            let removed = segment.remove();
            let mut state = self.state.lock();
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    if !std::mem::replace(&mut state.removing_fails, true) {
                        tracing::warn!(%error, path = %segment.path.display(),
                            "a segment of spans could not be removed; it will be tried again");
                    }
                    state.leaving.push(segment);
                }
                _ => state.removing_fails = false,
            }
        }
    }
}

impl Older for Segments {
    fn stretches(&self, trace: TraceId) -> Result<Vec<Box<dyn Stretch>>, TracesError> {
        let mut stretches: Vec<Box<dyn Stretch>> = Vec::new();
        for segment in self.all() {
            let own = match segment.stretches(trace) {
                Ok(own) => own,
                // What else there is of the trace is found all the same.
                Err(error) if error.is_damage() || error.is_gone() => {
                    self.damaged.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(path = %segment.path.display(), %error, "a damaged segment of spans was left out");
                    continue;
                }
                Err(error) => return Err(error.during("look a trace up in", &segment.path)),
            };
            stretches.extend(own.into_iter().map(|own| Box::new(own) as Box<dyn Stretch>));
        }
        Ok(stretches)
    }

    fn visit(
        &self,
        from: RangeInclusive<u64>,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), u64>, TracesError> {
        let mut all = self.all();
        all.retain(|one| one.name.last >= *from.start() && one.name.first <= *from.end());
        // A span that came twice did so within the hour, if its sender is in its senses.
        for hour in all.chunk_by(|one, next| one.name.hour == next.name.hour) {
            let failed = |error: SegmentError| error.during("read", &hour[0].path);
            for batch in Merged::of(hour).map_err(failed)? {
                let spans = batch.and_then(|batch| Ok(spans_of(&batch)?));
                if visit(&spans.map_err(failed)?).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        let last = all.iter().map(|segment| segment.name.last).max();
        Ok(ControlFlow::Continue(last.unwrap_or(0)))
    }

    fn stats(&self) -> OlderStats {
        let state = self.state.lock();
        OlderStats {
            spans: state.all.iter().map(|segment| segment.rows).sum(),
            bytes: state.all.iter().map(|segment| segment.bytes).sum(),
            files: state.all.len() as u64,
            corrupt_parts: self.damaged.load(Ordering::Relaxed),
        }
    }
}
