//! The parts as processes of their own: they meet on the wire alone, and a trace through all of them is as whole
//! as one through a single process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use support::spans::{Trace, assert_whole};
use support::{Place, Running, Service, eventually, finish, is_alive};

/// A server, a broker and a runner, each a process.
struct Apart {
    server: Service,
    broker: Service,
    runner: Service,
}

const ANY: &str = "127.0.0.1:0";

fn start(place: &Place) -> Apart {
    let server = place.service(&["server", "--listen", ANY]);
    let broker = place.service(&["broker", "--listen", ANY]);
    let runner = start_runner(place, &broker);
    Apart {
        server,
        broker,
        runner,
    }
}

fn start_runner(place: &Place, broker: &Service) -> Service {
    place.service(&["runner", "--id", "far", "--broker", &broker.url("broker")])
}

/// Builds, once the server has heard of the runner.
fn build(place: &Place, args: &[&str]) -> support::Ended {
    let mut whole = vec!["build", "shop"];
    whole.extend(args);
    eventually("the runner is known to the server", || {
        let ended = place.run(&whole);
        (ended.code() != 69).then_some(ended)
    })
}

#[test]
fn a_build_through_three_processes_is_one_whole_trace() {
    let place = Place::new();
    let apart = start(&place);
    let line = build(
        &place,
        &["--json", "--", "sh", "-c", "echo out; echo err >&2; exit 3"],
    )
    .expect(3)
    .last_json();
    assert_eq!(line["status"], "failed");
    let shown = place
        .run(&["trace", "--json", line["traceId"].as_str().unwrap()])
        .expect(0);
    let trace = Trace::read(&shown.stdout);
    assert_whole(&trace);
    for (prefix, service) in [
        ("runner.sendEvent.", "hopline-runner"),
        ("broker.forwardEvent.", "hopline-broker"),
        ("api.runner.events.", "hopline-server"),
        ("persistent-processor.", "hopline-processor"),
    ] {
        assert!(
            trace.named(prefix).all(|span| span.service == service),
            "{prefix}: {}",
            trace.outline()
        );
    }
    for service in [apart.runner, apart.broker, apart.server] {
        let (status, log) = service.terminate();
        assert!(status.success(), "{log}");
    }
    // The folder can be looked at without any of them.
    let shown = place
        .run(&["trace", line["traceId"].as_str().unwrap()])
        .expect(0);
    assert!(shown.stdout.contains("events went all the way"), "{shown}");
}

#[test]
fn a_run_uses_the_broker_that_the_servers_runners_are_linked_to() {
    let place = Place::new();
    let apart = start(&place);
    build(&place, &["--", "true"]).expect(0);
    let ended = place.run(&["run", "--", "sh", "-c", "exit 6"]).expect(6);
    assert!(ended.stdout.contains("failed"), "{ended}");
    drop(apart);
}

#[test]
fn a_killed_runner_leaves_no_child_and_its_successor_goes_on() {
    let place = Place::new();
    let apart = start(&place);
    let pids = place.path().join("pids");
    let script = format!("sleep 302 & echo $! $$ > {}; wait", pids.display());
    let mut waiting = place.hopline(&["build", "shop", "--", "sh", "-c", &script]);
    waiting.env("HOPLINE_LOG", "off");
    eventually("the runner is known to the server", || {
        let listed = place.run(&["build", "warm-up", "--", "true"]);
        (listed.code() == 0).then_some(())
    });
    let follower = Running::start(waiting);
    let children: Vec<u32> = eventually("the command runs", || {
        let text = std::fs::read_to_string(&pids).ok()?;
        let pids: Option<Vec<u32>> = text
            .split_whitespace()
            .map(|pid| pid.parse().ok())
            .collect();
        pids.filter(|pids| pids.len() == 2)
    });
    apart.runner.kill();
    for child in children {
        eventually("the child has ended", || (!is_alive(child)).then_some(()));
    }
    // With no runner to ask, the server itself ends the build, and its project is free again.
    let session = place
        .run(&["builds", "--status", "active", "--json"])
        .expect(0)
        .last_json();
    let session = session["sessionId"].as_str().unwrap();
    eventually(
        "the server knows that the runner is gone, and ends the build",
        || {
            cancel(&place, &apart.server, session);
            let failed = place.run(&["builds", "--status", "failed", "--json"]);
            failed.stdout.contains(session).then_some(())
        },
    );
    assert_ne!(follower.finish().code(), 0);
    let runner = start_runner(&place, &apart.broker);
    build(&place, &["--", "true"]).expect(0);
    drop(runner);
}

/// Cancels a build, as the console does.
fn cancel(place: &Place, server: &Service, session: &str) {
    let address = server.address("server");
    let secret = place.secret("admin_secret");
    let request = format!(
        "POST /api/builds/{session}/cancel HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    support::http(address, &request);
}

#[test]
fn parts_with_another_secret_are_told_so() {
    let place = Place::new();
    let server = place.service(&["server", "--listen", ANY]);
    let broker = place.service(&["broker", "--listen", ANY]);
    let mut wrong = place.hopline(&[
        "run",
        "--server",
        &server.url("server"),
        "--broker",
        &broker.url("broker"),
        "--",
        "true",
    ]);
    wrong.env("HOPLINE_ADMIN_SECRET", "not-this-one");
    let ended = finish(wrong);
    assert_eq!(ended.code(), 77, "{ended}");
    assert!(ended.stderr.contains("admin secret"), "{ended}");
    let mut wrong = place.hopline(&["run", "--broker", &broker.url("broker"), "--", "true"]);
    wrong.env("HOPLINE_RUNNER_SECRET", "not-this-one");
    let ended = finish(wrong);
    assert_eq!(ended.code(), 77, "{ended}");
    assert!(ended.stderr.contains("runner's secret"), "{ended}");
    let away = place.run(&["builds", "--server", "http://127.0.0.1:9"]);
    assert_eq!(away.code(), 69, "{away}");
    assert!(away.stderr.contains("out of reach"), "{away}");
}

#[test]
fn a_run_that_finds_no_broker_says_what_to_start() {
    let place = Place::new();
    let _server = place.service(&["server", "--listen", ANY]);
    let ended = place.run(&["run", "--broker", "http://127.0.0.1:9", "--", "true"]);
    assert_eq!(ended.code(), 69, "{ended}");
    for what in [
        "no broker at http://127.0.0.1:9",
        "refused",
        "hopline broker",
    ] {
        assert!(ended.stderr.contains(what), "no {what}: {ended}");
    }
}

#[test]
fn the_environment_of_the_original_is_understood() {
    let place = Place::new();
    let server = place.service(&["server", "--listen", ANY]);
    let mut broker = place.hopline(&[
        "broker",
        "--data",
        place.path().join("elsewhere").to_str().unwrap(),
    ]);
    broker
        .env_remove("HOPLINE_DATA")
        .env("RUNNER_SHARED_SECRET", place.secret("runner_secret"))
        .env("RUNNER_EVENT_TARGET_URL", server.url("server"))
        .env("BROKER_PORT", "0");
    let broker = Service::start(broker);
    let runner = start_runner(&place, &broker);
    build(&place, &["--", "true"]).expect(0);
    drop((server, runner));
}

#[test]
fn parts_that_listen_on_every_address_find_each_other() {
    let place = Place::new();
    let server = place.service(&["server", "--listen", "0.0.0.0:0"]);
    let broker = place.service(&["broker", "--listen", "0.0.0.0:0"]);
    let runner = start_runner(&place, &broker);
    build(&place, &["--", "true"]).expect(0);
    drop((server, broker, runner));
    let place = Place::new();
    let up = place.service(&[
        "up",
        "--listen",
        "0.0.0.0:0",
        "--broker-listen",
        "0.0.0.0:0",
    ]);
    build(&place, &["--", "true"]).expect(0);
    drop(up);
}

#[test]
fn a_server_is_not_started_below_a_path_that_would_be_mistaken_for_its_own() {
    let place = Place::new();
    let url = "https://hopline.example/api/";
    let ended = place.run(&["server", "--listen", ANY, "--public-url", url]);
    let told = ended.expect(2).stderr;
    assert!(
        told.contains("expected a path that begins otherwise than /api"),
        "{told}"
    );
}

#[test]
fn parts_answer_under_the_names_that_they_are_told_and_no_others() {
    let place = Place::new();
    let named = |part: &str, url: &str, server: &[&str]| {
        let mut args = vec![part, "--listen", ANY, "--public-url", url];
        args.extend([
            "--allowed-host",
            "second.example",
            "--allowed-host",
            "third.example",
        ]);
        args.extend(server);
        place.service(&args)
    };
    let server = named("server", "http://server.example:4700", &[]);
    let url = server.url("server");
    let broker = named("broker", "http://broker.example:4701", &["--server", &url]);
    let runner = start_runner(&place, &broker);
    for (service, part, own) in [
        (&server, "server", "server.example:4700"),
        (&broker, "broker", "broker.example:4701"),
    ] {
        let health = |host: &str| {
            let request =
                format!("GET /health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            support::http(service.address(part), &request)
        };
        for host in [own, "second.example", "third.example:80", "localhost"] {
            let answer = health(host);
            assert!(
                answer.starts_with("HTTP/1.1 200"),
                "{part} {host}: {answer}"
            );
        }
        let answer = health("elsewhere.example");
        assert!(answer.starts_with("HTTP/1.1 421"), "{part}: {answer}");
    }
    let secret = place.secret("admin_secret");
    let address = server.address("server");
    eventually("the server knows where the broker is", || {
        let request = format!(
            "GET /api/runners HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\nconnection: close\r\n\r\n"
        );
        let runners = support::http(address, &request);
        runners
            .contains(r#""brokerUrl":"http://broker.example:4701""#)
            .then_some(())
    });
    drop(runner);
}
