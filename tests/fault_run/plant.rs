//! The parts, each a process of its own, with a network between each two that can be told to break.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hopline_state::Store;
use hopline_state::contract_tests::postgres::{Server as Postgres, Version};
use hopline_state::sqlite::SqliteStore;
use serde_json::Value;

use crate::network::Network;
use crate::support::{Place, Service, eventually, is_alive};

/// Where the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// The runners, by name. Builds go to one and the other in turn.
pub(crate) const RUNNERS: [&str; 2] = ["near", "far"];

/// All parts of a Hopline.
pub(crate) struct Plant {
    pub(crate) postgres: Option<Postgres>,
    server: Option<Service>,
    broker: Option<Service>,
    runners: [Option<Service>; 2],
    /// How many seconds the runners' clocks are off.
    pub(crate) clock_off: i64,
    server_address: String,
    broker_address: String,
    /// Between runners and broker, between broker and server, between server and database.
    pub(crate) links: Network,
    pub(crate) ingest: Network,
    pub(crate) queries: Option<Network>,
    secret: String,
    client: reqwest::Client,
    /// Small disks under the outboxes and SQLite's file; none where this process may not make them.
    pub(crate) disks: Option<Disks>,
    place: Place,
}

/// Disks that are full when a test wants it: a `tmpfs` each.
pub(crate) struct Disks {
    pub(crate) outbox: PathBuf,
    /// None where the rows will be more than such a disk can hold.
    pub(crate) rows: Option<PathBuf>,
}

impl Disks {
    fn make(place: &Place, with_rows: bool) -> Option<Self> {
        let disks = Self {
            outbox: place.data().join("outbox"),
            rows: with_rows.then(|| place.path().join("rows")),
        };
        for folder in disks.folders() {
            let size = if *folder == disks.outbox {
                "256m"
            } else {
                "1536m"
            };
            std::fs::create_dir_all(folder).unwrap();
            let option = format!("size={size},mode=0700");
            let mounted = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
                .arg(folder)
                .output();
            if !mounted.is_ok_and(|mounted| mounted.status.success()) {
                return None;
            }
        }
        Some(disks)
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.outbox).chain(&self.rows)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for folder in self.folders() {
            let _ = Command::new("umount").arg("-l").arg(folder).status();
        }
    }
}

const LISTEN: &str = "127.0.0.1:0";

impl Plant {
    /// Starts all. With `few_rows` those of SQLite are on a small disk too.
    pub(crate) async fn start(database: Database, few_rows: bool) -> Self {
        let place = Place::new();
        std::fs::create_dir(place.data()).unwrap();
        let disks = Disks::make(&place, few_rows);
        let (mut postgres, mut queries) = (None, None);
        if database == Database::Postgres {
            let settings = ["listen_addresses=127.0.0.1", "fsync=on"];
            let server = Postgres::start_with(Version::Debian, &settings);
            let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
            queries = Some(Network::of_bytes(address).await);
            postgres = Some(server);
        }
        // Until the true ones are known; nobody connects before that.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut plant = Self {
            postgres,
            server: None,
            broker: None,
            runners: [None, None],
            clock_off: 0,
            server_address: LISTEN.to_owned(),
            broker_address: LISTEN.to_owned(),
            links: Network::of_bytes(nowhere).await,
            ingest: Network::of_requests(nowhere).await,
            queries,
            secret: String::new(),
            client: hopline_telemetry::http::client_builder().build().unwrap(),
            disks,
            place,
        };
        plant.start_server();
        plant.server_address = plant.server().address("server").to_string();
        plant.ingest = Network::of_requests(plant.server_address.parse().unwrap()).await;
        plant.start_broker();
        plant.broker_address = plant.broker.as_ref().unwrap().address("broker").to_string();
        plant.links = Network::of_bytes(plant.broker_address.parse().unwrap()).await;
        plant.secret = plant.place.secret("admin_secret");
        plant.start_runners();
        plant
    }

    pub(crate) fn folder(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn server(&self) -> &Service {
        self.server.as_ref().expect("the server runs")
    }

    pub(crate) fn start_server(&mut self) {
        let mut command = self
            .place
            .hopline(&["server", "--listen", &self.server_address]);
        let database = match &self.queries {
            Some(queries) => {
                format!("postgres://hopline@127.0.0.1:{}/postgres", queries.port)
            }
            None => format!("sqlite:{}", self.sqlite().display()),
        };
        command.env("HOPLINE_DATABASE", database);
        self.server = Some(Service::start(command));
    }

    pub(crate) fn start_broker(&mut self) {
        let args = [
            "broker",
            "--listen",
            &self.broker_address,
            "--server",
            &self.ingest.url(),
        ];
        self.broker = Some(self.place.service(&args));
    }

    pub(crate) fn start_runners(&mut self) {
        for (index, name) in RUNNERS.into_iter().enumerate() {
            if self.runners[index].is_some() {
                continue;
            }
            let url = self.links.url();
            let mut command = self
                .place
                .hopline(&["runner", "--id", name, "--broker", &url]);
            if self.clock_off != 0 {
                command
                    .env("LD_PRELOAD", self.clock())
                    .env("CLOCK_OFF", self.clock_off.to_string());
            }
            self.runners[index] = Some(Service::start(command));
        }
    }

    /// The library that puts a process's clock off, compiled at its first use.
    fn clock(&self) -> PathBuf {
        let library = self.place.path().join("clock.so");
        if !library.exists() {
            let source =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fault_run/clock.c");
            let compiled = Command::new("cc")
                .args(["-O", "-shared", "-fPIC", "-o"])
                .args([&library, &source])
                .arg("-ldl")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&compiled.stderr);
            assert!(compiled.status.success(), "{said}");
        }
        library
    }

    pub(crate) fn kill_server(&mut self) {
        self.server.take().expect("the server runs").kill();
    }

    pub(crate) fn kill_broker(&mut self) {
        self.broker.take().expect("the broker runs").kill();
    }

    /// Kills one of the runners; gives its name.
    pub(crate) fn kill_runner(&mut self, index: usize) -> &'static str {
        self.runners[index].take().expect("the runner runs").kill();
        RUNNERS[index]
    }

    /// Ends the runners as they are ended for good, and starts them with their clocks as they are now to be.
    pub(crate) fn set_clocks(&mut self, off: i64) {
        if self.clock_off != off {
            self.clock_off = off;
            for runner in &mut self.runners {
                let (status, log) = runner.take().expect("the runner runs").terminate();
                assert!(status.success(), "{log}");
            }
            self.start_runners();
        }
    }

    pub(crate) fn sqlite(&self) -> PathBuf {
        let small = self.disks.as_ref().and_then(|disks| disks.rows.as_ref());
        match small {
            Some(rows) => rows.join("hopline.db"),
            None => self.place.data().join("hopline.db"),
        }
    }

    /// The rows, read past all networks.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        match &self.postgres {
            Some(postgres) => Arc::new(postgres.store().await),
            None => Arc::new(SqliteStore::open(&self.sqlite()).unwrap()),
        }
    }

    /// Asks the server; none while it does not answer, or answers that it cannot.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let url = format!("http://{}{path}", self.server_address);
        let request = self.client.get(url).bearer_auth(&self.secret);
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        answer.json().await.ok()
    }

    /// Asks the server to do something, again until it has.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.server_address);
        let request = self.client.post(url).bearer_auth(&self.secret).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Sends events as a broker does; gives the answer, if there is one.
    pub(crate) async fn send(&self, events: &str) -> Option<Value> {
        let url = format!("http://{}/api/runner/events", self.server_address);
        let request = self
            .client
            .post(url)
            .bearer_auth(self.place.secret("runner_secret"))
            .header("content-type", "application/json")
            .body(events.to_owned());
        request.send().await.ok()?.json().await.ok()
    }

    /// Every part's memory at its greatest, in KiB.
    pub(crate) fn memory(&self) -> Vec<(&'static str, u64)> {
        let parts = [("server", &self.server), ("broker", &self.broker)];
        let runners = RUNNERS.into_iter().zip(&self.runners);
        let running = parts.into_iter().chain(runners);
        let running = running.filter_map(|(name, service)| Some((name, service.as_ref()?.pid())));
        running
            .filter_map(|(name, pid)| Some((name, resident(pid)?)))
            .collect()
    }

    /// Ends everything, and makes sure that nothing is left of it.
    pub(crate) fn end(mut self) {
        for service in self
            .runners
            .iter_mut()
            .chain([&mut self.broker, &mut self.server])
        {
            let (status, log) = service.take().expect("it runs").terminate();
            assert!(status.success(), "{log}");
        }
        let folder = self.folder().to_str().unwrap().to_owned();
        eventually("no process is left of the builds", || {
            let left = processes_of(&folder);
            left.is_empty().then_some(())
        });
    }
}

/// The most that it has ever occupied, in KiB.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The processes that were started with a text such as a folder of the test's in their arguments.
pub(crate) fn processes_of(text: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(text) && is_alive(*pid)
    })
    .collect()
}
