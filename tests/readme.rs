//! The commands in README.md work as they are printed there.
//!
//! What is run are the lines of code blocks marked `sh` that begin with `hopline `; services in them (`up`, `server`,
//! `broker`, `runner`) run until the block ends. Lines that begin with `make` are what this test is run by.

mod support;

use support::{Place, Service, finish};

const SERVICES: [&str; 4] = ["up", "server", "broker", "runner"];

#[test]
fn the_readmes_commands_work() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let Ok(readme) = std::fs::read_to_string(readme) else {
        // A checkout without its README has nothing to be held to.
        return;
    };
    for block in blocks(&readme) {
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
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/wordcount");
    copy(std::path::Path::new(example), &place.project());
    let mut services = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.trim_end_matches('&').split_whitespace().collect();
        let command = place.hopline(&words);
        if words.first().is_some_and(|word| SERVICES.contains(word)) {
            services.push(Service::start(command));
        } else {
            let ended = finish(command);
            assert_eq!(ended.code(), 0, "hopline {line}\n{ended}");
        }
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
