//! The seam between what Hopline itself keeps on disk and the file system, and the real one behind it.
//!
//! The trace log and the runner's outbox do to files only what stands here, so that a test can put a file system
//! in its place that fails, fills up, or forgets at any moment what was not yet synced (`power`, with the feature
//! `testing`).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(feature = "testing")]
pub mod power;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file system, as a store needs it.
pub trait FileSystem: Send + Sync {
    /// Makes a folder and those above it; fine if it is there.
    ///
    /// # Errors
    /// As [`fs::create_dir_all`].
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a folder, in no order.
    ///
    /// # Errors
    /// As [`fs::read_dir`].
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Makes a new file.
    ///
    /// # Errors
    /// If it cannot be made, or if it is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Removes a file. Those who have it open can go on reading it.
    ///
    /// # Errors
    /// As [`fs::remove_file`].
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, in the place of a file that has it.
    ///
    /// # Errors
    /// As [`fs::rename`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// All files in a folder and in those within it, in no order; none if it is not there.
    ///
    /// # Errors
    /// As [`fs::read_dir`].
    fn walk(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes the making, renaming and removing of files in a folder durable.
    ///
    /// # Errors
    /// If that failed.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub trait File: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// If it cannot be told.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// Also if the file ends before.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Then any part of it may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// As [`fs::File::set_len`].
    fn cut(&self, length: u64) -> io::Result<()>;

    /// Makes what was written, and the file's length, durable.
    ///
    /// # Errors
    /// Then nobody knows what of it is.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl FileSystem for Disk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            // A name that is no text is none of the store's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn walk(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => folders.push(entry.path()),
                    false => files.push(entry.path()),
                }
            }
        }
        Ok(files)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
