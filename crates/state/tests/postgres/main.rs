//! PostgreSQL: the suite that every database must pass, by the system's, the oldest and the newest one, and what concerns a
//! database that several servers share and that may go away.

#![allow(clippy::unwrap_used, reason = "a test")]

mod doubt;
mod proxy;
mod shared;
mod tls;
mod trouble;

use std::future::Future;
use std::ops::Deref;
use std::time::{Duration, Instant};

use hopline_state::contract_tests;
use hopline_state::contract_tests::postgres::{Server, Version};
use hopline_state::postgres::PostgresStore;

/// A store in a server that goes with it.
struct Temporary {
    store: PostgresStore,
    _server: Server,
}

impl Deref for Temporary {
    type Target = PostgresStore;

    fn deref(&self) -> &PostgresStore {
        &self.store
    }
}

async fn temporary(version: Version) -> Temporary {
    let server = Server::start(version);
    Temporary {
        store: server.store().await,
        _server: server,
    }
}

/// A connection beside the store's, as an operator has one.
async fn operator(server: &Server) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

/// Waits for a condition, with a deadline.
async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(
            Instant::now() < deadline,
            "it did not come to pass that {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

mod debian {
    use super::*;
    contract_tests!(temporary(Version::Debian).await);
}

mod oldest {
    use super::*;
    contract_tests!(temporary(Version::Oldest).await);
}

mod newest {
    use super::*;
    contract_tests!(temporary(Version::Newest).await);
}
