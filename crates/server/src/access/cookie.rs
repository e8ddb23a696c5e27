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

    /// The cookie's values in a request: browsers send one for each path that they have it for.
    pub(super) fn read<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
        let cookies = headers.get_all(header::COOKIE);
        let pairs = cookies
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name)
            .map(|(_, value)| value)
    }

    /// The header that sets the cookie.
    pub(super) fn set(&self, value: &str) -> Option<HeaderValue> {
        self.header(value, &self.path)
    }

    /// The headers that end the cookie, also one from before the server had a path of its own.
    pub(super) fn end(&self) -> impl Iterator<Item = HeaderValue> {
        let own = (self.path != "/").then_some(&*self.path);
        own.into_iter()
            .chain(["/"])
            .filter_map(|path| self.header("", path))
    }

    fn header(&self, value: &str, path: &str) -> Option<HeaderValue> {
        let age = if value.is_empty() {
            0
        } else {
            SIGNED_IN_SECONDS
        };
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!(
            "{}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}",
            self.name
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
        headers.append(header::COOKIE, HeaderValue::from_static("hopline_4700=no"));
        assert!(cookie.read(&headers).eq(["yes", "no"]));
        let set = cookie.set("v").unwrap();
        let set = set.to_str().unwrap();
        for attribute in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/hopline;"] {
            assert!(set.contains(attribute), "{set}");
        }
        for (path, ended) in [("/hopline", &["/hopline", "/"][..]), ("/", &["/"])] {
            let cookie = Cookie::new(4700, path, true);
            let expected = ended.iter().map(|path| {
                format!("hopline_4700=; Path={path}; Max-Age=0; HttpOnly; SameSite=Strict; Secure")
            });
            assert!(cookie.end().eq(expected), "{path}");
        }
    }
}
