//! Tokens of runners.

use uuid::Uuid;

use super::fixtures::at;
use crate::error::{Conflict, StateError};
use crate::rows::RunnerToken;
use crate::store::Store;

/// A token made at `at(millis)`.
async fn token(store: &dyn Store, runner: &str, millis: u64) -> RunnerToken {
    let token = RunnerToken {
        id: Uuid::new_v4(),
        token_hash: format!("{:0>64x}", Uuid::new_v4().as_u128()),
        runner_id: runner.into(),
        created_at: at(millis),
        revoked_at: None,
        last_used_at: None,
    };
    store.create_runner_token(token.clone()).await.unwrap();
    token
}

async fn live(store: &dyn Store, hashes: &[&str]) -> Vec<RunnerToken> {
    let hashes = hashes.iter().map(ToString::to_string).collect();
    let mut live = store.live_runner_tokens(hashes).await.unwrap();
    live.sort_by_key(|token| token.created_at);
    live
}

pub async fn a_token_is_live_by_its_own_hash_until_it_is_revoked(store: &dyn Store) {
    let (one, other) = (token(store, "a", 1).await, token(store, "b", 2).await);
    let unknown = "f".repeat(64);
    let hashes = [&one.token_hash, &unknown, &other.token_hash].map(String::as_str);
    assert_eq!(live(store, &hashes).await, [one.clone(), other.clone()]);
    assert_eq!(live(store, &hashes[..2]).await, std::slice::from_ref(&one));
    assert!(live(store, &hashes[1..2]).await.is_empty());
    assert!(live(store, &[]).await.is_empty());
    let revoked = store.revoke_runner_token(one.id, at(5)).await.unwrap();
    assert_eq!(revoked.unwrap().revoked_at, Some(at(5)));
    assert_eq!(live(store, &hashes).await, [other]);
}

pub async fn a_revoked_token_stays_revoked_since_it_first_was(store: &dyn Store) {
    let one = token(store, "a", 1).await;
    for millis in [5, 9] {
        let revoked = store.revoke_runner_token(one.id, at(millis)).await.unwrap();
        let expected = RunnerToken {
            revoked_at: Some(at(5)),
            ..one.clone()
        };
        assert_eq!(revoked, Some(expected));
    }
    let nobody = store.revoke_runner_token(Uuid::new_v4(), at(5)).await;
    assert_eq!(nobody.unwrap(), None);
}

pub async fn the_last_use_of_a_token_only_moves_forward(store: &dyn Store) {
    let (one, other) = (token(store, "a", 1).await, token(store, "b", 2).await);
    let ids = |tokens: &[&RunnerToken]| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    for (millis, tokens) in [
        (7, &[&one, &other][..]),
        (9, &[&one]),
        (8, &[&one]),
        (9, &[]),
    ] {
        let noted = store.note_runner_tokens_used(ids(tokens), at(millis)).await;
        noted.unwrap();
    }
    let found = live(store, &[&one.token_hash, &other.token_hash]).await;
    let used: Vec<_> = found.iter().map(|token| token.last_used_at).collect();
    assert_eq!(used, [Some(at(9)), Some(at(7))]);
}

pub async fn a_hash_is_one_tokens_alone(store: &dyn Store) {
    let one = token(store, "a", 1).await;
    let again = RunnerToken {
        id: Uuid::new_v4(),
        runner_id: "b".into(),
        ..one.clone()
    };
    let error = store.create_runner_token(again).await.unwrap_err();
    let conflict = Conflict::Rows;
    assert!(matches!(error, StateError::Conflict { conflict: found, .. } if found == conflict));
    assert_eq!(live(store, &[&one.token_hash]).await, [one]);
}

pub async fn tokens_are_listed_newest_first_with_the_revoked_ones(store: &dyn Store) {
    assert!(store.runner_tokens().await.unwrap().is_empty());
    let mut made = Vec::new();
    for (runner, millis) in [("a", 2), ("b", 3), ("a", 1)] {
        made.push(token(store, runner, millis).await);
    }
    let revoked = store.revoke_runner_token(made[0].id, at(5)).await.unwrap();
    made[0] = revoked.unwrap();
    made.sort_by_key(|token| std::cmp::Reverse(token.created_at));
    assert_eq!(store.runner_tokens().await.unwrap(), made);
}
