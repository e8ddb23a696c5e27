//! PostgreSQL: the suite that every database must pass, by the system's, the oldest and the newest one, and what concerns a
//! database that several servers share and that may go away.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::ops::Deref;

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
