//! Reading, writing and listing the files of a project.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hopline_wire::event::{Encoding, FileContent, FileEntry};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, mkdirat, statat};
use rustix::io::Errno;

use super::error::failed;
use super::{FOLDER, Workspace, WorkspaceError, relative};

/// About what an entry of a list takes in JSON beside its name and path, in bytes.
const ENTRY_BYTES: usize = 64;

impl Workspace {
    /// Reads a file, in whichever encoding shows all of it.
    ///
    /// # Errors
    /// When it is not there, not a file, outside the project, or its encoded content longer than
    /// `max_bytes`. (What JSON's escapes add is for the maker of the event to see.)
    pub fn read(
        &self,
        slug: &str,
        path: &str,
        max_bytes: usize,
    ) -> Result<FileContent, WorkspaceError> {
        let at = |source: io::Error| failed("read", path, source);
        let too_large = || WorkspaceError::TooLarge {
            path: path.to_owned(),
            limit: max_bytes,
        };
        let project = self.open_project(slug)?;
        // NONBLOCK: opening a FIFO must not wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = self.open_file(&project, path, "read", flags, Mode::empty())?;
        let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        if file.metadata().map_err(at)?.len() > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        // It may grow meanwhile, or be of a file system that tells no sizes.
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(at)?;
        let size = bytes.len() as u64;
        let (content, encoding) = encode(bytes);
        if size > limit || content.len() > max_bytes {
            return Err(too_large());
        }
        Ok(FileContent {
            slug: slug.to_owned(),
            file_path: path.to_owned(),
            content,
            encoding,
            size,
        })
    }

    /// Writes a file, in place of what it held, making it and the folders above it where they are
    /// missing. The file keeps its identity (mode, links); a reader may see it half written.
    ///
    /// # Errors
    /// When it cannot be written, is not a file or outside the project, or `content` is not in its
    /// encoding. Folders made by then stay.
    pub fn write(
        &self,
        slug: &str,
        path: &str,
        content: &str,
        encoding: Encoding,
    ) -> Result<(), WorkspaceError> {
        let bytes = decode(content, encoding)
            .map_err(|reason| WorkspaceError::InvalidContent { reason })?;
        let parents = relative(path)?
            .rsplit_once('/')
            .map_or("", |(parents, _)| parents);
        let project = self.make_project(slug)?;
        self.make_folders(&project, parents)
            .map_err(|error| failed("write", path, error.into()))?;
        // Not TRUNC: what it is must be known before it is emptied.
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mut file =
            self.open_file(&project, path, "write", flags, Mode::from_raw_mode(0o666))?;
        let written = file.set_len(0).and_then(|()| file.write_all(&bytes));
        written.map_err(|source| failed("write", path, source))
    }

    /// The entries of a folder, by name; `""` and `"."` are the project's own folder. Links are
    /// shown, not followed.
    ///
    /// # Errors
    /// When it is not there, not a folder, outside the project, or the list longer than about
    /// `max_bytes` in JSON.
    pub fn list(
        &self,
        slug: &str,
        path: &str,
        max_bytes: usize,
    ) -> Result<Vec<FileEntry>, WorkspaceError> {
        let at = |error: Errno| failed("list", path, error.into());
        let project = self.open_project(slug)?;
        let inside = Path::new(if path.is_empty() {
            "."
        } else {
            relative(path)?
        });
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = self
            .resolver
            .open(project.as_fd(), inside, flags, Mode::empty())
            .map_err(at)?;
        let mut files = Vec::new();
        let mut bytes = 0;
        for entry in Dir::read_from(&folder).map_err(at)? {
            let entry = entry.map_err(at)?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            // Gone since it was read: no longer an entry.
            let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let file = file_entry(inside, &name.to_string_lossy(), &stat);
            bytes += file.name.len() + file.path.len() + ENTRY_BYTES;
            if bytes > max_bytes {
                return Err(WorkspaceError::TooLarge {
                    path: path.to_owned(),
                    limit: max_bytes,
                });
            }
            files.push(file);
        }
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// Makes the folders that are missing on a path, one below the other.
    fn make_folders(&self, project: &OwnedFd, path: &str) -> Result<(), Errno> {
        let open = |path: &Path| {
            self.resolver
                .open(project.as_fd(), path, FOLDER, Mode::empty())
        };
        let mut above = open(Path::new("."))?;
        let mut prefix = PathBuf::new();
        for component in Path::new(path).components() {
            prefix.push(component);
            above = match open(&prefix) {
                Err(Errno::NOENT) => {
                    match mkdirat(&above, component.as_os_str(), Mode::from_raw_mode(0o777)) {
                        // Somebody else was quicker; or a link that leads nowhere, as the next line
                        // finds.
                        Ok(()) | Err(Errno::EXIST) => open(&prefix)?,
                        Err(error) => return Err(error),
                    }
                }
                other => other?,
            };
        }
        Ok(())
    }

    /// Opens a regular file.
    fn open_file(
        &self,
        project: &OwnedFd,
        path: &str,
        operation: &'static str,
        flags: OFlags,
        mode: Mode,
    ) -> Result<File, WorkspaceError> {
        let inside = relative(path)?;
        if inside.is_empty() {
            return Err(WorkspaceError::InvalidPath {
                path: String::new(),
                reason: "it is empty",
            });
        }
        let not_a_file = || WorkspaceError::NotAFile {
            path: path.to_owned(),
        };
        let file = match self
            .resolver
            .open(project.as_fd(), Path::new(inside), flags, mode)
        {
            Ok(file) => File::from(file),
            // A socket, or a FIFO that nobody reads.
            Err(Errno::NXIO) => return Err(not_a_file()),
            Err(error) => return Err(failed(operation, path, error.into())),
        };
        let kind = file
            .metadata()
            .map_err(|source| failed(operation, path, source))?
            .file_type();
        if kind.is_dir() {
            return Err(WorkspaceError::IsADirectory {
                path: path.to_owned(),
            });
        }
        if kind.is_file() {
            Ok(file)
        } else {
            Err(not_a_file())
        }
    }
}

fn file_entry(folder: &Path, name: &str, stat: &rustix::fs::Stat) -> FileEntry {
    let (kind, size) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => ("file", stat.st_size),
        FileType::Directory => ("directory", 0),
        FileType::Symlink => ("symlink", stat.st_size),
        _ => ("other", 0),
    };
    let folder = folder.strip_prefix(".").unwrap_or(folder);
    FileEntry {
        name: name.to_owned(),
        kind: kind.to_owned(),
        path: folder.join(name).to_string_lossy().into_owned(),
        size: u64::try_from(size).unwrap_or(0),
    }
}

/// The bytes as text: as they are, if they are UTF-8.
fn encode(bytes: Vec<u8>) -> (String, Encoding) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, Encoding::Utf8),
        Err(error) => (BASE64.encode(error.as_bytes()), Encoding::Base64),
    }
}

/// The bytes that a command's `content` stands for, or what is wrong with it.
fn decode(content: &str, encoding: Encoding) -> Result<Cow<'_, [u8]>, &'static str> {
    match encoding {
        Encoding::Utf8 => Ok(Cow::Borrowed(content.as_bytes())),
        Encoding::Base64 => BASE64
            .decode(content)
            .map(Cow::Owned)
            .map_err(|_| "it is not base 64"),
    }
}
