//! The networks between the parts: each passes everything on until it is told to do otherwise.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a network does to what passes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// Connections are cut, and new ones with them.
    Cut,
    /// Nothing moves.
    Stalled,
    /// Of the next that comes half is passed on; then the connection is cut.
    Halved,
    /// Little at a time.
    Slow,
    /// Answers come two seconds late.
    Late,
    /// Every `POST` is delivered twice; the second answer is passed on.
    Doubled,
    /// A `POST` is answered so, and delivered to nobody.
    Answered(u16),
    /// A `POST` is delivered, and its connection cut in place of the answer.
    AnswerLost,
}

/// A network in front of one address.
pub(crate) struct Network {
    pub(crate) port: u16,
    weather: watch::Sender<Weather>,
    hits: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Place {
    weather: watch::Receiver<Weather>,
    hits: Arc<AtomicU64>,
}

impl Network {
    /// A network that all bytes pass as they come.
    pub(crate) async fn of_bytes(to: SocketAddr) -> Self {
        Self::start(to, false).await
    }

    /// A network that knows HTTP.
    pub(crate) async fn of_requests(to: SocketAddr) -> Self {
        Self::start(to, true).await
    }

    async fn start(to: SocketAddr, requests: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (weather, receiver) = watch::channel(Weather::Fair);
        let hits = Arc::new(AtomicU64::new(0));
        let place = Place {
            weather: receiver,
            hits: Arc::clone(&hits),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let place = place.clone();
                tokio::spawn(async move { place.connection(client, to, requests).await });
            }
        });
        Self {
            port,
            weather,
            hits,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes the weather.
    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// On how much the weather had an effect so far: connections, pieces or requests.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }
}

impl Place {
    fn now(&self) -> Weather {
        *self.weather.borrow()
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    async fn connection(self, client: TcpStream, to: SocketAddr, requests: bool) {
        if self.now() == Weather::Cut {
            self.hit();
            return;
        }
        let Ok(server) = TcpStream::connect(to).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut weather = self.weather.clone();
        let cut = weather.wait_for(|weather| *weather == Weather::Cut);
        let passing = async {
            if requests {
                let _ = self.requests(client, server, to).await;
            } else {
                let (asks, hears) = client.into_split();
                let (answers, takes) = server.into_split();
                tokio::select! {
                    _ = self.pass(asks, takes, false) => {}
                    _ = self.pass(answers, hears, true) => {}
                }
            }
        };
        tokio::select! {
            () = passing => {}
            _ = cut => self.hit(),
        }
    }

    /// Passes bytes on in one direction, until either end is gone.
    async fn pass(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        back: bool,
    ) -> std::io::Result<()> {
        let mut piece = vec![0; 64 << 10];
        loop {
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return to.shutdown().await;
            }
            self.deliver(&piece[..length], &mut to, back).await?;
        }
    }

    async fn deliver(
        &self,
        piece: &[u8],
        to: &mut (impl AsyncWrite + Unpin),
        back: bool,
    ) -> std::io::Result<()> {
        match self.now() {
            Weather::Stalled => {
                self.hit();
                let mut weather = self.weather.clone();
                let _ = weather
                    .wait_for(|weather| *weather != Weather::Stalled)
                    .await;
            }
            Weather::Halved => {
                self.hit();
                to.write_all(&piece[..piece.len() / 2]).await?;
                to.flush().await?;
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            Weather::Slow => {
                self.hit();
                for little in piece.chunks(4 << 10) {
                    to.write_all(little).await?;
                    to.flush().await?;
                    if self.now() == Weather::Slow {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                return Ok(());
            }
            Weather::Late if back => {
                self.hit();
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            _ => {}
        }
        to.write_all(piece).await?;
        to.flush().await
    }

    /// Passes requests on, one after the other, each with its answer.
    async fn requests(
        &self,
        client: TcpStream,
        server: TcpStream,
        to: SocketAddr,
    ) -> std::io::Result<()> {
        let (asks, mut hears) = client.into_split();
        let mut asks = BufReader::new(asks);
        let (answers, mut takes) = server.into_split();
        let mut answers = BufReader::new(answers);
        loop {
            let Some(request) = message(&mut asks).await? else {
                return Ok(());
            };
            let is_post = request.starts_with(b"POST /api/runner/events");
            match self.now() {
                Weather::Answered(status) if is_post => {
                    self.hit();
                    let body = r#"{"error":"it is not the time","code":"later"}"#;
                    let answer = format!(
                        "HTTP/1.1 {status} Later\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    self.deliver(answer.as_bytes(), &mut hears, true).await?;
                    continue;
                }
                Weather::Doubled if is_post => {
                    let again = TcpStream::connect(to).await?;
                    let (first, mut takes) = again.into_split();
                    takes.write_all(&request).await?;
                    if message(&mut BufReader::new(first)).await?.is_some() {
                        self.hit();
                    }
                }
                _ => {}
            }
            self.deliver(&request, &mut takes, false).await?;
            let Some(answer) = message(&mut answers).await? else {
                return Ok(());
            };
            if is_post && self.now() == Weather::AnswerLost {
                self.hit();
                return Ok(());
            }
            self.deliver(&answer, &mut hears, true).await?;
        }
    }
}

/// A whole HTTP/1.1 message whose body has a length; none at the end.
async fn message(from: &mut BufReader<impl AsyncRead + Unpin>) -> std::io::Result<Option<Vec<u8>>> {
    use tokio::io::AsyncBufReadExt as _;
    let mut whole = Vec::new();
    let mut length = 0;
    loop {
        let before = whole.len();
        if from.read_until(b'\n', &mut whole).await? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&whole[before..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        assert!(!line.starts_with("transfer-encoding:"), "{line}");
        if line == "\r\n" {
            break;
        }
    }
    let head = whole.len();
    whole.resize(head + length, 0);
    from.read_exact(&mut whole[head..]).await?;
    Ok(Some(whole))
}
