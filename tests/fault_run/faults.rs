//! What goes wrong in a round, and how it is mended.

use std::path::Path;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::network::{Network, Weather};
use crate::plant::{Database, Plant};

/// A part that can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Runner,
    Broker,
    Server,
    Database,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9`, of one part or of two.
    Kill(Part, Option<Part>),
    /// What befalls the link of runners and broker.
    Link(Weather),
    /// What befalls the way from broker to server.
    Ingest(Weather),
    /// What befalls the way from server to PostgreSQL.
    Queries(Weather),
    /// PostgreSQL is stopped, and started after a while; it accepts nobody meanwhile.
    DatabaseRestarts,
    /// PostgreSQL takes no writes.
    DatabaseReadOnly,
    /// Somebody else holds SQLite's lock.
    DatabaseLocked,
    /// No room is left for the runners' outboxes.
    OutboxFull,
    /// No room is left for SQLite.
    DatabaseFull,
    /// The runners' clocks are an hour ahead or behind, and the link is cut besides.
    Clock(i64),
}

use Fault::{Clock, Ingest, Kill, Link, Queries};
use Weather::{AnswerLost, Answered, Cut, Doubled, Halved, Late, Slow, Stalled};

const BOTH: [Fault; 22] = [
    Kill(Part::Runner, None),
    Kill(Part::Broker, None),
    Kill(Part::Server, None),
    Kill(Part::Runner, Some(Part::Broker)),
    Kill(Part::Runner, Some(Part::Server)),
    Kill(Part::Broker, Some(Part::Server)),
    Link(Cut),
    Link(Stalled),
    Link(Halved),
    Link(Slow),
    Ingest(Cut),
    Ingest(Stalled),
    Ingest(Halved),
    Ingest(Slow),
    Ingest(Doubled),
    Ingest(Answered(429)),
    Ingest(Answered(500)),
    Ingest(Answered(503)),
    Ingest(AnswerLost),
    Fault::OutboxFull,
    Clock(3_600),
    Clock(-3_600),
];
const POSTGRES: [Fault; 10] = [
    Kill(Part::Database, None),
    Kill(Part::Runner, Some(Part::Database)),
    Kill(Part::Broker, Some(Part::Database)),
    Kill(Part::Server, Some(Part::Database)),
    Queries(Cut),
    Queries(Stalled),
    Queries(Halved),
    Queries(Late),
    Fault::DatabaseRestarts,
    Fault::DatabaseReadOnly,
];
const SQLITE: [Fault; 2] = [Fault::DatabaseLocked, Fault::DatabaseFull];

/// All faults that there are with this database.
pub(crate) fn all(database: Database) -> Vec<Fault> {
    let own: &[Fault] = match database {
        Database::Sqlite => &SQLITE,
        Database::Postgres => &POSTGRES,
    };
    BOTH.iter().chain(own).copied().collect()
}

impl Fault {
    /// Whether this process may bring it about.
    pub(crate) fn is_possible(self, plant: &Plant) -> bool {
        match self {
            Self::OutboxFull => plant.disks.is_some(),
            Self::DatabaseFull => plant
                .disks
                .as_ref()
                .is_some_and(|disks| disks.rows.is_some()),
            _ => true,
        }
    }

    /// What must be so before the builds begin that these befall.
    pub(crate) fn prepare(faults: &[Self], plant: &mut Plant) {
        let off = faults.iter().find_map(|fault| match fault {
            Clock(off) => Some(*off),
            _ => None,
        });
        plant.set_clocks(off.unwrap_or_default());
    }

    pub(crate) fn is_clock(self) -> bool {
        matches!(self, Clock(_))
    }

    /// Whether it kills a part, with the spans in its memory.
    pub(crate) fn kills(self) -> bool {
        matches!(self, Kill(..))
    }

    /// The runners that it kills, by their place: both builds of one and of the other.
    pub(crate) fn kills_runner(self) -> bool {
        matches!(self, Kill(Part::Runner, _) | Kill(_, Some(Part::Runner)))
    }

    /// Lets it happen, waits, and mends it. Gives how much it hit, where only the fault itself can know.
    pub(crate) async fn happen(self, plant: &mut Plant, random: &mut StdRng) -> u64 {
        let while_it_lasts = Duration::from_millis(random.random_range(50..1_500));
        match self {
            Kill(first, second) => {
                let parts = [Some(first), second];
                let parts = parts.into_iter().flatten();
                for part in parts.clone() {
                    kill(part, plant);
                }
                tokio::time::sleep(while_it_lasts).await;
                // What others need comes first, as whoever keeps services running would have it sooner or later.
                let mut parts: Vec<_> = parts.collect();
                parts.reverse();
                parts.sort_by_key(|part| *part != Part::Database);
                for part in parts {
                    revive(part, plant);
                }
                1
            }
            Link(weather) => spell(&plant.links, weather, while_it_lasts).await,
            Ingest(weather) => spell(&plant.ingest, weather, while_it_lasts).await,
            Queries(weather) => {
                let queries = plant.queries.as_ref().expect("a PostgreSQL");
                // A commit that takes two seconds is seen only by who waits as long.
                let long = if weather == Late {
                    Duration::from_secs(3)
                } else {
                    while_it_lasts
                };
                spell(queries, weather, long).await
            }
            Clock(_) => spell(&plant.links, Cut, while_it_lasts).await,
            Self::DatabaseRestarts => {
                let postgres = plant.postgres.as_mut().expect("a PostgreSQL");
                postgres.stop();
                tokio::time::sleep(while_it_lasts).await;
                postgres.run();
                1
            }
            Self::DatabaseReadOnly => {
                let port = plant.postgres.as_ref().expect("a PostgreSQL").port();
                read_only(port, true).await;
                tokio::time::sleep(while_it_lasts).await;
                read_only(port, false).await;
                1
            }
            Self::DatabaseLocked => {
                let rows = rusqlite::Connection::open(plant.sqlite()).unwrap();
                rows.busy_timeout(Duration::from_secs(10)).unwrap();
                rows.execute_batch("BEGIN IMMEDIATE").unwrap();
                tokio::time::sleep(while_it_lasts).await;
                rows.execute_batch("ROLLBACK").unwrap();
                1
            }
            Self::OutboxFull => {
                let disks = plant.disks.as_ref().expect("disks");
                filled(&disks.outbox, while_it_lasts).await
            }
            Self::DatabaseFull => {
                let disks = plant.disks.as_ref().expect("disks");
                let rows = disks.rows.as_ref().expect("a small disk under the rows");
                filled(rows, while_it_lasts).await
            }
        }
    }
}

fn kill(part: Part, plant: &mut Plant) {
    match part {
        Part::Runner => {
            plant.kill_runner(0);
        }
        Part::Broker => plant.kill_broker(),
        Part::Server => plant.kill_server(),
        Part::Database => plant.postgres.as_mut().expect("a PostgreSQL").kill(),
    }
}

fn revive(part: Part, plant: &mut Plant) {
    match part {
        Part::Runner => plant.start_runners(),
        Part::Broker => plant.start_broker(),
        Part::Server => plant.start_server(),
        Part::Database => plant.postgres.as_mut().expect("a PostgreSQL").run(),
    }
}

/// Bad weather for a while; longer if nothing has met it yet.
async fn spell(network: &Network, weather: Weather, time: Duration) -> u64 {
    let before = network.hits();
    network.set(weather);
    tokio::time::sleep(time).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    while network.hits() == before && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    network.set(Weather::Fair);
    network.hits() - before
}

/// Has PostgreSQL refuse writes, or take them again. The server's sessions see it at once.
async fn read_only(port: u16, on: bool) {
    let address = format!("host=127.0.0.1 port={port} user=hopline dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let setting = format!("ALTER SYSTEM SET default_transaction_read_only = {on}");
    client
        .batch_execute("SET default_transaction_read_only = off")
        .await
        .unwrap();
    client.batch_execute(&setting).await.unwrap();
    client
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
}

/// A disk without room for a while.
async fn filled(folder: &Path, time: Duration) -> u64 {
    use std::io::Write as _;
    let path = folder.join("filler");
    let mut filler = std::fs::File::create(&path).unwrap();
    for size in [1 << 20, 4 << 10, 1] {
        let piece = vec![b'x'; size];
        while filler.write_all(&piece).is_ok() {}
    }
    tokio::time::sleep(time).await;
    drop(filler);
    std::fs::remove_file(path).unwrap();
    1
}
