//! The commands in README.md work as they are printed there.
//!
//! What is run are the lines of code blocks marked `sh` that begin with `hopline `, in the folder of the example; services
//! in them (`up`, `server`, `broker`, `runner`) run until the block ends. Only what a reader replaces is replaced:
//! addresses by free ones on this machine, ids by the last build's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::HashMap;
use std::path::Path;

use support::{Place, Service, eventually, finish};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/wordcount");
const SERVICES: [&str; 4] = ["up", "server", "broker", "runner"];

/// The exit code of a build whose runner the server has not heard of yet.
const UNAVAILABLE: i32 = 69;

#[test]
fn the_readmes_commands_work() {
    let readme = std::fs::read_to_string(README).expect("the README");
    let blocks = blocks(&readme);
    assert!(
        blocks.iter().flatten().count() > 0,
        "the README shows how to use the program"
    );
    for block in blocks {
        run(&block);
    }
}

/// The `hopline` lines of each block.
fn blocks(readme: &str) -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    let mut current: Option<Vec<String>> = None;
    for line in readme.lines() {
        match &mut current {
            None if line.trim() == "```sh" => current = Some(Vec::new()),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(current.take()),
            Some(lines) => {
                let command = line.split(" #").next().unwrap_or_default().trim();
                let command = command.strip_prefix("target/release/").unwrap_or(command);
                lines.extend(command.strip_prefix("hopline ").map(str::to_owned));
            }
        }
    }
    blocks
}

fn run(lines: &[String]) {
    let place = Place::new();
    let example = Path::new(EXAMPLE);
    copy(example, &place.project());
    copy(
        &example.join("hopline-steps.toml"),
        &place.project().join("steps.toml"),
    );
    let mut services = HashMap::new();
    for line in lines {
        let words: Vec<String> = words_of(line.trim_end_matches('&'))
            .iter()
            .map(|word| replaced(word, &services))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(project) = words
            .iter()
            .position(|word| *word == "build")
            .and_then(|at| words.get(at + 1))
        {
            copy(example, &place.data().join("projects").join(project));
        }
        let command = || {
            let mut command = place.hopline(&words);
            command
                .env("HOPLINE_LISTEN", "127.0.0.1:0")
                .env("HOPLINE_BROKER_LISTEN", "127.0.0.1:0");
            command
        };
        let first = words.first().copied().unwrap_or_default();
        if SERVICES.contains(&first) {
            services.insert(first.to_owned(), Service::start(command()));
            continue;
        }
        let ended = eventually("there is a runner", || {
            let ended = finish(command());
            (ended.code() != UNAVAILABLE).then_some(ended)
        });
        assert_eq!(ended.code(), 0, "hopline {line}\n{ended}");
    }
}

/// A line's words: blanks part them, but for those within single quotes.
fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.last_mut().expect("one word at least").push_str(part);
            continue;
        }
        for (number, piece) in part.split(char::is_whitespace).enumerate() {
            if number > 0 {
                words.push(String::new());
            }
            words.last_mut().expect("one word at least").push_str(piece);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A word with the addresses and ids of this machine in place of the README's.
fn replaced(word: &str, services: &HashMap<String, Service>) -> String {
    let part = |name: &str| services.get(name).map(|service| service.url(name));
    if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return "last".to_owned();
    }
    match word {
        _ if word.ends_with(":4700") && word.contains("://") => {
            part("server").unwrap_or_else(|| word.to_owned())
        }
        _ if word.ends_with(":4701") && word.contains("://") => {
            part("broker").unwrap_or_else(|| word.to_owned())
        }
        _ if word.ends_with(":4700") || word.ends_with(":4701") => "127.0.0.1:0".to_owned(),
        _ => word.to_owned(),
    }
}

/// Copies a file or a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        std::fs::copy(from, to).expect("a file of the example");
        return;
    }
    std::fs::create_dir_all(to).expect("a folder for the example");
    for entry in std::fs::read_dir(from).expect("the example") {
        let entry = entry.expect("an entry");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
