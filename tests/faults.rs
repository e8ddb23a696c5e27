//! What is wrong with a machine or an installation gets a clear error and its own exit code, and loses nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Stdio;

use support::{KilledOnDrop, Place, Running, finish};

const ANY: [&str; 4] = ["--listen", "127.0.0.1:0", "--broker-listen", "127.0.0.1:0"];

#[test]
fn a_port_in_use_is_named() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other, part) in [
        ("--listen", "--broker-listen", "server"),
        ("--broker-listen", "--listen", "broker"),
    ] {
        let ended = place
            .run(&["up", flag, &address, other, "127.0.0.1:0"])
            .expect(75);
        assert!(
            ended.stderr.contains(&address) && ended.stderr.contains(part),
            "{ended}"
        );
    }
    // Nothing is left that keeps the next one from starting.
    place.run(&["run", "--", "true"]).expect(0);
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let place = Place::new();
    // A file in place of the folder cannot be written by anyone, not even root.
    fs::write(place.data(), "").unwrap();
    let ended = place.run(&["run", "--", "true"]).expect(73);
    assert!(
        ended.stderr.contains(place.data().to_str().unwrap()),
        "{ended}"
    );
    assert!(
        ended.stderr.contains("--data"),
        "it says what to do: {ended}"
    );
}

#[test]
fn a_data_folder_without_write_permission_is_named() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    fs::set_permissions(place.data(), Permissions::from_mode(0o500)).unwrap();
    if fs::write(place.data().join("probe"), "").is_ok() {
        // Root writes everywhere; the file in place of the folder covers root.
        return;
    }
    let ended = place.run(&["run", "--", "true"]).expect(73);
    assert!(ended.stderr.contains("cannot be written"), "{ended}");
}

#[test]
fn a_data_folder_that_is_held_names_its_holder() {
    let place = Place::new();
    let up = place.service(&[&["up"][..], &ANY].concat());
    let ended = place.run(&[&["up"][..], &ANY].concat()).expect(75);
    assert!(
        ended.stderr.contains("belongs to a running Hopline"),
        "{ended}"
    );
    assert!(ended.stderr.contains(&up.pid().to_string()), "{ended}");
    assert!(ended.stderr.contains(&up.url("server")), "{ended}");
}

#[test]
fn a_database_from_a_newer_version_is_left_alone() {
    let place = Place::new();
    place.run(&["run", "--", "true"]).expect(0);
    let path = place.data().join("hopline.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute(
            "INSERT INTO schema_migrations SELECT 999, name, checksum, applied_at FROM schema_migrations LIMIT 1",
            [],
        )
        .unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    let ended = place.run(&["run", "--", "true"]).expect(76);
    assert!(ended.stderr.contains("version 999"), "{ended}");
    assert!(
        ended.stderr.contains("newer hopline"),
        "it says what to do: {ended}"
    );
    assert_eq!(fs::read(&path).unwrap(), before, "nothing was written");
}

#[test]
fn secrets_are_in_no_output_and_no_other_file() {
    let place = Place::new();
    let mut up = place.hopline(&[&["up"][..], &ANY].concat());
    up.env("HOPLINE_LOG", "trace")
        .env("HOPLINE_LOG_FORMAT", "json");
    let up = support::Service::start(up);
    let mut output = String::new();
    for args in [
        &["run", "--", "env"][..],
        &["build", "shop", "--runner", "local", "--", "env"],
        &["builds"],
        &["trace", "last", "--json"],
    ] {
        let mut command = place.hopline(args);
        command.env("HOPLINE_LOG", "trace");
        let ended = finish(command);
        assert_eq!(ended.code(), 0, "{ended}");
        output += &ended.to_string();
    }
    let (_, log) = up.terminate();
    let mode = fs::metadata(place.data().join("secrets")).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let mut files = Vec::new();
    read_all(&place.data(), &mut files);
    for name in ["runner_secret", "admin_secret", "ingest_key", "signing_key"] {
        let secret = place.secret(name);
        assert!(secret.len() >= 32, "{name} is short");
        assert!(!output.contains(&secret), "{name} is in the output");
        assert!(!log.contains(&secret), "{name} is in the log");
        for (path, content) in &files {
            let there = content
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!there, "{name} is in {path}");
        }
    }
}

/// All files but the secrets themselves.
fn read_all(folder: &std::path::Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, files);
        } else if path.file_name().is_some_and(|name| name != "secrets") {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn secrets_that_others_may_read_stop_everything() {
    let place = Place::new();
    place.run(&["run", "--", "true"]).expect(0);
    fs::set_permissions(place.data().join("secrets"), Permissions::from_mode(0o644)).unwrap();
    let ended = place.run(&["run", "--", "true"]).expect(77);
    assert!(ended.stderr.contains("chmod 600"), "{ended}");
}

#[test]
fn the_folders_secrets_go_to_no_address_that_a_checkout_names() {
    let place = Place::new();
    place.run(&["run", "--", "true"]).expect(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let file = format!("server = \"{url}\"\nbroker = \"{url}\"\n");
    place.write("hopline.toml", &file);
    for args in [
        &["builds"][..],
        &["trace", "last"],
        &["build", "shop", "--", "true"],
        &["run", "--", "true"],
        &["broker", "--listen", "127.0.0.1:0"],
        &["runner"],
        &[
            "up",
            "--listen",
            "127.0.0.1:0",
            "--broker-listen",
            "127.0.0.1:0",
        ],
        &["server", "--listen", "127.0.0.1:0"],
    ] {
        for given in [false, true] {
            let mut command = place.hopline(args);
            if given {
                command
                    .env("HOPLINE_ADMIN_SECRET", "mine")
                    .env("HOPLINE_RUNNER_SECRET", "mine");
            }
            let ended = finish(command);
            assert_eq!(ended.code(), 77, "{args:?} {ended}");
            assert!(ended.stderr.contains("hopline.toml"), "{args:?} {ended}");
        }
    }
    let called = listener.accept().map(|_| ()).unwrap_err();
    assert_eq!(called.kind(), std::io::ErrorKind::WouldBlock);
    // Its user may name the same address, and takes the responsibility.
    let named = place.run(&["builds", "--server", "http://127.0.0.1:9"]);
    assert_eq!(named.code(), 69, "{named}");
}

#[test]
fn a_mistaken_setting_is_told_with_its_source() {
    let place = Place::new();
    let mut command = place.hopline(&["run", "--", "true"]);
    command.env("HOPLINE_SAMPLE_RATE", "often");
    let ended = finish(command);
    assert_eq!(ended.code(), 2, "{ended}");
    for what in ["sample_rate", "HOPLINE_SAMPLE_RATE", "often"] {
        assert!(ended.stderr.contains(what), "no {what}: {ended}");
    }
    place.write("hopline.toml", "sample_rate = 0.5\nlisten = [\n");
    let ended = place.run(&["run", "--", "true"]).expect(2);
    assert!(ended.stderr.contains("hopline.toml, line "), "{ended}");
}

#[test]
fn a_service_that_is_told_to_end_ends_its_builds_and_keeps_what_they_did() {
    let place = Place::new();
    let up = place.service(&[&["up"][..], &ANY].concat());
    let mut build = place.hopline(&["build", "shop", "--", "sh", "-c", "echo begun; sleep 303"]);
    build.env("HOPLINE_LOG", "off");
    let follower = Running::start(build);
    support::eventually("the build runs", || {
        let listed = place.run(&["builds", "--status", "active", "--json"]);
        let line: serde_json::Value = serde_json::from_str(listed.stdout.lines().next()?).ok()?;
        (line["events"].as_u64()? >= 5).then_some(())
    });
    let (status, log) = up.terminate();
    assert!(status.success(), "{log}");
    assert_ne!(follower.finish().code(), 0);
    let line = place.run(&["builds", "--json"]).expect(0).last_json();
    assert_eq!(line["status"], "failed", "{line}");
    assert_eq!(line["final"], true, "{line}");
}

#[test]
fn a_standard_error_that_cannot_be_written_breaks_nothing() {
    let place = Place::new();
    let up = |stderr: Stdio| {
        let mut command = place.hopline(&[&["up", "--log", "trace"][..], &ANY].concat());
        command.stdout(Stdio::piped()).stderr(stderr);
        let mut up = KilledOnDrop(command.spawn().unwrap());
        let mut told = BufReader::new(up.0.stdout.take().unwrap()).lines();
        assert!(
            told.any(|line| line.unwrap() == "ready"),
            "it becomes ready"
        );
        for _ in 0..3 {
            place.run(&["run", "--", "sh", "-c", "exit 7"]).expect(7);
        }
        support::signal(up.0.id(), support::Signal::TERM);
        assert_eq!(up.0.wait().unwrap().code(), Some(0));
    };
    // Nobody reads it.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    up(writer.into());
    // Its disk is full.
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    up(full.unwrap().into());
}

#[test]
fn an_address_of_another_machine_is_a_mistake_in_a_setting() {
    let place = Place::new();
    for [flag, other] in [
        ["--listen", "--broker-listen"],
        ["--broker-listen", "--listen"],
    ] {
        // Reserved for documentation (RFC 5737): nobody has it.
        let ended = place.run(&["up", flag, "192.0.2.1:4700", other, "127.0.0.1:0"]);
        assert_eq!(ended.code(), 2, "{ended}");
        assert!(ended.stderr.contains("192.0.2.1:4700"), "{ended}");
    }
}

#[test]
fn a_service_tells_programs_where_it_is() {
    let place = Place::new();
    let service = |args: &[&str]| {
        let service = support::Service::start_until(place.hopline(args), "{");
        let lines = service.lines();
        let line = lines.iter().find(|line| line.starts_with('{')).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (service, line)
    };
    let (server, line) = service(&["server", "--json", "--listen", "127.0.0.1:0"]);
    assert_eq!(line["data"], place.data().to_str().unwrap());
    assert_eq!(line["pid"], server.pid());
    let server_url = line["server"].as_str().unwrap();
    let link = line["signIn"].as_str().unwrap();
    assert!(link.starts_with(server_url), "{line}");
    let (_broker, line) = service(&["broker", "--json", "--listen", "127.0.0.1:0"]);
    assert_eq!(line["server"], server_url, "{line}");
    let broker_url = line["broker"].as_str().unwrap();
    let (_runner, line) = service(&["runner", "--json", "--id", "r", "--broker", broker_url]);
    assert_eq!(
        (&line["runner"], &line["broker"]),
        (&"r".into(), &broker_url.into())
    );
}

#[test]
fn a_service_that_is_asked_twice_ends_at_once() {
    let place = Place::new();
    let up = place.service(&[&["up"][..], &ANY].concat());
    // A build that takes no notice of being asked to end.
    let script = "trap '> ../asked' TERM; echo $$ > ../pid; while :; do sleep 1; done";
    let build = place.hopline(&["build", "shop", "--", "sh", "-c", script]);
    let build = Running::start(build);
    let pid = place.data().join("projects").join("pid");
    let child: u32 = support::eventually("the build runs", || {
        fs::read_to_string(&pid).ok()?.trim().parse().ok()
    });
    support::signal(up.pid(), support::Signal::TERM);
    support::eventually("its stop has begun", || {
        let asked = place.data().join("projects").join("asked");
        asked.exists().then_some(())
    });
    support::signal(up.pid(), support::Signal::TERM);
    let (status, log) = up.ended();
    assert_eq!(status.code(), Some(130), "{log}");
    support::eventually("the child has ended", || {
        (!support::is_alive(child)).then_some(())
    });
    drop(build);
}
