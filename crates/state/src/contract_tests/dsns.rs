//! DSNs.

use super::fixtures::at;
use crate::error::{Conflict, StateError};
use crate::rows::{Dsn, NewDsn};
use crate::store::Store;

async fn dsn(store: &dyn Store, name: &str, millis: u64) -> Dsn {
    let dsn = NewDsn {
        public_key: format!("{name}-{millis}"),
        name: name.into(),
        created_at: at(millis),
    };
    store.create_dsn(dsn).await.unwrap()
}

pub async fn dsns_are_numbered_and_listed_with_the_revoked_ones(store: &dyn Store) {
    assert!(store.dsns().await.unwrap().is_empty());
    let (one, other) = (dsn(store, "shop", 2).await, dsn(store, "", 1).await);
    assert_eq!((one.number, other.number), (1, 2));
    assert_eq!(
        (one.public_key.as_str(), one.name.as_str(), one.created_at),
        ("shop-2", "shop", at(2))
    );
    let revoked = store.revoke_dsn(1, at(5)).await.unwrap().unwrap();
    let expected = Dsn {
        revoked_at: Some(at(5)),
        ..one
    };
    assert_eq!(revoked, expected);
    assert_eq!(store.dsns().await.unwrap(), [revoked, other]);
}

pub async fn a_revoked_dsn_stays_revoked_since_it_first_was(store: &dyn Store) {
    let number = dsn(store, "shop", 1).await.number;
    for millis in [5, 9] {
        let revoked = store.revoke_dsn(number, at(millis)).await.unwrap();
        assert_eq!(revoked.unwrap().revoked_at, Some(at(5)));
    }
    assert_eq!(store.revoke_dsn(number + 1, at(5)).await.unwrap(), None);
}

pub async fn a_key_is_one_dsns_alone(store: &dyn Store) {
    let one = dsn(store, "shop", 1).await;
    let again = NewDsn {
        public_key: one.public_key.clone(),
        name: "other".into(),
        created_at: at(2),
    };
    let error = store.create_dsn(again).await.unwrap_err();
    let conflict = Conflict::Rows;
    assert!(matches!(error, StateError::Conflict { conflict: found, .. } if found == conflict));
    assert_eq!(store.dsns().await.unwrap(), [one]);
}
