//! HTTP/1.1 on a connection that is kept: no more of it than a benchmark needs, so that it takes little of the machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Whom to send to.
pub(crate) struct Target {
    address: String,
    head: String,
}

/// What was answered.
pub(crate) enum Answer {
    /// The spans are taken.
    Taken,
    /// They are to be sent again, after so long if that was said.
    Busy(Option<Duration>),
}

/// An open connection.
pub(crate) struct Connection<'t> {
    target: &'t Target,
    stream: BufReader<TcpStream>,
}

impl Target {
    /// The endpoint with this address.
    pub(crate) fn new(url: &str, is_sentry: bool, key: Option<&str>) -> anyhow::Result<Self> {
        let rest = url
            .strip_prefix("http://")
            .context("expected an address that begins with http://")?;
        let (address, path) = rest
            .split_once('/')
            .context("expected a path in the address")?;
        let mut head = format!("POST /{path} HTTP/1.1\r\nhost: {address}\r\n");
        let kind = if is_sentry {
            "application/x-sentry-envelope"
        } else {
            "application/x-protobuf"
        };
        head.push_str(&format!("content-type: {kind}\r\n"));
        match key {
            Some(key) if is_sentry => head.push_str(&format!(
                "x-sentry-auth: Sentry sentry_version=7, sentry_client=hopline-spans/1, sentry_key={key}\r\n"
            )),
            Some(key) => head.push_str(&format!("authorization: Bearer {key}\r\n")),
            None => {}
        }
        Ok(Self {
            address: address.to_owned(),
            head,
        })
    }
}

impl<'t> Connection<'t> {
    /// Opens one.
    pub(crate) fn open(target: &'t Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&target.address).context("reach the receiver")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self {
            target,
            stream: BufReader::new(stream),
        })
    }

    /// Sends a body and waits for the answer.
    pub(crate) fn post(&mut self, body: &[u8]) -> anyhow::Result<Answer> {
        let head = format!("{}content-length: {}\r\n\r\n", self.target.head, body.len());
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let status = self.line()?;
        let status = status.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut after, mut is_chunked) = (0, None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            match (name, value.trim()) {
                ("content-length", value) => length = value.parse().context("read a length")?,
                ("retry-after", value) => after = value.parse().ok().map(Duration::from_secs),
                ("transfer-encoding", "chunked") => is_chunked = true,
                _ => {}
            }
        }
        let mut answer = Vec::new();
        if is_chunked {
            loop {
                let size =
                    usize::from_str_radix(&self.line()?, 16).context("read a chunk's size")?;
                self.take(size, &mut answer)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.take(length, &mut answer)?;
        }
        match status.as_str() {
            "200" | "202" => Ok(Answer::Taken),
            "429" | "503" => Ok(Answer::Busy(after)),
            _ => bail!("answered {status}: {}", String::from_utf8_lossy(&answer)),
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the receiver hung up");
        }
        Ok(line.trim_end().to_owned())
    }

    fn take(&mut self, length: usize, into: &mut Vec<u8>) -> anyhow::Result<()> {
        let length = length as u64;
        self.stream.by_ref().take(length).read_to_end(into)?;
        Ok(())
    }
}
