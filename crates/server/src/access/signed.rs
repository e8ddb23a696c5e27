//! Tokens that the server can check without remembering them: a subject, an expiry, and an HMAC of both
//! (RFC 2104, with SHA-256) under a key that never leaves the server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopline_wire::secret::Secret;
use rand::RngExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const BLOCK: usize = 64;

/// What a token is for. A token for one purpose is none for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A signed-in browser; the subject is random.
    Cookie,
    /// Live updates of one project, the subject.
    Live,
    /// Spans of one build's trace; the subject is both.
    Spans,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Live => "live",
            Self::Spans => "spans",
        }
    }
}

/// Makes and checks tokens.
pub(super) struct Signer {
    key: [u8; 32],
}

impl Signer {
    /// A signer whose tokens hold for as long as the secret stays.
    pub(super) fn new(secret: &Secret) -> Self {
        Self {
            key: Sha256::digest(secret.expose().as_bytes()).into(),
        }
    }

    /// A signer whose tokens die with it.
    pub(super) fn random() -> Self {
        Self {
            key: rand::rng().random(),
        }
    }

    /// A token about `subject`, which has no full stop in it, valid until `expires` (seconds since 1970).
    /// Its characters may stand in a header, a cookie and a subprotocol.
    pub(super) fn sign(&self, purpose: Purpose, subject: &str, expires: u64) -> String {
        let mac = URL_SAFE_NO_PAD.encode(self.mac(purpose, subject, expires));
        format!("{expires}.{subject}.{mac}")
    }

    /// The subject of a token for this purpose; none if it is malformed, forged or has expired.
    pub(super) fn read<'t>(&self, purpose: Purpose, token: &'t str) -> Option<&'t str> {
        let mut fields = token.split('.');
        let (expires, subject, mac) = (fields.next()?, fields.next()?, fields.next()?);
        let expires: u64 = expires.parse().ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        let right: bool = self.mac(purpose, subject, expires).ct_eq(&mac[..]).into();
        (right && fields.next().is_none() && now() < expires).then_some(subject)
    }

    fn mac(&self, purpose: Purpose, subject: &str, expires: u64) -> [u8; 32] {
        // Neither the name nor the number has a full stop in it, so no two messages read the same.
        let message = format!("{}.{expires}.{subject}", purpose.name());
        hmac(&self.key, message.as_bytes())
    }
}

/// HMAC-SHA-256 under a key that is shorter than a block.
fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let keyed = |pad: u8| {
        let mut block = [pad; BLOCK];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        Sha256::new_with_prefix(block)
    };
    let inner = keyed(0x36).chain_update(message).finalize();
    keyed(0x5c).chain_update(inner).finalize().into()
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_for_its_purpose_until_it_expires() {
        let signer = Signer::new(&Secret::new("s"));
        let token = signer.sign(Purpose::Live, "project", now() + 60);
        assert_eq!(signer.read(Purpose::Live, &token), Some("project"));
        assert_eq!(signer.read(Purpose::Spans, &token), None);
        assert_eq!(Signer::random().read(Purpose::Live, &token), None);
        let old = signer.sign(Purpose::Live, "project", now());
        assert_eq!(signer.read(Purpose::Live, &old), None);
    }

    #[test]
    fn no_part_of_a_token_can_be_changed() {
        let signer = Signer::new(&Secret::new("s"));
        let token = signer.sign(Purpose::Live, "project", now() + 60);
        for at in 0..token.len() - 1 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(signer.read(Purpose::Live, &forged), None, "{forged}");
        }
        for bad in ["", ".", "..", "1.2.3.4", "x.y.z"] {
            assert_eq!(signer.read(Purpose::Live, bad), None);
        }
    }

    #[test]
    fn the_code_is_that_of_rfc_4231() {
        // Test case 1 has a key of 20 bytes; HMAC itself pads keys with zeros.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let code = hmac(&key, b"Hi There");
        assert_eq!(code[..8], [0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53]);
    }
}
