//! Which form of an answer a client takes, and whether it has it already (RFC 9110, sections 8.8, 12.5.3 and 13.1.2).

use axum::http::{HeaderMap, HeaderValue, header};

/// What an answer is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Nothing.
    Identity,
    Brotli,
    Gzip,
    Zstd,
}

impl Coding {
    /// Its name in `Content-Encoding`; none for what is not compressed.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// The first of these that a client takes: what is offered stands in our order, and clients that rank what they take
    /// all the same take it. [`Self::Identity`] if none is.
    pub(crate) fn accepted(headers: &HeaderMap, offered: &[Self]) -> Self {
        let accepts = |coding: &&Self| {
            let name = coding.name();
            name.is_some_and(|name| accepts_coding(headers, name))
        };
        let first = offered.iter().find(accepts);
        first.copied().unwrap_or(Self::Identity)
    }
}

/// Whether `Accept-Encoding` names a coding, with any weight but 0.
fn accepts_coding(headers: &HeaderMap, name: &str) -> bool {
    let mut codings = listed(headers, &header::ACCEPT_ENCODING);
    codings.any(|coding| {
        let (coding, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=");
        let refused = weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        coding.trim().eq_ignore_ascii_case(name) && !refused
    })
}

/// A name for exactly these bytes: a strong validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag(HeaderValue);

impl Tag {
    /// The tag of a content with this fingerprint in one of its codings.
    pub(crate) fn of(fingerprint: u64, coding: Coding) -> Self {
        let text = match coding.name() {
            None => format!("\"{fingerprint:016x}\""),
            Some(name) => format!("\"{fingerprint:016x}-{name}\""),
        };
        // These are all visible ASCII.
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\"")))
    }

    /// As `ETag` has it.
    pub(crate) fn into_value(self) -> HeaderValue {
        self.0
    }

    /// Whether the client says that it has this already.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = |tag: &str| {
            // A proxy that compresses on its way weakens tags; for this comparison that does not matter.
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || tag.as_bytes() == self.0.as_bytes()
        };
        listed(headers, &header::IF_NONE_MATCH).any(known)
    }
}

/// The members of a header that is a list. None of ours has a comma within a member.
fn listed<'h>(
    headers: &'h HeaderMap,
    name: &'h header::HeaderName,
) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn the_first_coding_is_chosen_that_is_not_refused() {
        for (lines, coding) in [
            (&[][..], Coding::Identity),
            (&["gzip, deflate, br, zstd"], Coding::Zstd),
            (&["gzip", "ZSTD;q=0.5"], Coding::Zstd),
            (&["gzip;q=1.0, zstd;q=0"], Coding::Gzip),
            (&["gzip; q=0.0, zstd;q=0.000"], Coding::Identity),
            (&["identity, *"], Coding::Identity),
            (&["gzipped,,;"], Coding::Identity),
        ] {
            let headers = headers(header::ACCEPT_ENCODING, lines);
            let offered = [Coding::Zstd, Coding::Gzip];
            assert_eq!(Coding::accepted(&headers, &offered), coding, "{lines:?}");
        }
    }

    #[test]
    fn what_a_client_has_is_told_by_its_bytes() {
        let tag = Tag::of(10, Coding::Gzip);
        assert_eq!(tag.clone().into_value(), "\"000000000000000a-gzip\"");
        assert_ne!(tag, Tag::of(10, Coding::Identity));
        for (lines, known) in [
            (&[][..], false),
            (&["\"000000000000000a-gzip\""], true),
            (&["\"x\"", "\"y\", W/\"000000000000000a-gzip\""], true),
            (&["*"], true),
            (&["\"000000000000000a\""], false),
            (&["000000000000000a-gzip"], false),
        ] {
            let headers = headers(header::IF_NONE_MATCH, lines);
            assert_eq!(tag.is_known(&headers), known, "{lines:?}");
        }
    }
}
