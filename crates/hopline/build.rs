//! Has the linker pack what the program's loader reads at each start, where that is understood.

use std::env;
use std::process::Command;

/// The first glibc that starts programs whose relative relocations are packed (`DT_RELR`), as major and minor version.
const UNDERSTOOD_SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let said = |name| env::var(name).unwrap_or_default();
    let is_glibc = said("CARGO_CFG_TARGET_OS") == "linux" && said("CARGO_CFG_TARGET_ENV") == "gnu";
    // Of another machine's glibc nothing is known.
    let is_own = said("HOST") == said("TARGET");
    if is_glibc && is_own && glibc().is_some_and(|version| version >= UNDERSTOOD_SINCE) {
        // There are some 350,000, which take 24 bytes each otherwise, and all of that stays in memory.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
