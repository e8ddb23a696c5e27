//! The projects' folders, and all that commands may do with the files in them.
//!
//! A project is the folder `root/<slug>`, or one that was [named](Workspace::with_project) for it.
//! A path of a command is taken relative to its project's folder and cannot leave it: not by `..`,
//! not by being absolute, not by a symbolic link, not by anything that changes on disk meanwhile.
//! Links that stay inside are followed. This keeps a command's files apart; it is no sandbox for
//! what a build *runs*.
//!
//! Every refusal is a [`WorkspaceError`] with a stable [code](WorkspaceError::code). The calls
//! block on the disk: an async caller puts them on a blocking thread.

mod error;
mod files;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

pub use error::WorkspaceError;
use error::failed;
use resolve::Resolver;

/// The longest name of a folder or file (`NAME_MAX` of the usual file systems), in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The flags to name a folder without reading it.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// All projects of a runner. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: Arc<Path>,
    named: Arc<BTreeMap<String, PathBuf>>,
    resolver: Resolver,
}

impl Workspace {
    /// The projects below `root`, an absolute path, which is made when the first project is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into().into(),
            named: Arc::default(),
            resolver: Resolver::Kernel,
        }
    }

    /// The same, where `slug` stands for `directory` (an absolute path), wherever that is. Such a
    /// folder is its owner's: it is used, but never deleted.
    #[must_use]
    pub fn with_project(mut self, slug: impl Into<String>, directory: impl Into<PathBuf>) -> Self {
        Arc::make_mut(&mut self.named).insert(slug.into(), directory.into());
        self
    }

    /// Makes the project's folder, if it is not there, and tells its path.
    ///
    /// # Errors
    /// When the slug is no name of a folder, something else has the name, or the folder cannot be
    /// made.
    pub fn ensure_project(&self, slug: &str) -> Result<PathBuf, WorkspaceError> {
        path_of(&self.make_project(slug)?).map_err(|source| failed("open", slug, source))
    }

    /// The path of a folder inside the project: a step's `cwd`, say. `""` and `"."` are the
    /// project's own folder; an absolute path is taken if it leads into the project.
    ///
    /// # Errors
    /// When there is no such folder, or it is not inside the project.
    pub fn cwd_within(&self, slug: &str, path: &str) -> Result<PathBuf, WorkspaceError> {
        let project = self.open_project(slug)?;
        let at = |error: Errno| failed("open", path, error.into());
        let inside = if path.starts_with('/') {
            check_text(path)?;
            let home = path_of(&project).map_err(|source| failed("open", slug, source))?;
            let named = self
                .named
                .get(slug)
                .cloned()
                .unwrap_or_else(|| self.root.join(slug));
            let inside = [home, named]
                .into_iter()
                .find_map(|home| Path::new(path).strip_prefix(home).ok());
            inside.ok_or_else(|| WorkspaceError::OutsideProject {
                path: path.to_owned(),
            })?
        } else {
            Path::new(relative(path)?)
        };
        let inside = if inside.as_os_str().is_empty() {
            Path::new(".")
        } else {
            inside
        };
        let folder = self
            .resolver
            .open(project.as_fd(), inside, FOLDER, Mode::empty())
            .map_err(at)?;
        path_of(&folder).map_err(|source| failed("open", path, source))
    }

    /// The project and the folder that a `workingDirectory` means, where no slug is given beside
    /// it: an absolute path into some project, or a relative one that starts with the project's
    /// slug.
    ///
    /// # Errors
    /// As [`cwd_within`](Self::cwd_within).
    pub fn locate(&self, directory: &str) -> Result<(String, PathBuf), WorkspaceError> {
        check_text(directory)?;
        let path = Path::new(directory);
        if let Some((slug, _)) = self.named.iter().find(|(_, home)| path.starts_with(home)) {
            return Ok((slug.clone(), self.cwd_within(slug, directory)?));
        }
        let outside = || WorkspaceError::OutsideProject {
            path: directory.to_owned(),
        };
        let below_root = if path.is_absolute() {
            let canonical = self
                .root
                .canonicalize()
                .unwrap_or_else(|_| self.root.to_path_buf());
            path.strip_prefix(&self.root)
                .or_else(|_| path.strip_prefix(canonical))
                .map_err(|_| outside())?
        } else {
            path
        };
        let mut components = below_root.components();
        let slug = match components.next() {
            Some(Component::Normal(slug)) => slug.to_str().ok_or_else(outside)?,
            _ => return Err(outside()),
        };
        let inside = components.as_path().to_str().ok_or_else(outside)?;
        Ok((slug.to_owned(), self.cwd_within(slug, inside)?))
    }

    /// Deletes the project's folder with all that is in it; links are removed, not followed. False:
    /// there was none.
    ///
    /// # Errors
    /// When the folder is not the runner's to delete, is no folder, or cannot be removed (wholly).
    pub fn delete_project(&self, slug: &str) -> Result<bool, WorkspaceError> {
        if self.named.contains_key(slug) {
            return Err(WorkspaceError::Protected {
                slug: slug.to_owned(),
            });
        }
        match self.open_project(slug) {
            Ok(_) => {}
            Err(WorkspaceError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        // The standard library walks by descriptors and follows no link, neither below nor at the
        // folder itself.
        match std::fs::remove_dir_all(self.root.join(slug)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(failed("delete", slug, source)),
        }
    }

    /// Opens a project's folder that must be there.
    fn open_project(&self, slug: &str) -> Result<OwnedFd, WorkspaceError> {
        let at = |error: Errno| failed("open", slug, error.into());
        if let Some(directory) = self.named.get(slug) {
            return rustix::fs::open(directory, FOLDER, Mode::empty()).map_err(at);
        }
        check_slug(slug)?;
        let root = rustix::fs::open(&*self.root, FOLDER, Mode::empty()).map_err(at)?;
        openat(&root, slug, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(|error| {
            // What is no folder is perhaps a link to one, elsewhere.
            if error == Errno::NOTDIR && readlinkat(&root, slug, Vec::new()).is_ok() {
                return WorkspaceError::OutsideProject {
                    path: slug.to_owned(),
                };
            }
            at(error)
        })
    }

    /// Opens a project's folder, making it first if need be.
    fn make_project(&self, slug: &str) -> Result<OwnedFd, WorkspaceError> {
        match self.open_project(slug) {
            Err(WorkspaceError::NotFound { .. }) if !self.named.contains_key(slug) => {}
            other => return other,
        }
        std::fs::create_dir_all(self.root.join(slug))
            .map_err(|source| failed("create", slug, source))?;
        self.open_project(slug)
    }
}

/// Checks that a slug can name a folder directly below the root.
fn check_slug(slug: &str) -> Result<(), WorkspaceError> {
    let reason = match slug {
        "" => "it is empty",
        "." | ".." => "it names no folder of its own",
        _ if slug.contains('/') => "it holds a slash",
        _ if slug.contains('\0') => "it holds a NUL byte",
        _ if slug.len() > MAX_NAME_BYTES => "it is longer than 255 bytes",
        _ => return Ok(()),
    };
    Err(WorkspaceError::InvalidPath {
        path: slug.to_owned(),
        reason,
    })
}

/// Checks that a path can be handed to the kernel at all.
fn check_text(path: &str) -> Result<(), WorkspaceError> {
    if path.contains('\0') {
        return Err(WorkspaceError::InvalidPath {
            path: path.replace('\0', "\u{fffd}"),
            reason: "it holds a NUL byte",
        });
    }
    Ok(())
}

/// The path, if it is a relative one. Whether it stays inside is found when it is opened.
fn relative(path: &str) -> Result<&str, WorkspaceError> {
    check_text(path)?;
    if path.starts_with('/') {
        return Err(WorkspaceError::OutsideProject {
            path: path.to_owned(),
        });
    }
    Ok(path)
}

/// Where an open folder is.
fn path_of(folder: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}
