//! Dashboards.

use super::fixtures::at;
use crate::rows::Dashboards;
use crate::store::Store;

pub async fn dashboards_are_saved_by_whoever_has_read_their_last_version(store: &dyn Store) {
    assert_eq!(store.dashboards().await.unwrap(), None);
    let save = |version, document: &'static str, millis| async move {
        let saved = store.save_dashboards(version, document.into(), at(millis));
        saved.await.unwrap()
    };
    assert_eq!(save(1, "of nothing", 1).await, None);
    assert_eq!(save(0, "first", 2).await, Some(1));
    assert_eq!(save(0, "first again", 3).await, None);
    assert_eq!(save(1, "second \"é\"", 4).await, Some(2));
    for version in [0, 1, 3, u64::MAX] {
        assert_eq!(save(version, "too late", 5).await, None);
    }
    let last = Dashboards {
        version: 2,
        document: "second \"é\"".into(),
        updated_at: at(4),
    };
    assert_eq!(store.dashboards().await.unwrap(), Some(last));
}

pub async fn of_those_who_save_dashboards_at_once_one_does(store: &dyn Store) {
    for version in [0, 1] {
        let save = |name: &str| store.save_dashboards(version, name.into(), at(1));
        let (one, two, three) = tokio::join!(save("one"), save("two"), save("three"));
        let saved: Vec<_> = [one, two, three]
            .map(Result::unwrap)
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(saved, [version + 1]);
    }
}
