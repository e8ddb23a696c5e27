//! The console's cookie: never readable by scripts, never sent along from another site.

use axum::http::{HeaderMap, HeaderValue, header};

/// For how long a browser stays signed in, in seconds.
pub(super) const SIGNED_IN_SECONDS: u64 = 30 * 24 * 3600;

/// The cookie's name and attributes.
pub(crate) struct Cookie {
    name: String,
    path: String,
    secure: bool,
}

impl Cookie {
    /// `port` names the cookie, since browsers keep cookies of all ports of a host together; `path` is what browsers know
    /// the server's path as; `secure` is whether they reach it by HTTPS.
    pub(crate) fn new(port: u16, path: &str, secure: bool) -> Self {
        Self {
            name: format!("hopline_{port}"),
            path: path.to_owned(),
            secure,
        }
    }

    /// The cookie's value in a request.
    pub(super) fn read<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let cookies = headers.get_all(header::COOKIE);
        let pairs = cookies
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name)
            .map(|(_, value)| value)
    }

    /// The header that sets the cookie; an empty value ends it.
    pub(super) fn set(&self, value: &str) -> Option<HeaderValue> {
        let age = if value.is_empty() {
            0
        } else {
            SIGNED_IN_SECONDS
        };
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!(
            "{}={value}; Path={}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}",
            self.name, self.path
        );
        HeaderValue::from_str(&cookie).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others_and_kept_from_scripts() {
        let cookie = Cookie::new(4700, "/hopline", true);
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; hopline_1=x"));
        headers.append(header::COOKIE, HeaderValue::from_static("hopline_4700=yes"));
        assert_eq!(cookie.read(&headers), Some("yes"));
        let set = cookie.set("v").unwrap();
        let set = set.to_str().unwrap();
        for attribute in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/hopline;"] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(
            cookie
                .set("")
                .unwrap()
                .to_str()
                .unwrap()
                .contains("Max-Age=0")
        );
    }
}
