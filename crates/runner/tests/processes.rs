//! Programs under real guards: how they are started, watched and ended, and that nothing of them is
//! left.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashSet;
use std::ffi::OsString;
use std::time::Duration;

use hopline_runner::output::{ChunkLimits, OutputReader, OutputStream};
use hopline_runner::process::{
    CommandLine, Environment, ProcessError, ProcessSpec, RunningProcess, StopCause, TimeLimit,
    spawn,
};
use support::{FAR, eventually, exists, guard, kill, pid_in, shell};

/// All that a program printed, by stream.
async fn output(process: &mut RunningProcess) -> (String, String) {
    let mut reader = OutputReader::new(
        process.stdout.take(),
        process.stderr.take(),
        ChunkLimits::default(),
    );
    let (mut out, mut err) = (String::new(), String::new());
    while let Some(chunk) = reader.next().await.unwrap() {
        match chunk.stream {
            OutputStream::Stdout => out.push_str(&chunk.text),
            OutputStream::Stderr => err.push_str(&chunk.text),
        }
    }
    (out, err)
}

#[tokio::test]
async fn the_exit_code_and_both_outputs_come_back() {
    let mut process = spawn(&guard(), shell("printf out; printf err >&2; exit 7"))
        .await
        .unwrap();
    let (out, err) = output(&mut process).await;
    let exit = process.wait().await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("out", "err"));
    assert_eq!(
        (exit.code, exit.signal, exit.stopped),
        (Some(7), None, None)
    );
    assert_eq!(
        process.wait().await.unwrap(),
        exit,
        "asked again, it says the same"
    );
}

#[tokio::test]
async fn a_signal_is_reported_as_one() {
    let mut process = spawn(&guard(), shell("kill -SEGV $$")).await.unwrap();
    let exit = process.wait().await.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(11)));
    assert!(!exit.success());
}

#[tokio::test]
async fn the_arguments_arrive_as_they_were_given() {
    let words = ["printf", "<%s>", "--", "a b", "", "$HOME", "*"].map(OsString::from);
    let spec = ProcessSpec {
        command: CommandLine::Argv(words.into()),
        ..shell("")
    };
    let mut process = spawn(&guard(), spec).await.unwrap();
    assert_eq!(output(&mut process).await.0, "<--><a b><><$HOME><*>");
}

/// What this process has open for all that it starts, by the names of `/proc/self/fd`.
fn inherited() -> HashSet<String> {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let name = |descriptor: std::fs::DirEntry| {
        let number = descriptor.file_name().into_string().ok()?;
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
        let target = std::fs::read_link(descriptor.path()).ok()?;
        (flags & CLOSE_ON_EXEC == 0).then(|| target.to_string_lossy().into_owned())
    };
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    open.flatten().filter_map(name).collect()
}

#[tokio::test]
async fn the_program_finds_no_input_and_no_way_to_the_guard() {
    let mut process = spawn(&guard(), shell("cat; readlink /proc/$$/fd/*"))
        .await
        .unwrap();
    let (out, err) = output(&mut process).await;
    let descriptors: Vec<&str> = out.lines().collect();
    assert_eq!(descriptors[0], "/dev/null", "{err}");
    // Pipes may come from whoever runs the tests, and so may sockets that it leaves open for all that it starts;
    // others are the runner's and the guard's.
    let inherited = inherited();
    let sockets = descriptors
        .iter()
        .filter(|name| name.starts_with("socket:") && !inherited.contains(**name));
    assert_eq!(sockets.count(), 0, "{descriptors:?}");
}

#[tokio::test]
async fn the_program_has_the_given_environment_and_directory_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().canonicalize().unwrap();
    let mut environment = Environment::default();
    environment
        .set("PATH", std::env::var_os("PATH").unwrap())
        .unwrap();
    environment.set("TRACEPARENT", "00-1-2-01").unwrap();
    let spec = ProcessSpec {
        command: CommandLine::Argv(vec!["env".into()]),
        directory: directory.clone(),
        environment,
        time_limit: None,
    };
    let mut process = spawn(&guard(), spec).await.unwrap();
    let out = output(&mut process).await.0;
    let mut names: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["PATH", "PWD", "TRACEPARENT"]);
    assert!(
        out.contains(&format!("PWD={}", directory.display())),
        "{out}"
    );
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let argv = |words: &[&str]| CommandLine::Argv(words.iter().map(OsString::from).collect());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not-executable");
    std::fs::write(&file, "text").unwrap();
    let huge = "x".repeat(256 * 1024);
    let table = [
        (
            argv(&["no-such-program-anywhere"]),
            "spawn_failed",
            "no-such-program-anywhere: No such file",
        ),
        (
            argv(&[file.to_str().unwrap()]),
            "spawn_failed",
            "Permission denied",
        ),
        (
            argv(&["true", &huge]),
            "spawn_failed",
            "Argument list too long",
        ),
        (argv(&[]), "invalid_command", "empty"),
        (argv(&["a\0b"]), "invalid_command", "NUL"),
    ];
    for (command, code, message) in table {
        let error = spawn(
            &guard(),
            ProcessSpec {
                command,
                ..shell("")
            },
        )
        .await
        .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let nowhere = ProcessSpec {
        directory: folder.path().join("nowhere"),
        ..shell("true")
    };
    assert_eq!(
        spawn(&guard(), nowhere).await.unwrap_err().code(),
        "invalid_directory"
    );
    let mut no_guard = guard();
    no_guard.program = folder.path().join("no-guard");
    assert_eq!(
        spawn(&no_guard, shell("true")).await.unwrap_err().code(),
        "guard_failed"
    );
    no_guard.program = "true".into();
    assert_eq!(
        spawn(&no_guard, shell("true")).await.unwrap_err().code(),
        "guard_failed"
    );
}

#[tokio::test]
async fn a_program_that_heeds_the_request_ends_in_its_own_way() {
    let mut process = spawn(
        &guard(),
        shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"),
    )
    .await
    .unwrap();
    support::first_line(&mut process).await;
    process.control().terminate(FAR).await;
    let exit = process.wait().await.unwrap();
    assert_eq!(
        (exit.code, exit.signal, exit.stopped),
        (Some(5), None, Some(StopCause::Requested))
    );
}

#[tokio::test]
async fn a_program_that_does_not_heed_it_is_killed_after_the_grace() {
    let mut process = spawn(
        &guard(),
        shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"),
    )
    .await
    .unwrap();
    support::first_line(&mut process).await;
    process.control().terminate(Duration::from_millis(50)).await;
    let exit = process.wait().await.unwrap();
    assert_eq!(
        (exit.code, exit.signal, exit.stopped),
        (None, Some(9), Some(StopCause::Requested))
    );
}

#[tokio::test]
async fn a_stopped_program_can_be_ended_too() {
    let mut process = spawn(&guard(), shell("echo ready; kill -STOP $$; exit 1"))
        .await
        .unwrap();
    support::first_line(&mut process).await;
    process.control().terminate(FAR).await;
    assert!(process.wait().await.unwrap().signal == Some(15));
}

#[tokio::test]
async fn a_program_whose_time_is_up_is_ended() {
    let limit = TimeLimit {
        after: Duration::from_millis(50),
        grace: FAR,
    };
    let spec = ProcessSpec {
        time_limit: Some(limit),
        ..shell("exec sleep 1000")
    };
    let exit = spawn(&guard(), spec).await.unwrap().wait().await.unwrap();
    assert_eq!(
        (exit.signal, exit.stopped),
        (Some(15), Some(StopCause::TimedOut))
    );
    assert!(!exit.success());
}

#[tokio::test]
async fn what_a_program_leaves_in_the_background_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!(
        "cd '{}'
        sleep 1000 & echo $! >plain
        setsid sh -c 'sh -c \"echo \\$\\$ >daemon; exec sleep 1000\" &'
        until [ -s plain ] && [ -s daemon ]; do sleep 0.01; done
        exit 3",
        folder.path().display()
    );
    let mut process = spawn(&guard(), shell(&line)).await.unwrap();
    // The pipes end although the background programs had inherited them.
    output(&mut process).await;
    assert_eq!(process.wait().await.unwrap().code, Some(3));
    for name in ["plain", "daemon"] {
        let pid = pid_in(&folder.path().join(name)).await;
        assert!(!exists(pid), "{name} {pid} is left");
    }
}

#[tokio::test]
async fn a_dropped_program_is_ended_with_all_that_it_started() {
    let mut process = spawn(
        &guard(),
        shell("trap '' TERM HUP; sleep 1000 & echo $!; wait"),
    )
    .await
    .unwrap();
    let background: i32 = support::first_line(&mut process).await.parse().unwrap();
    let pid = i32::try_from(process.pid()).unwrap();
    assert!(exists(background));
    drop(process);
    eventually("both are gone", || !exists(pid) && !exists(background)).await;
}

#[tokio::test]
async fn a_guard_that_is_killed_takes_the_program_with_it() {
    let mut process = spawn(&guard(), shell("sleep 1000 & echo $!; wait"))
        .await
        .unwrap();
    let background: i32 = support::first_line(&mut process).await.parse().unwrap();
    let pid = i32::try_from(process.pid()).unwrap();
    kill(support::parent_of(pid).unwrap());
    assert!(matches!(process.wait().await, Err(ProcessError::GuardLost)));
    eventually("both are gone", || !exists(pid) && !exists(background)).await;
}

#[tokio::test]
async fn a_terminals_signals_do_not_reach_the_guard() {
    let mut process = spawn(&guard(), shell("echo ready; exec sleep 1000"))
        .await
        .unwrap();
    support::first_line(&mut process).await;
    let pid = i32::try_from(process.pid()).unwrap();
    let guard_pid = support::parent_of(pid).unwrap();
    for signal in [
        rustix::process::Signal::INT,
        rustix::process::Signal::HUP,
        rustix::process::Signal::QUIT,
    ] {
        rustix::process::kill_process(rustix::process::Pid::from_raw(guard_pid).unwrap(), signal)
            .unwrap();
    }
    // The test's own session is not asked for: in a process namespace its leader may be outside.
    let session = rustix::process::getsid(rustix::process::Pid::from_raw(pid)).unwrap();
    assert_eq!(session.as_raw_nonzero().get(), guard_pid);
    process.control().terminate(FAR).await;
    assert_eq!(
        process.wait().await.unwrap().signal,
        Some(15),
        "the guard lived to tell"
    );
}

#[tokio::test]
async fn a_program_that_nobody_reads_stands_still_and_goes_on_when_read() {
    let mut process = spawn(
        &guard(),
        shell("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end >&2"),
    )
    .await
    .unwrap();
    let (out, err) = output(&mut process).await;
    assert_eq!((out.len(), err.as_str()), (1_000_001, "end\n"));
    assert!(process.wait().await.unwrap().success());
}
