//! A file system in memory, for tests, that can lose its power, fill up, and fail to sync.

#![allow(
    clippy::unwrap_used,
    reason = "its files lie in memory, so their lengths fit"
)]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::{File, FileSystem};

/// What of the unsynced writes a power cut leaves.
#[derive(Debug, Clone, Copy)]
pub enum Left {
    /// None of them, and no file that its folder was not synced for.
    Nothing,
    /// All: the disk was about to have written them.
    Everything,
    /// Every other one, as far as its middle: disks write in any order.
    Patches,
    /// All of them with their length, but other bytes.
    Garbage,
}

impl Left {
    /// All of these.
    pub const ALL: [Self; 4] = [
        Self::Nothing,
        Self::Everything,
        Self::Patches,
        Self::Garbage,
    ];
}

/// The file system. Clones are the same one.
#[derive(Clone, Default)]
pub struct Power(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    gate: Condvar,
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    durable_names: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    /// Operations so far, and the one at which the power goes.
    operations: u64,
    cut_at: Option<u64>,
    dead: bool,
    /// How many bytes all files together may have.
    capacity: Option<usize>,
    failing_syncs: u32,
    failing_reads: u32,
    syncs: u64,
    syncs_held: bool,
}

#[derive(Default, Clone)]
struct Node {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, written) => {
                let end = at + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(written);
            }
            Self::Cut(length) => bytes.truncate(*length),
        }
    }
}

fn no_power() -> io::Error {
    io::Error::other("no power")
}

impl State {
    /// Counts an operation. Whether the power goes during it; an error if it is gone.
    fn operate(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(no_power());
        }
        self.operations += 1;
        self.dead = self.cut_at == Some(self.operations);
        Ok(self.dead)
    }

    fn bytes(&self) -> usize {
        let lengths = self.names.values().map(|node| node.lock().now.len());
        lengths.sum()
    }
}

impl Power {
    /// Cuts the power during the operation with this number, from 1.
    pub fn cut_at(operation: u64) -> Self {
        let power = Self::default();
        power.0.state.lock().cut_at = Some(operation);
        power
    }

    /// The same file system, with its next cut at an operation counted from now.
    pub fn cutting_at(self, operation: u64) -> Self {
        let mut state = self.0.state.lock();
        state.cut_at = Some(state.operations + operation);
        drop(state);
        self
    }

    /// Whether the power is gone.
    pub fn is_cut(&self) -> bool {
        self.0.state.lock().dead
    }

    /// The file system as it is when the power comes back.
    pub fn after_cut(&self, left: Left) -> Self {
        let state = self.0.state.lock();
        let names = match left {
            Left::Nothing => &state.durable_names,
            _ => &state.names,
        };
        let names: BTreeMap<_, _> = names
            .iter()
            .map(|(path, node)| (path.clone(), Arc::new(Mutex::new(node.lock().after(left)))))
            .collect();
        let power = Self::default();
        let mut new = power.0.state.lock();
        new.durable_names = names.clone();
        new.names = names;
        drop(new);
        power
    }

    /// How many bytes all files together may have from now on; none is as many as wanted.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.0.state.lock().capacity = bytes;
    }

    /// How many bytes all files have together.
    pub fn used(&self) -> usize {
        self.0.state.lock().bytes()
    }

    /// Lets the next sync fail, and forget what it should have made durable.
    pub fn fail_next_sync(&self) {
        self.0.state.lock().failing_syncs += 1;
    }

    /// Lets the next so many reads of files that are open fail.
    pub fn fail_next_reads(&self, reads: u32) {
        self.0.state.lock().failing_reads = reads;
    }

    /// How many syncs there were.
    pub fn syncs(&self) -> u64 {
        self.0.state.lock().syncs
    }

    /// Makes syncs wait, or lets them go on.
    pub fn hold_syncs(&self, held: bool) {
        self.0.state.lock().syncs_held = held;
        self.0.gate.notify_all();
    }

    /// Changes bytes of a file, as a bad disk would.
    pub fn damage(&self, path: &Path, at: usize) {
        let state = self.0.state.lock();
        let mut node = state.names[path].lock();
        node.now[at] ^= 0x55;
        node.durable = node.now.clone();
    }

    /// All files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.state.lock().names.keys().cloned().collect()
    }

    /// What a file holds now.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn content(&self, path: &Path) -> Vec<u8> {
        self.0.state.lock().names[path].lock().now.clone()
    }

    /// Makes a file with this content, durable at once.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let node = Node {
            now: bytes.to_vec(),
            durable: bytes.to_vec(),
            unsynced: Vec::new(),
        };
        let mut state = self.0.state.lock();
        state
            .names
            .insert(path.to_owned(), Arc::new(Mutex::new(node)));
    }
}

impl Node {
    fn after(&self, left: Left) -> Self {
        let mut bytes = self.durable.clone();
        for (number, change) in self.unsynced.iter().enumerate() {
            match (left, change) {
                (Left::Nothing, _) => {}
                (Left::Patches, _) if number % 2 == 1 => {}
                (Left::Patches, Change::Write(at, written)) => {
                    Change::Write(*at, written[..written.len() / 2].to_vec()).apply(&mut bytes);
                }
                (Left::Garbage, Change::Write(at, written)) => {
                    let garbage = written.iter().map(|byte| byte ^ 0xa5).collect();
                    Change::Write(*at, garbage).apply(&mut bytes);
                }
                _ => change.apply(&mut bytes),
            }
        }
        Self {
            now: bytes.clone(),
            durable: bytes,
            unsynced: Vec::new(),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }
}

impl FileSystem for Power {
    fn create_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.0.state.lock();
        let own = state.names.keys().filter(|path| path.starts_with(folder));
        let names = own.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        Ok(names.collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.0.state.lock();
        let cut = state.operate()?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let node = Arc::<Mutex<Node>>::default();
        state.names.insert(path.to_owned(), Arc::clone(&node));
        let power = self.clone();
        if cut {
            return Err(no_power());
        }
        Ok(Box::new(PowerFile { power, node }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let state = self.0.state.lock();
        let node = state.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(PowerFile {
            power: self.clone(),
            node: Arc::clone(node),
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.operate()?;
        state.names.remove(path).ok_or(ErrorKind::NotFound)?;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        let cut = state.operate()?;
        let node = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), node);
        if cut { Err(no_power()) } else { Ok(()) }
    }

    fn walk(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.0.state.lock();
        let own = state.names.keys().filter(|path| path.starts_with(folder));
        Ok(own.cloned().collect())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        if state.operate()? {
            return Err(no_power());
        }
        let State {
            names,
            durable_names,
            ..
        } = &mut *state;
        let is_in = |name: &Path| name.parent() == Some(path);
        durable_names.retain(|name, _| !is_in(name));
        let synced = names.iter().filter(|(name, _)| is_in(name));
        durable_names.extend(synced.map(|(name, node)| (name.clone(), Arc::clone(node))));
        Ok(())
    }
}

struct PowerFile {
    power: Power,
    node: Arc<Mutex<Node>>,
}

impl File for PowerFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.node.lock().now.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.power.0.state.lock();
        if state.failing_reads > 0 {
            state.failing_reads -= 1;
            return Err(io::Error::other("the disk did not give it"));
        }
        drop(state);
        let node = self.node.lock();
        let start = usize::try_from(offset).unwrap();
        let source = node.now.get(start..start + bytes.len());
        bytes.copy_from_slice(source.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.power.0.state.lock();
        let cut = state.operate()?;
        let room = state.capacity.map_or(usize::MAX, |capacity| {
            capacity.saturating_sub(state.bytes())
        });
        let written = if cut {
            bytes.len() / 2
        } else {
            bytes.len().min(room)
        };
        let at = usize::try_from(offset).unwrap();
        let change = Change::Write(at, bytes[..written].to_vec());
        self.node.lock().change(change);
        if cut {
            Err(no_power())
        } else if written < bytes.len() {
            Err(ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.power.0.state.lock().operate()?;
        let length = usize::try_from(length).unwrap();
        self.node.lock().change(Change::Cut(length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.power.0.state.lock();
        while state.syncs_held {
            self.power.0.gate.wait(&mut state);
        }
        if state.operate()? {
            return Err(no_power());
        }
        state.syncs += 1;
        let mut node = self.node.lock();
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            // As Linux does it: what could not be written is forgotten, and the next sync says nothing.
            node.unsynced.clear();
            return Err(io::Error::other("the disk did not take it"));
        }
        for change in std::mem::take(&mut node.unsynced) {
            change.apply(&mut node.durable);
        }
        Ok(())
    }
}
