//! A `hopline up` of its own for each measurement: a fresh data folder, free ports, ended with the measurement.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything that is no measurement may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `hopline up`.
pub(crate) struct Up {
    process: Process,
    api: Api,
}

/// A part of Hopline as a process of its own, killed when it is let go.
pub(crate) struct Process {
    child: Child,
    /// What it said before it was ready.
    said: Vec<String>,
}

/// What a server tells and does.
pub(crate) struct Api {
    folder: TempDir,
    program: PathBuf,
    address: String,
    secret: String,
}

/// A build, as the API tells of it.
pub(crate) struct Build {
    /// Its project.
    pub(crate) project: String,
    /// Its session.
    pub(crate) session: String,
    /// Its trace.
    pub(crate) trace: String,
}

/// Makes a data folder.
pub(crate) fn folder(parent: Option<&Path>) -> anyhow::Result<TempDir> {
    match parent {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    }
    .context("make a data folder")
}

impl Process {
    /// Starts the program with these arguments on a data folder, and waits until it is ready.
    pub(crate) fn start(
        program: &Path,
        data: &Path,
        args: &[&str],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(args)
            .arg("--data")
            .arg(data)
            .env("HOPLINE_LOG", "error")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let stdout = child.stdout.take().context("read what hopline says")?;
        let mut said = Vec::new();
        for line in BufReader::new(stdout).lines() {
            let line = line.context("read what hopline says")?;
            if line == "ready" {
                break;
            }
            said.push(line);
        }
        Ok(Self { child, said })
    }

    /// The address that it said of a part, such as `server`.
    pub(crate) fn url(&self, part: &str) -> anyhow::Result<String> {
        let line = self
            .said
            .iter()
            .find_map(|line| line.trim().strip_prefix(part));
        let url = line.map(|url| url.trim().to_owned());
        url.with_context(|| format!("learn the address of the {part}"))
    }

    /// What it occupies, in MiB.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).context("read what hopline occupies")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.context("read what hopline occupies")? / 1024.0)
    }

    /// Ends it as its user would.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("name the process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("end hopline")?;
        let status = self.child.wait().context("wait for the end of hopline")?;
        ensure!(status.success(), "hopline ended with {status}");
        Ok(())
    }

    /// Kills it at once, as `kill -9` does.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("kill hopline")?;
        self.child.wait().context("wait for the end of hopline")?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only if a measurement failed is it still there.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Deref for Up {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Up {
    /// Starts one with these further settings, and waits until it is ready.
    pub(crate) fn start(
        program: &Path,
        parent: Option<&Path>,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let folder = folder(parent)?;
        let args = [
            "up",
            "--listen",
            "127.0.0.1:0",
            "--broker-listen",
            "127.0.0.1:0",
        ];
        let process = Process::start(program, folder.path(), &args, settings)?;
        let api = Api::new(program, folder, &process.url("server")?)?;
        Ok(Self { process, api })
    }

    /// What the process occupies, in MiB.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        self.process.resident_mib()
    }

    /// Ends it as its user would.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.process.stop()
    }
}

impl Api {
    /// The server at `url` that has this data folder.
    pub(crate) fn new(program: &Path, folder: TempDir, url: &str) -> anyhow::Result<Self> {
        let secrets =
            std::fs::read_to_string(folder.path().join("secrets")).context("read the secrets")?;
        let secret = secrets
            .lines()
            .find_map(|line| line.strip_prefix("admin_secret = "));
        let secret = secret.context("find the admin secret")?;
        Ok(Self {
            secret: secret.trim_matches('"').to_owned(),
            address: url.trim_start_matches("http://").to_owned(),
            program: program.to_owned(),
            folder,
        })
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Follows a build live: a WebSocket that was just opened, after the server's answer to that.
    pub(crate) fn follow(&self, build: &Build) -> anyhow::Result<TcpStream> {
        let Self {
            address, secret, ..
        } = self;
        let mut stream = TcpStream::connect(address).context("reach the server")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // The key is the one of RFC 6455's example: nobody here asks whether the answer fits it.
        write!(
            stream,
            "GET /ws?projectId={}&sessionId={} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            build.project, build.session
        )?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(
                stream.read(&mut byte)? == 1,
                "the server hung up on a live client"
            );
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        ensure!(
            head.starts_with("HTTP/1.1 101"),
            "a live client was answered {head}"
        );
        Ok(stream)
    }

    /// Asks for a build of a program that writes parts, in a project of its own.
    pub(crate) fn build(&self, project: &str, argv: &[String]) -> anyhow::Result<Build> {
        let made = self.post("/api/projects", &json!({ "name": project }))?;
        let id = made["id"].as_str().context("make a project")?;
        let request = json!({ "agent": "stream", "command": argv, "prompt": "load" });
        let started = self.post(&format!("/api/projects/{id}/build"), &request)?;
        let text = |field: &str| {
            let value = started[field].as_str().map(str::to_owned);
            value.with_context(|| format!("start a build: {started}"))
        };
        Ok(Build {
            project: id.to_owned(),
            session: text("sessionId")?,
            trace: text("traceId")?,
        })
    }

    /// Waits until a runner is linked.
    pub(crate) fn linked(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = self.get("/api/runners")?;
            let mut runners = list["runners"]
                .as_array()
                .context("list the runners")?
                .iter();
            if runners.any(|runner| runner["link"] == "up") {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "no runner is linked");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many events of all builds are committed, and whether all builds have ended for good.
    pub(crate) fn committed(&self) -> anyhow::Result<(u64, bool)> {
        let list = self.get("/api/builds?limit=100")?;
        let builds = list["builds"].as_array().context("list the builds")?;
        let events = builds
            .iter()
            .filter_map(|build| build["lastSeq"].as_u64())
            .sum();
        let ended = builds.iter().all(|build| build["final"] == true);
        for build in builds {
            ensure!(build["status"] != "failed", "a build failed: {build}");
            ensure!(build["incomplete"] == false, "a build lost events: {build}");
        }
        Ok((events, ended))
    }

    /// Waits until all builds have ended and every event is committed; gives how many there are.
    pub(crate) fn drained(&self) -> anyhow::Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (events, ended) = self.committed()?;
            if ended {
                return Ok(events);
            }
            ensure!(Instant::now() < deadline, "the builds do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// When the server received these events of a build, in milliseconds since 1970.
    pub(crate) fn received(&self, build: &Build, seq: u64) -> anyhow::Result<f64> {
        let path = format!(
            "/api/builds/{}/events?after={}&limit=1",
            build.session,
            seq - 1
        );
        let page = self.get(&path)?;
        let event = &page["events"][0];
        ensure!(event["seq"] == seq, "there is no event {seq}: {page}");
        let at = event["receivedAt"]
            .as_str()
            .context("read when an event was received")?;
        millis(at).with_context(|| format!("read the time {at}"))
    }

    /// A counter or gauge of `/metrics`; 0 if it is not there.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.request("GET", "/metrics", None)?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_default())
    }

    /// A build's spans, as OTLP in JSON.
    pub(crate) fn trace(&self, build: &Build) -> anyhow::Result<Value> {
        let output = Command::new(&self.program)
            .args(["trace", "--json", &build.trace, "--data"])
            .arg(self.folder.path())
            .stderr(Stdio::inherit())
            .output()
            .context("ask for a trace")?;
        ensure!(output.status.success(), "hopline trace failed");
        serde_json::from_slice(&output.stdout).context("read a trace")
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        let body = self.request("GET", path, None)?;
        serde_json::from_str(&body).with_context(|| format!("read the answer to GET {path}"))
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = self.request("POST", path, Some(body))?;
        serde_json::from_str(&body).with_context(|| format!("read the answer to POST {path}"))
    }

    /// One request on a connection of its own: a benchmark asks seldom.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(&self.address).context("reach the server")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let Self {
            address, secret, ..
        } = self;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .with_context(|| format!("{method} {path}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split_whitespace().nth(1).unwrap_or_default();
        if !status.starts_with('2') {
            bail!("{method} {path}: {status} {body}");
        }
        Ok(body.to_owned())
    }
}

/// Milliseconds of the day of a time such as `2026-01-02T03:04:05.678Z`: two of them are subtracted, no more.
fn millis(text: &str) -> Option<f64> {
    let clock = text.split_once('T')?.1.trim_end_matches('Z');
    let mut fields = clock.split(':').map(|field| field.parse::<f64>().ok());
    let (hours, minutes, seconds) = (fields.next()??, fields.next()??, fields.next()??);
    Some(((hours * 60.0 + minutes) * 60.0 + seconds) * 1_000.0)
}
