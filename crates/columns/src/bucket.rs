//! A bucket: a place in an object store for segments that are merged no further.
//!
//! Objects are called as the segments' files are, below a prefix. Each is there whole or not at all, and never changes. One
//! Hopline keeps its segments below one prefix: the object `hopline-owner` there says which one.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, RetryConfig, WriteMultipart,
};
use parking_lot::Mutex;
use parquet::file::reader::{ChunkReader as _, Length as _};
use tokio::runtime::Runtime;

use crate::file::Reader;
use crate::name::Name;

/// How many bytes are asked for at least, and kept for the next reading: the parts of a group of rows that a trace is in lie
/// within a few such blocks, and each would cost a request of its own.
const BLOCK: u64 = 1 << 20;

/// How many blocks are kept.
const BLOCKS: usize = 64;

/// How many bytes one request of an upload carries.
const PART: usize = 8 << 20;

/// How many such requests are under way at once.
const PARTS: usize = 2;

/// How often a request is tried again, and for how long in all.
const RETRIES: usize = 5;
const RETRIED_FOR: Duration = Duration::from_secs(30);

/// How often whoever waits looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// The object that says whose segments these are.
const OWNER: &str = "hopline-owner";

/// A place for segments in an object store.
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// Scheme and name, `s3://name`.
    root: String,
    prefix: Path,
    blocks: Mutex<Blocks>,
    runtime: Option<Runtime>,
}

impl Bucket {
    /// The bucket at `s3://NAME` or `s3://NAME/PREFIX`. The options are those of AWS's own tools by the names of their
    /// environment variables (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`…); those of other names are passed over, and
    /// of two of one name the later counts. Nothing is sent yet.
    ///
    /// # Errors
    /// If the address or an option is none, or the system gives no threads.
    pub fn open(
        address: &str,
        options: impl IntoIterator<Item = (String, String)>,
    ) -> io::Result<Self> {
        let (name, prefix) = parts(address)?;
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRIED_FOR,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new().with_retry(retry);
        for (key, value) in options {
            if let Ok(key) = AmazonS3ConfigKey::from_str(&key.to_ascii_lowercase()) {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder.with_bucket_name(name).build().map_err(failed)?;
        Self::of(Arc::new(store), format!("s3://{name}"), prefix)
    }

    /// The same in an object store of any kind.
    pub(crate) fn of(store: Arc<dyn ObjectStore>, root: String, prefix: Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("hopline-bucket")
            .enable_all()
            .build()?;
        Ok(Self {
            store,
            root,
            prefix,
            blocks: Mutex::default(),
            runtime: Some(runtime),
        })
    }

    /// The object store, for whoever reads from it by itself.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Its scheme and the bucket's name: `s3://name`.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Where the segment of this name is.
    pub(crate) fn path_of(&self, name: &Name) -> Path {
        let own = name.path();
        let parts = own.iter().filter_map(|part| part.to_str());
        parts.fold(self.prefix.clone(), Path::join)
    }

    /// To whom it belongs, if to anyone.
    pub(crate) fn owner(&self) -> io::Result<Option<String>> {
        let (store, path) = (Arc::clone(&self.store), self.prefix.clone().join(OWNER));
        match self.wait(async move { store.get(&path).await?.bytes().await }) {
            Ok(owner) => Ok(Some(String::from_utf8_lossy(&owner).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has it belong to this owner.
    ///
    /// # Errors
    /// If it belongs to another, or cannot be reached.
    pub(crate) fn claim(&self, owner: &str) -> io::Result<()> {
        let path = self.prefix.clone().join(OWNER);
        match self.owner()? {
            Some(there) if there == owner => Ok(()),
            Some(there) => Err(io::Error::other(format!(
                "another Hopline keeps its spans there ({there:?}): give each a prefix of its own, or remove {path} if this one \
                 is to take its place",
            ))),
            None => {
                let (store, owner) = (Arc::clone(&self.store), owner.to_owned());
                // Of two at once, one fails here.
                let create = PutMode::Create.into();
                self.wait(async move { store.put_opts(&path, owner.into(), create).await })?;
                Ok(())
            }
        }
    }

    /// The segments that there are, and their lengths in bytes.
    pub(crate) fn list(&self) -> io::Result<Vec<(Name, u64)>> {
        let listing = self.store.list(Some(&self.prefix));
        let all: Vec<ObjectMeta> = self.wait(listing.try_collect())?;
        let named = all.iter().filter_map(|object| {
            let path = std::path::Path::new(object.location.as_ref());
            let name = Name::of_path(path)?;
            // Further down there may be another's.
            (self.path_of(&name) == object.location).then_some((name, object.size))
        });
        Ok(named.collect())
    }

    /// Keeps a segment's file under its name: once this has returned, for good. Breaks off when it is to end.
    pub(crate) fn put(&self, name: &Name, file: Reader, ends: &dyn Fn() -> bool) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        let path = self.path_of(name);
        let length = file.len();
        let kept = self.wait_unless(ends, async move {
            let upload = store.put_multipart(&path).await?;
            let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
            let mut at = 0;
            while at < length {
                writer.wait_for_capacity(PARTS).await?;
                let part = usize::try_from(length - at).map_or(PART, |left| left.min(PART));
                match file.get_bytes(at, part) {
                    Ok(bytes) => writer.put(bytes),
                    Err(error) => {
                        writer.abort().await?;
                        return Err(unread(error));
                    }
                }
                at += part as u64;
            }
            writer.finish().await?;
            Ok(store.head(&path).await?.size)
        })?;
        match kept == length {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "{kept} bytes of {length} are there after it was sent"
            ))),
        }
    }

    /// Removes a segment; fine if it is not there.
    pub(crate) fn remove(&self, name: &Name) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path_of(name));
        match self.wait(async move { store.delete(&path).await }) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads a range of an object of `length` bytes.
    pub(crate) fn read(&self, path: &Path, range: Range<u64>, length: u64) -> io::Result<Bytes> {
        if range.end - range.start >= 2 * BLOCK {
            return self.ask(path, range);
        }
        let mut bytes = BytesMut::new();
        let mut block = range.start / BLOCK;
        while block * BLOCK < range.end {
            let start = block * BLOCK;
            let whole = self.block(path, start..(start + BLOCK).min(length))?;
            let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
            let own = within(range.start)..within(range.end).min(whole.len());
            if start <= range.start && range.end <= start + BLOCK {
                return Ok(whole.slice(own));
            }
            bytes.extend_from_slice(&whole[own]);
            block += 1;
        }
        Ok(bytes.freeze())
    }

    fn block(&self, path: &Path, range: Range<u64>) -> io::Result<Bytes> {
        if let Some(bytes) = self.blocks.lock().find(path, range.start) {
            return Ok(bytes);
        }
        let bytes = self.ask(path, range.clone())?;
        self.blocks.lock().keep(path, range.start, bytes.clone());
        Ok(bytes)
    }

    fn ask(&self, path: &Path, range: Range<u64>) -> io::Result<Bytes> {
        let length = range.end - range.start;
        let (store, path) = (Arc::clone(&self.store), path.clone());
        let bytes = self.wait(async move { store.get_range(&path, range).await })?;
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Does something on the bucket's own threads and waits for it, on whatever thread this is.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        self.wait_unless(&|| false, work)
    }

    /// The same, unless it is to end before that is done.
    fn wait_unless<T: Send + 'static>(
        &self,
        ends: &dyn Fn() -> bool,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let gone = || io::Error::other("the work on a bucket was broken off");
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let (done, answer) = sync_channel(1);
        let work = runtime.spawn(async move {
            // Nobody waits any more where this fails.
            let _ = done.send(work.await);
        });
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(answer) => return answer.map_err(failed),
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                Err(RecvTimeoutError::Timeout) if ends() => {
                    work.abort();
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // The last to hold it may be a thread of another runtime, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.root, self.prefix)
    }
}

/// The name and the prefix in `s3://NAME/PREFIX`.
fn parts(address: &str) -> io::Result<(&str, Path)> {
    let expected = || {
        let told = "expected the address of a bucket such as s3://name or s3://name/prefix";
        io::Error::new(io::ErrorKind::InvalidInput, told)
    };
    let rest = address.strip_prefix("s3://").ok_or_else(expected)?;
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(expected());
    }
    let prefix = Path::parse(prefix.trim_matches('/')).map_err(|_| expected())?;
    Ok((name, prefix))
}

fn failed(error: object_store::Error) -> io::Error {
    let kind = match error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// The error of a file that was to be sent, as one of the sending.
fn unread(error: parquet::errors::ParquetError) -> object_store::Error {
    object_store::Error::Generic {
        store: "the local file",
        source: Box::new(error),
    }
}

/// Blocks that were read, the latest first.
#[derive(Default)]
struct Blocks(VecDeque<(Path, u64, Bytes)>);

impl Blocks {
    fn find(&mut self, path: &Path, start: u64) -> Option<Bytes> {
        let is_it = |(other, at, _): &(Path, u64, Bytes)| *at == start && other == path;
        let found = self.0.iter().position(is_it)?;
        let block = self.0.remove(found)?;
        let bytes = block.2.clone();
        self.0.push_front(block);
        Some(bytes)
    }

    fn keep(&mut self, path: &Path, start: u64, bytes: Bytes) {
        self.0.push_front((path.clone(), start, bytes));
        self.0.truncate(BLOCKS);
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn an_address_names_a_bucket_and_maybe_a_prefix() {
        for (address, name, prefix) in [
            ("s3://spans", "spans", ""),
            ("s3://spans/", "spans", ""),
            ("s3://my.spans-1/a/b/", "my.spans-1", "a/b"),
        ] {
            let found = parts(address).unwrap();
            assert_eq!((found.0, found.1.as_ref()), (name, prefix), "{address}");
        }
        for wrong in [
            "",
            "spans",
            "s3://",
            "s3:///a",
            "http://spans",
            "s3://a b",
            "s3://a/b//c",
        ] {
            let error = parts(wrong).unwrap_err().to_string();
            assert!(error.contains("s3://name/prefix"), "{wrong}: {error}");
        }
    }

    #[test]
    fn any_range_is_read_as_it_is_stored() {
        let store = Arc::new(InMemory::new());
        let bucket = Bucket::of(store.clone(), "s3://x".into(), Path::default()).unwrap();
        let length = 5 * BLOCK / 2;
        let all: Bytes = (0..length).map(|at| (at / 7) as u8).collect();
        let path = Path::from("object");
        let (kept, to) = (all.clone(), path.clone());
        let put = bucket.wait(async move { store.put(&to, kept.into()).await });
        put.unwrap();
        for (start, end) in [
            (0, 1),
            (0, BLOCK),
            (BLOCK - 3, BLOCK + 3),
            (BLOCK, 2 * BLOCK),
            (BLOCK / 2, 2 * BLOCK + 1),
            (0, length),
            (length - 8, length),
            (length, length),
        ] {
            let read = bucket.read(&path, start..end, length).unwrap();
            let (start, end) = (start as usize, end as usize);
            assert!(read == all.slice(start..end), "{start}..{end}");
        }
    }

    #[test]
    fn a_bucket_has_one_owner() {
        let bucket = Bucket::of(Arc::new(InMemory::new()), "s3://x".into(), "a".into()).unwrap();
        assert_eq!(bucket.owner().unwrap(), None);
        bucket.claim("me").unwrap();
        bucket.claim("me").unwrap();
        let error = bucket.claim("you").unwrap_err().to_string();
        assert!(
            error.contains("(\"me\")") && error.contains("a/hopline-owner"),
            "{error}"
        );
    }
}
