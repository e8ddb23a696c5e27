//! A real PostgreSQL for a test: a new one, of one test alone, which goes with it however the test ends.
//!
//! Which one is started: that of [`Version::Debian`] is found on the path or where Debian keeps it; the others where
//! `scripts/install-test-postgres` has put them. PostgreSQL does not run as root; a test that does hands it over to the user
//! `postgres`, else to `nobody`.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::postgres::{Address, CONNECTIONS, PostgresStore};

/// How long a server may take to start or stop: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which PostgreSQL to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// That of the system.
    Debian,
    /// The oldest that there is a package of, 14.
    Oldest,
    /// The newest that there is a package of, 18.
    Newest,
}

/// A PostgreSQL server, running.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    settings: Vec<String>,
    port: u16,
    running: Option<Running>,
}

struct Running {
    /// Runs the server and ends it when its own input ends, so also when this process dies.
    keeper: Child,
    input: Option<ChildStdin>,
    server_pid: u32,
}

impl Server {
    /// Starts one.
    #[must_use]
    pub fn start(version: Version) -> Self {
        Self::start_with(version, &[])
    }

    /// Starts one with these settings, such as `lock_timeout=1s`, also.
    #[must_use]
    pub fn start_with(version: Version, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let owner = is_root.then(unprivileged);
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        // It is only the number in a socket's name, unless a test has the server listen on TCP: then it must be free.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut server = Self {
            folder,
            programs: programs(version),
            owner,
            settings: settings
                .iter()
                .map(|setting| (*setting).to_owned())
                .collect(),
            port,
            running: None,
        };
        server.initialise();
        server.run();
        server
    }

    /// The folder of its socket and its data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port that it listens on, if its settings have it listen on TCP.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Writes a file into its folder that is the server's own, and that nobody else may read.
    #[must_use]
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = self.owner {
            chown(&path, Some(user), Some(group)).unwrap();
        }
        path
    }

    /// How it is reached by its socket.
    #[must_use]
    pub fn url(&self) -> String {
        let socket = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://hopline@{socket}:{}/postgres", self.port)
    }

    /// The same, read.
    #[must_use]
    pub fn address(&self) -> Address {
        self.url().parse().unwrap()
    }

    /// Opens its database as a store.
    pub async fn store(&self) -> PostgresStore {
        PostgresStore::open(&self.address(), CONNECTIONS)
            .await
            .unwrap()
    }

    /// Ends it as a crash would, with `kill -9`.
    pub fn kill(&mut self) {
        let running = self.running.as_ref().expect("it runs");
        send("KILL", running.server_pid);
        self.wait();
    }

    /// Starts it again after it was killed or stopped.
    pub fn run(&mut self) {
        let until = Instant::now() + PATIENCE;
        // What a killed server leaves may be in use for a moment: then the next one gives up, and is tried again.
        loop {
            self.launch();
            if self.answers(until) {
                return;
            }
            self.wait();
            assert!(
                Instant::now() < until,
                "PostgreSQL does not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it, dropping its connections.
    pub fn stop(&mut self) {
        if let Some(running) = &mut self.running {
            drop(running.input.take());
        }
        self.wait();
    }

    fn initialise(&self) {
        let data = self.folder.path().join("data");
        let initialised = self
            .program("initdb")
            .args([
                "--no-sync",
                "--no-instructions",
                "--auth=trust",
                "--username=hopline",
            ])
            .args(["--wal-segsize=1", "--locale=C", "--encoding=UTF8", "-D"])
            .arg(data)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&initialised.stderr);
        assert!(initialised.status.success(), "initdb failed:\n{said}");
    }

    fn launch(&mut self) {
        let script = r#"log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!; cat >/dev/null; kill -QUIT $! ; wait $!"#;
        let folder = self.folder.path();
        let mut command = self.as_owner("sh");
        command.args(["-c", script, "sh"]);
        command.arg(folder.join("log"));
        command.arg(self.programs.join("postgres"));
        command.arg("-D").arg(folder.join("data"));
        command.arg("-k").arg(folder);
        command.args(["-p", &self.port.to_string()]);
        // No test cuts the power of the machine, and many start a server.
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "shared_buffers=16MB",
            "max_connections=40",
        ] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let mut server_pid = String::new();
        let told = keeper.stdout.take().unwrap();
        BufReader::new(told).read_line(&mut server_pid).unwrap();
        self.running = Some(Running {
            input: keeper.stdin.take(),
            keeper,
            server_pid: server_pid.trim().parse().unwrap(),
        });
    }

    /// Whether it comes to answer; it may also end.
    fn answers(&self, until: Instant) -> bool {
        let socket = self.folder.path().join(format!(".s.PGSQL.{}", self.port));
        let pid = self.running.as_ref().map(|running| running.server_pid);
        while Instant::now() < until {
            let status = self.folder.path().join("data/postmaster.pid");
            // The last line of this file says how the server is (PostgreSQL's source, "pidfile.h").
            let is_ready = std::fs::read_to_string(&status).is_ok_and(|text| {
                text.lines().next() == pid.map(|pid| pid.to_string()).as_deref()
                    && text
                        .lines()
                        .nth(7)
                        .is_some_and(|line| line.trim() == "ready")
            });
            if is_ready && socket.exists() {
                return true;
            }
            if pid.is_some_and(|pid| !is_alive(pid)) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn wait(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        drop(running.input.take());
        let until = Instant::now() + PATIENCE;
        while running.keeper.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "PostgreSQL does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn program(&self, name: &str) -> Command {
        self.as_owner(self.programs.join(name))
    }

    fn as_owner(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        // Where it was started may be closed to that user.
        command.current_dir(self.folder.path());
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            drop(running.input.take());
            // A test that failed has told why; that its server does not end would hide it.
            let _ = running.keeper.wait();
        }
    }
}

fn send(signal: &str, pid: u32) {
    let command = format!("kill -{signal} {pid}");
    let sent = Command::new("sh").args(["-c", &command]).status();
    assert!(sent.unwrap().success(), "{command}");
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    // After the name in brackets comes the state; Z is one that only waits to be reaped.
    stat.is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    })
}

/// User and group to hand the server over to.
fn unprivileged() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres")
        .or_else(|| ids("nobody"))
        .expect("a user who is not root")
}

/// The folder of the server's programs.
fn programs(version: Version) -> PathBuf {
    let found = match version {
        Version::Debian => on_the_path().or_else(newest_of_debian),
        Version::Oldest => installed_for_tests(14),
        Version::Newest => installed_for_tests(18),
    };
    found.unwrap_or_else(|| panic!("there is no PostgreSQL ({version:?}); `make test` installs it"))
}

fn on_the_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let has_both = |folder: &PathBuf| {
        ["postgres", "initdb"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    let folder = std::env::split_paths(&path).find(has_both)?;
    // A link leads to the folder that also has what the program looks for beside itself.
    let program = folder.join("postgres").canonicalize().ok()?;
    program.parent().map(Path::to_owned)
}

fn newest_of_debian() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let versions = versions.filter_map(|entry| Some(entry.ok()?.path()));
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .filter(|path| path.join("bin/initdb").is_file())
        .max_by_key(number)?;
    Some(newest.join("bin"))
}

/// Where `scripts/install-test-postgres` puts them: not in root's home, which the user it is handed over to does not see.
fn installed_for_tests(major: u32) -> Option<PathBuf> {
    let is_root = std::fs::metadata("/proc/self").ok()?.uid() == 0;
    let caches = if is_root {
        PathBuf::from("/var/cache")
    } else {
        let named = std::env::var_os("XDG_CACHE_HOME").filter(|named| !named.is_empty());
        let home = std::env::var_os("HOME").map(PathBuf::from);
        named
            .map(PathBuf::from)
            .or_else(|| Some(home?.join(".cache")))?
    };
    let folder = caches.join(format!("hopline-tests/postgres-{major}/native/bin"));
    folder.join("initdb").is_file().then_some(folder)
}
