//! The tokens by which runners show who they are in place of the shared runner secret, and how a broker asks the server
//! about them.
//!
//! A token is [`PREFIX`] and 256 random bits. Parts tell each other of it by its hash alone: with so many random bits a
//! plain SHA-256 gives nothing away.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What every token begins with, so that people and scanners of leaked secrets know it for what it is.
pub const PREFIX: &str = "hlr_";

/// The path under which the server says which tokens are live.
pub const CHECK_PATH: &str = "/api/runner/tokens/check";

/// The most hashes in one question.
pub const MAX_HASHES: usize = 10_000;

/// The most bytes of a runner's name in a token.
pub const MAX_RUNNER_ID_BYTES: usize = 256;

/// Whether a credential says that it is a token.
#[must_use]
pub fn is_token(credential: &str) -> bool {
    credential.starts_with(PREFIX)
}

/// A token's SHA-256, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn hash(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the text is one that [`hash`] could have given.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A broker's question: which of these are live?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCheck {
    /// The hashes of at most [`MAX_HASHES`] tokens.
    pub hashes: Vec<String>,
}

/// The answer: those that are live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveTokens {
    /// In no order.
    pub live: Vec<LiveToken>,
}

/// A token that is good just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveToken {
    /// Its hash.
    pub hash: String,
    /// The one runner that may show it.
    pub runner_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_fips_180_4() {
        let hash = hash("abc");
        assert_eq!(
            hash,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(is_hash(&hash));
        for other in [
            "",
            "abc",
            &hash[1..],
            &hash.to_uppercase(),
            &format!("{hash}0"),
        ] {
            assert!(!is_hash(other), "{other}");
        }
    }
}
