//! Opening a path that must stay beneath a folder.
//!
//! Linux can promise that by itself (`openat2(2)` with `RESOLVE_BENEATH`, since 5.6). Older kernels
//! and some containers' system call filters cannot; there the path is walked component by
//! component, each opened without following links from the descriptor before it, and links are
//! followed by hand. Both ways hold against a tree that changes meanwhile, and give the same
//! answers.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;

/// The most symbolic links on one path, as in the kernel (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// How often the kernel's answer "something was renamed meanwhile, try again" is taken.
const MAX_TRIES: usize = 16;

/// How paths are kept beneath a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolver {
    /// By the kernel; by hand where it cannot.
    Kernel,
    /// By hand.
    Components,
}

impl Resolver {
    /// Opens `path` relative to `folder`. [`Errno::XDEV`]: it leads out of there.
    pub(super) fn open(
        self,
        folder: BorrowedFd<'_>,
        path: &Path,
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, Errno> {
        if self == Self::Components {
            return open_by_components(folder, path, flags, mode);
        }
        for _ in 0..MAX_TRIES {
            match openat2(
                folder,
                path,
                flags,
                mode,
                ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
            ) {
                Err(Errno::AGAIN) => {}
                // Not known to the kernel, or forbidden by a filter. If it is the file that may not
                // be opened, the other way finds the same.
                Err(Errno::NOSYS | Errno::PERM) => break,
                other => return other,
            }
        }
        open_by_components(folder, path, flags, mode)
    }
}

fn open_by_components(
    folder: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    if path.has_root() {
        return Err(Errno::XDEV);
    }
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT);
    }
    // The folders entered below `folder`, so that `..` needs no look at the disk; and what is still
    // to be walked, last first.
    let mut entered: Vec<OwnedFd> = Vec::new();
    let mut ahead = Vec::new();
    put_ahead(&mut ahead, path.as_os_str());
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        let here = entered.last().map_or(folder, |entered| entered.as_fd());
        match name.as_bytes() {
            b"" | b"." => continue,
            b".." => {
                entered.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            _ => {}
        }
        if let Ok(target) = readlinkat(here, name.as_os_str(), Vec::new()) {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            if target.as_bytes().starts_with(b"/") {
                return Err(Errno::XDEV);
            }
            put_ahead(&mut ahead, OsStr::from_bytes(target.as_bytes()));
        } else if ahead.is_empty() {
            return openat(here, name.as_os_str(), flags | OFlags::NOFOLLOW, mode);
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            entered.push(openat(here, name.as_os_str(), flags, Mode::empty())?);
        }
    }
    // The path ended in a folder: `.`, `..` or a slash.
    let here = entered.last().map_or(folder, |entered| entered.as_fd());
    openat(here, ".", flags, mode)
}

/// Puts a path's components in front of what is ahead. An empty one stands for a slash at the end,
/// which asks for a folder.
fn put_ahead(ahead: &mut Vec<OsString>, path: &OsStr) {
    let components = path.as_bytes().split(|&byte| byte == b'/');
    ahead.extend(
        components
            .rev()
            .map(|name| OsString::from_vec(name.to_vec())),
    );
}
