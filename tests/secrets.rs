//! The secrets of a build are nowhere: not on the runner's disk, not in the rows, not in the trace, not on the screen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Place, Service, eventually, finish};

const ANY: &str = "127.0.0.1:0";

/// With a quote and a backslash, so that JSON writes it otherwise.
const BY_NAME: &str = r#"hunter2"by\its-name"#;
const BY_WORD: &str = "named-by-the-build";

/// Gives a command the secrets as variables: the runner's own.
fn with_secrets(mut command: Command) -> Command {
    command.env("SHOP_TOKEN", BY_NAME).env("PLAIN", BY_WORD);
    command
}

/// Writes to its output, in pieces and whole, and to a text of its own, delta by delta.
const AGENT: &str = r#"
const say = (text, to = 1) => require("fs").writeSync(to, text);
const part = (members) => say(JSON.stringify(members) + "\n");
const { SHOP_TOKEN: token, PLAIN: plain } = process.env;
part({ type: "text-start", id: "t" });
for (const delta of `<${token}|${plain}>`) part({ type: "text-delta", id: "t", delta });
part({ type: "text-end", id: "t" });
const input = { [plain]: [token, { in: `a ${token} b` }] };
part({ type: "tool-input-available", toolCallId: "c", toolName: "Bash", input });
part({ type: "tool-output-available", toolCallId: "c", output: `it said ${token}` });
say(`whole lines: ${token} ${plain}\n`);
part({ type: "finish" });
say(token.slice(0, 5), 2);
setTimeout(() => {
    say(token.slice(5) + "\n", 2);
    process.exitCode = 3;
}, 200);
"#;

#[test]
fn no_secret_of_a_build_is_told_anywhere() {
    let place = Place::new();
    place.write("agent.cjs", AGENT);
    std::fs::create_dir(place.project().join(BY_WORD)).unwrap();
    place.write(
        "steps.toml",
        r#"
[[steps]]
name = "say it"
run = 'printf "%s-%s %s\n" "$SHOP_TOKEN" "$PLAIN" "$STEP_PASSWORD"; printf "%s" "$SHOP_TOKEN" >&2'
env = { STEP_PASSWORD = "of-this-step-alone" }
cwd = "named-by-the-build"
[[steps]]
name = "fail with it"
run = ["/no/such/named-by-the-build"]
"#,
    );
    let mut shown = String::new();
    let script = r#"printf %s "${SHOP_TOKEN%name}"; sleep 0.2; printf "%s\n" name; echo "$PLAIN"; "$SHOP_TOKEN""#;
    let agent = place.project().join("agent.cjs");
    let agent = agent.to_str().unwrap();
    for work in [
        &["--", "sh", "-c", script][..],
        &["--", "sh", "-c", ": named-by-the-build"],
        &["--file", "steps.toml"],
        &["--agent", "stream", "--", "node", agent],
    ] {
        let args = [&["run", "--full", "--secret", "PLAIN"][..], work].concat();
        let ended = finish(with_secrets(place.hopline(&args)));
        assert!(ended.stdout.contains("***"), "{ended}");
        shown += &ended.to_string();
        shown += &place.run(&["trace", "last", "--json"]).expect(0).stdout;
    }
    assert!(
        shown.contains("***|***>") || shown.contains("<***"),
        "{shown}"
    );
    for secret in [BY_NAME, BY_WORD, "of-this-step-alone", r#"hunter2\"by"#] {
        assert!(!shown.contains(secret), "{secret} is shown:\n{shown}");
        nowhere(&place.data(), secret);
    }
    let rows = rusqlite::Connection::open(place.data().join("hopline.db")).unwrap();
    let text = |id: &str| -> String {
        let mut parts = rows
            .prepare(
                "SELECT content FROM generation_notes WHERE text_id = ?1 ORDER BY created_at, part",
            )
            .unwrap();
        let parts = parts
            .query_map([id], |row| row.get::<_, String>(0))
            .unwrap();
        parts.map(Result::unwrap).collect()
    };
    assert_eq!(text("t"), "<***|***>");
    assert_eq!(text("step-1-stdout"), "***-*** ***\n");
    assert_eq!(text("step-1-stderr"), "***");
    assert!(
        text("stdout").contains("whole lines: *** ***\n"),
        "{}",
        text("stdout")
    );
    let call: (String, String) = rows
        .query_row(
            "SELECT input, output FROM generation_tool_calls WHERE tool_call_id = 'c'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let input: serde_json::Value = serde_json::from_str(&call.0).unwrap();
    assert_eq!(
        input,
        serde_json::json!({"***": ["***", {"in": "a *** b"}]})
    );
    assert_eq!(call.1, r#""it said ***""#);
}

#[test]
fn no_secret_waits_on_the_runners_disk() {
    let place = Place::new();
    let server = place.service(&["server", "--listen", ANY]);
    let broker = place.service(&["broker", "--listen", ANY]);
    let url = broker.url("broker");
    let runner = with_secrets(place.hopline(&["runner", "--id", "far", "--broker", &url]));
    let runner = Service::start(runner);
    let go = place.path().join("go");
    let script = format!(
        r#"echo begun; until test -e {}; do sleep 0.02; done; echo "$SHOP_TOKEN"; echo all-$((6*7)); sleep 30"#,
        go.display()
    );
    let build = ["build", "shop", "--", "sh", "-c", &script];
    eventually("the runner is known to the server", || {
        (place.run(&["build", "warm-up", "--", "true"]).code() == 0).then_some(())
    });
    let follower = Service::start_until(place.hopline(&build), "  │ begun");
    broker.kill();
    std::fs::write(&go, "").unwrap();
    let outbox = place.data().join("outbox");
    eventually("what it said is on disk", || {
        holds(&outbox, "all-42").first().map(|_| ())
    });
    assert!(!holds(&outbox, "***").is_empty());
    nowhere(&outbox, BY_NAME);
    nowhere(&outbox, r#"hunter2\\\"by"#);
    drop((follower, runner, server));
}

/// No file in the folder holds the text.
#[track_caller]
fn nowhere(folder: &Path, text: &str) {
    assert_eq!(
        holds(folder, text),
        Vec::<String>::new(),
        "{text} is in these"
    );
}

/// The files in a folder that hold a text; what is written by the test itself, the projects, apart.
fn holds(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "projects") {
                found.extend(holds(&path, text));
            }
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}
