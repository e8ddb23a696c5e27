//! Why something could not be done to a file.

use std::io;

use rustix::io::Errno;

/// Why a file command was refused or failed. Paths are shown as the command gave them.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// No file or project can have this path or slug.
    #[error("invalid path {path:?}: {reason}")]
    InvalidPath {
        /// The path or slug.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The content is not in the encoding it says.
    #[error("invalid content: {reason}")]
    InvalidContent {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The path leads out of its project: by `..`, by being absolute, or by a link.
    #[error("{path:?} is outside the project")]
    OutsideProject {
        /// The path.
        path: String,
    },
    /// There is no such file, folder or project.
    #[error("{path:?} does not exist")]
    NotFound {
        /// The path or slug.
        path: String,
    },
    /// A file is needed and this is a folder.
    #[error("{path:?} is a directory")]
    IsADirectory {
        /// The path.
        path: String,
    },
    /// A folder is needed, here or further up, and this is not one.
    #[error("{path:?} is not a directory")]
    NotADirectory {
        /// The path.
        path: String,
    },
    /// A device, a socket or a FIFO.
    #[error("{path:?} is not a regular file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// The runner's user may not do this.
    #[error("cannot {operation} {path:?}: permission denied")]
    PermissionDenied {
        /// What was tried.
        operation: &'static str,
        /// The path.
        path: String,
    },
    /// More than one event can carry.
    #[error("{path:?} is too large: more than {limit} bytes")]
    TooLarge {
        /// The path.
        path: String,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
    /// The folder was named by the runner's owner and is not the runner's to delete.
    #[error("the folder of project {slug:?} does not belong to the runner and is not deleted")]
    Protected {
        /// The project.
        slug: String,
    },
    /// The disk or the system failed; the same may work later.
    #[error("cannot {operation} {path:?}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The path.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl WorkspaceError {
    /// A stable word for programs, as the wire's `code` field carries it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidPath { .. } => "invalid_path",
            Self::InvalidContent { .. } => "invalid_content",
            Self::OutsideProject { .. } => "outside_project",
            Self::NotFound { .. } => "not_found",
            Self::IsADirectory { .. } => "is_a_directory",
            Self::NotADirectory { .. } => "not_a_directory",
            Self::NotAFile { .. } => "not_a_file",
            Self::PermissionDenied { .. } => "permission_denied",
            Self::TooLarge { .. } => "too_large",
            Self::Protected { .. } => "protected",
            Self::Io { .. } => "io",
        }
    }
}

/// What the system's answer to an operation on `path` means here.
pub(super) fn failed(operation: &'static str, path: &str, source: io::Error) -> WorkspaceError {
    let path = path.to_owned();
    match Errno::from_io_error(&source) {
        // The answer of openat2(2) to a path that leaves the folder it was to stay beneath.
        Some(Errno::XDEV) => WorkspaceError::OutsideProject { path },
        Some(Errno::NOENT) => WorkspaceError::NotFound { path },
        Some(Errno::ISDIR) => WorkspaceError::IsADirectory { path },
        Some(Errno::NOTDIR) => WorkspaceError::NotADirectory { path },
        Some(Errno::ACCESS | Errno::PERM) => WorkspaceError::PermissionDenied { operation, path },
        Some(Errno::LOOP) => WorkspaceError::InvalidPath {
            path,
            reason: "its symbolic links go in circles",
        },
        Some(Errno::NAMETOOLONG) => WorkspaceError::InvalidPath {
            path,
            reason: "it is too long",
        },
        _ => WorkspaceError::Io {
            operation,
            path,
            source,
        },
    }
}
