//! Nothing outlives a runner, however it dies: a process that plays the runner is killed, and what
//! its programs had started must be gone soon after.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hopline_runner::process::spawn;
use support::{eventually, exists, guard, pid_in, shell};

/// Where the process that plays the runner finds its folder.
const FOLDER: &str = "RUNNER_DEATH_TEST_FOLDER";

/// The programs whose ends are watched; each writes its process id into a file of this name.
const NAMES: [&str; 4] = ["main", "background", "daemon", "stubborn"];

/// Not a test: what the tests run as the runner. It starts a program that starts others in every
/// way that could escape, and waits.
#[tokio::test]
#[ignore = "run by the tests, as a process of its own"]
async fn play_the_runner() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let script = folder.join("script");
    std::fs::write(
        &script,
        "cd \"$(dirname \"$0\")\"\n\
         echo $$ >main\n\
         sleep 1000 & echo $! >background\n\
         # A daemon: a session of its own, and its parent gone.\n\
         setsid sh -c 'sh -c \"echo \\$\\$ >daemon; exec sleep 1000\" &'\n\
         # One that would rather not end.\n\
         sh -c 'trap \"\" TERM HUP INT; echo $$ >stubborn; while :; do sleep 1; done' &\n\
         wait\n",
    )
    .unwrap();
    let mut process = spawn(&guard(), shell(&format!("exec sh '{}'", script.display())))
        .await
        .unwrap();
    process.wait().await.unwrap();
}

fn start_runner(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "play_the_runner", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn nothing_survives_the_runners_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = start_runner(folder.path());
    let mut pids = Vec::new();
    for name in NAMES {
        pids.push(pid_in(&folder.path().join(name)).await);
    }
    assert!(
        pids.iter().all(|pid| exists(*pid)),
        "all run while the runner does"
    );
    runner.kill().unwrap();
    runner.wait().unwrap();
    eventually("all are gone", || !pids.iter().any(|pid| exists(*pid))).await;
}

#[tokio::test]
async fn nothing_survives_a_kill_while_programs_are_being_started() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let mut runner = start_runner(folder.path());
        let main = pid_in(&folder.path().join("main")).await;
        runner.kill().unwrap();
        runner.wait().unwrap();
        eventually("the program is gone", || !exists(main)).await;
        // No other program may have been started since, and those that were are gone.
        for name in &NAMES[1..] {
            let pid = std::fs::read_to_string(folder.path().join(name))
                .ok()
                .and_then(|text| text.trim().parse().ok());
            eventually("what it started is gone", || {
                pid.is_none_or(|pid| !exists(pid))
            })
            .await;
        }
    }
}

/// Plays the runner in a process namespace of its own below the tests' `/proc`, kills it there, and watches its programs.
const IN_A_NAMESPACE: &str = r#"
"$RUNNER" --exact play_the_runner --ignored --nocapture & runner=$!
for name in main background daemon stubborn; do
    until [ -s $name ]; do kill -0 $runner || exit 9; sleep 0.02; done
done
kill -9 $runner
wait $runner
for try in $(seq 600); do
    alive=
    for name in main background daemon stubborn; do
        kill -0 $(cat $name) 2>/dev/null && alive="$alive $name"
    done
    [ -z "$alive" ] && exit 0
    sleep 0.05
done
echo "left:$alive"
exit 1
"#;

#[test]
fn nothing_survives_below_the_proc_of_another_process_namespace() {
    let unshare = |line: &str| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "sh", "-c", line]);
        command
    };
    let possible = unshare("true").stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user cannot make process namespaces (unshare --pid)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ended = unshare(IN_A_NAMESPACE)
        .env("RUNNER", std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
}
