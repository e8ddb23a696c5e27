//! A network between a store and its database that breaks when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// The tag of PostgreSQL's answer to a `COMMIT` (its manual, "Message Formats", CommandComplete), from its length on.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// Passes connections on to a database on this machine.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    loses_commit: AtomicBool,
    cut: Notify,
}

impl Proxy {
    pub(crate) async fn start(database: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { pass(client, database, &shared).await });
            }
        });
        Self { port, state }
    }

    /// The next answer to a `COMMIT` is lost with its connection.
    pub(crate) fn lose_next_commit(&self) {
        self.state.loses_commit.store(true, Ordering::SeqCst);
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        self.state.cut.notify_waiters();
    }
}

async fn pass(mut client: TcpStream, database: u16, state: &State) {
    let cut = state.cut.notified();
    let Ok(mut database) = TcpStream::connect(("127.0.0.1", database)).await else {
        return;
    };
    let both = async {
        let (mut asks, mut hears) = client.split();
        let (mut answers, mut takes) = database.split();
        let there = tokio::io::copy(&mut asks, &mut takes);
        let back = async {
            let mut part = vec![0; 1 << 16];
            while let Ok(length @ 1..) = answers.read(&mut part).await {
                let answer = &part[..length];
                let committed = answer
                    .windows(COMMITTED.len())
                    .any(|window| window == COMMITTED);
                if committed && state.loses_commit.swap(false, Ordering::SeqCst) {
                    return;
                }
                if hears.write_all(answer).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = there => {}
            () = back => {}
        }
    };
    tokio::select! {
        () = both => {}
        () = cut => {}
    }
}
