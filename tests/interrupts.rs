//! `hopline run` and Ctrl-C: what it ends, and when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::Write as _;

use support::{Place, Running, Service, Signal, eventually, is_alive, signal};

#[test]
fn ctrl_c_cancels_the_build_and_leaves_no_child() {
    let place = Place::new();
    let mut command = place.hopline(&["run", "--", "sh", "-c", "echo $$ > pid; sleep 300"]);
    command.env("HOPLINE_LOG", "error");
    let run = Running::start(command);
    let child = eventually("the command runs", || {
        let text = std::fs::read_to_string(place.project().join("pid")).ok()?;
        text.trim().parse::<u32>().ok()
    });
    signal(run.pid(), Signal::INT);
    let ended = run.finish();
    assert_eq!(ended.code(), 130, "{ended}");
    assert!(ended.stdout.contains("cancelled"), "{ended}");
    eventually("the child has ended", || (!is_alive(child)).then_some(()));
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let place = Place::new();
    // A child that takes no notice of being asked to end: the runner would give it some seconds.
    let script = "trap '' TERM; echo $$ > pid; while :; do sleep 1; done";
    let mut command = place.hopline(&["run", "--", "sh", "-c", script]);
    command.env("HOPLINE_LOG", "error");
    let run = Service::start_until(command, "▶ sh");
    let child = eventually("the command runs", || {
        let text = std::fs::read_to_string(place.project().join("pid")).ok()?;
        text.trim().parse::<u32>().ok()
    });
    signal(run.pid(), Signal::INT);
    eventually("the build is being cancelled", || {
        run.log().contains("cancelling the build").then_some(())
    });
    signal(run.pid(), Signal::INT);
    let (status, log) = run.ended();
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(
        log.contains("interrupted") && !log.contains("✘ failed"),
        "the build's end was not waited for: {log}"
    );
    eventually("the child has ended", || (!is_alive(child)).then_some(()));
}

#[test]
fn ctrl_c_ends_a_run_that_has_no_build_yet() {
    let place = Place::new();
    place.run(&["run", "--", "true"]).expect(0);
    // Someone holds the folder who never gets ready.
    let lock = std::fs::File::options()
        .write(true)
        .open(place.data().join("lock"));
    let mut lock = lock.unwrap();
    lock.lock().unwrap();
    write!(lock, r#"{{"pid":1,"version":"0.0.0"}}"#).unwrap();
    for command in [&["run", "--", "true"][..], &["build", "shop", "--", "true"]] {
        let run = Running::start(place.hopline(command));
        eventually("it listens for Ctrl-C", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).ok()?;
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))?;
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            (caught & 2 != 0).then_some(())
        });
        signal(run.pid(), Signal::INT);
        let ended = run.finish();
        assert_eq!(ended.code(), 130, "{ended}");
        assert!(ended.stderr.contains("interrupted"), "{ended}");
    }
}
