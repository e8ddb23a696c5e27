//! Hostile inputs for parsers: those of a corpus, and mutations of them.
//!
//! A target is a function that parses its input and asserts what must hold of it. [`fuzz`] calls it with every file of
//! the corpus, then with mutations: a few hundred in a test run, always the same; for as long as `FUZZ_SECONDS` says in
//! `make fuzz`, others each time (`FUZZ_SEED` repeats a run). An input that makes the target panic, or take more memory
//! than its [`Bound`], is written into the corpus, so that it is tried first from then on.
//!
//! The mutations know nothing of coverage, which stable compilers do not tell, but much of what breaks parsers: edges of
//! numbers, lengths that lie, nesting, long runs, halves of escapes, pieces of one input in another.

mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// How many mutations a test run tries.
const QUICK: u32 = 400;

/// The largest input made, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// How much memory a target may hold at once on its thread: `base + factor × input`, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// For what is needed whatever the input.
    pub base: u64,
    /// For each byte of the input.
    pub factor: u64,
}

/// Runs a target on the inputs in a folder and on mutations of them.
///
/// # Panics
/// If the target panics or goes beyond the bound, if the folder has no input, or a variable is no number.
pub fn fuzz(corpus: &Path, bound: Bound, mut target: impl FnMut(&[u8])) {
    let inputs = read(corpus);
    assert!(!inputs.is_empty(), "no inputs in {}", corpus.display());
    let mut run = |input: &[u8]| {
        let mut panic = None;
        let info = allocation_counter::measure(|| {
            panic = catch_unwind(AssertUnwindSafe(|| target(input))).err();
        });
        let most = bound.base + bound.factor * input.len() as u64;
        if panic.is_none() && info.bytes_max <= most {
            return;
        }
        let path = keep(corpus, input);
        match panic {
            Some(panic) => {
                eprintln!("the input is kept as {path}");
                resume_unwind(panic);
            }
            None => panic!(
                "an input of {} bytes took {} bytes of memory, {most} are allowed; it is kept as {path}",
                input.len(),
                info.bytes_max
            ),
        }
    };
    for input in &inputs {
        run(input);
    }
    let time = number("FUZZ_SECONDS").map(Duration::from_secs);
    let seed = number("FUZZ_SEED").unwrap_or_else(|| {
        if time.is_some() {
            rand::rng().random()
        } else {
            1
        }
    });
    let mut random = StdRng::seed_from_u64(seed);
    let begun = Instant::now();
    let mut tried = 0_u64;
    let goes_on = |tried| match time {
        Some(time) => begun.elapsed() < time,
        None => tried < u64::from(QUICK),
    };
    while goes_on(tried) {
        let mut input = mutate::mutation(&inputs, &mut random);
        input.truncate(MAX_BYTES);
        run(&input);
        tried += 1;
    }
    println!(
        "{}: {tried} mutations of {} inputs, seed {seed}",
        corpus.display(),
        inputs.len()
    );
}

fn read(corpus: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(corpus);
    let entries = entries.unwrap_or_else(|error| panic!("read {}: {error}", corpus.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    // In the order of their names, so that a seed means the same everywhere.
    paths.sort();
    let inputs = paths
        .into_iter()
        .filter_map(|path| std::fs::read(path).ok());
    inputs.collect()
}

/// Writes an input into the corpus; gives where.
fn keep(corpus: &Path, input: &[u8]) -> String {
    // FNV-1a: only to tell inputs apart.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let path = corpus.join(format!("found-{hash:016x}"));
    match std::fs::write(&path, input) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("nothing ({error}): {}", input.escape_ascii()),
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}
