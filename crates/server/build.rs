//! Finds the console's files, if it has been built, and writes the table by which they become a part of the program.
//!
//! They are copied first: a build of the console that runs meanwhile takes nothing from under the compiler's hands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, io};

/// The page that all others come from, and what must stand in it (`src/console.rs`).
const INDEX: &str = "index.html";
const BASE: &str = "<base href=\"/\"";

/// Endings of files that are another one, compressed.
const BROTLI: &str = ".br";
const GZIP: &str = ".gz";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let console = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../web/console");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let dist = console.join("dist");
    println!("cargo::rerun-if-changed=build.rs");
    let there = dist.join(INDEX).is_file();
    // What is not there cannot be watched: cargo would take it for changed each time. And of the folder above it would
    // watch every file.
    if console.is_dir() && !dist.exists() && fs::create_dir(&dist).is_ok() {
        // What is newer than this run counts as changed since. Where its time cannot be set, this runs once more.
        let _ = fs::File::open(&dist).and_then(|dist| dist.set_modified(SystemTime::UNIX_EPOCH));
    }
    if dist.exists() {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
    let copied = out.join("console");
    if copied.exists() {
        fs::remove_dir_all(&copied)?;
    }
    let mut files = Vec::new();
    if there {
        if !fs::read_to_string(dist.join(INDEX))?.contains(BASE) {
            return Err(format!("{INDEX} of the console has no {BASE} />").into());
        }
        copy(&dist, &copied, "", &mut files)?;
    }
    files.sort();
    fs::write(out.join("console.rs"), table(&files, &copied))?;
    Ok(())
}

/// Copies a folder, and notes the names of its files as a browser asks for them.
fn copy(from: &Path, to: &Path, within: &str, files: &mut Vec<String>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{within}{name}");
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(&name), &format!("{path}/"), files)?;
        } else {
            fs::copy(entry.path(), to.join(&name))?;
            files.push(path);
        }
    }
    Ok(())
}

/// The table, as Rust.
fn table(files: &[String], copied: &Path) -> String {
    let mut table = String::from("&[\n");
    let is_compressed = |path: &str| path.ends_with(BROTLI) || path.ends_with(GZIP);
    for path in files.iter().filter(|path| !is_compressed(path)) {
        let bytes = |path: &str| format!("include_bytes!({:?})", copied.join(path));
        let compressed = |ending: &str| {
            let path = format!("{path}{ending}");
            let is_there = files.binary_search(&path).is_ok();
            is_there
                .then(|| bytes(&path))
                .map_or_else(|| "None".to_owned(), |it| format!("Some({it})"))
        };
        let (content, brotli, gzip) = (bytes(path), compressed(BROTLI), compressed(GZIP));
        // Writing to a text cannot fail.
        let _ = writeln!(
            table,
            "File {{ path: {path:?}, content: {content}, brotli: {brotli}, gzip: {gzip} }},"
        );
    }
    table + "]\n"
}
