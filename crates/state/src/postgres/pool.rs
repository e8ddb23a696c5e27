//! The connections to the database.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts,
};

use super::address::Address;
use super::convert::no_connection;
use super::tls;
use crate::error::StateError;

/// How long a free connection is waited for, and how long a new one may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the pool. No connection is made yet.
pub(super) fn pool(address: &Address, connections: usize) -> Result<Pool, StateError> {
    let manager = Manager::from_config(
        address.config.clone(),
        tls::connector(address)?,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    let timeouts = Timeouts {
        wait: Some(PATIENCE),
        create: Some(2 * PATIENCE),
        recycle: Some(PATIENCE),
    };
    Pool::builder(manager)
        .max_size(connections)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| StateError::unavailable("open the database", error))
}

/// A connection in the midst of something that only its end makes whole: unless it is kept, it is closed, and the database
/// takes back what was begun.
pub(super) struct Lease(Option<Object>);

impl Lease {
    pub(super) async fn new(pool: &Pool, operation: &'static str) -> Result<Self, StateError> {
        let object = pool.get().await;
        let object = object.map_err(|error| no_connection(operation, error))?;
        Ok(Self(Some(object)))
    }

    /// Nothing is left begun: others may use the connection.
    pub(super) fn keep(mut self) {
        drop(self.0.take());
    }
}

#[expect(
    clippy::expect_used,
    reason = "only `keep` takes it, and ends the lease"
)]
impl Deref for Lease {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        self.0.as_ref().expect("the lease has its connection")
    }
}

#[expect(
    clippy::expect_used,
    reason = "only `keep` takes it, and ends the lease"
)]
impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        self.0.as_mut().expect("the lease has its connection")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
