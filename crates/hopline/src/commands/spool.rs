//! Something that may be large and is read quickly, to be written out at its reader's pace: what it was read from can
//! be closed in between. Beyond a bound it lies in a file that has no name any more, so that it goes with its process.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// How much stays in memory.
const IN_MEMORY: usize = 1 << 20;

/// What was read.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
}

impl Spool {
    /// An empty one, whose file is in this folder once it has one.
    pub(crate) fn within(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            memory: Vec::new(),
            file: None,
        }
    }

    /// Writes all of it out.
    ///
    /// # Errors
    /// If it cannot be read again, or what `out` says.
    pub(crate) fn pour(self, out: &mut impl Write) -> io::Result<()> {
        if let Some(mut file) = self.file {
            file.rewind()?;
            io::copy(&mut file, out)?;
        }
        out.write_all(&self.memory)
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => nameless(&self.folder)?,
        };
        file.write_all(&self.memory)?;
        self.memory.clear();
        self.file = Some(file);
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.memory.len() >= IN_MEMORY {
            self.spill()?;
        }
        self.memory.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that only this process has.
fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!("spool.{}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        for size in [10, IN_MEMORY / 2, 5 * IN_MEMORY + 7] {
            let mut spool = Spool::within(folder.path());
            let all: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
            for piece in all.chunks(4_093) {
                spool.write_all(piece).unwrap();
                assert!(spool.memory.len() < IN_MEMORY + 4_093, "it stays bounded");
            }
            let mut out = Vec::new();
            spool.pour(&mut out).unwrap();
            assert!(out == all, "{size} bytes came out otherwise");
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
