//! The bell by `LISTEN` and `NOTIFY`, on a connection of its own.
//!
//! A notification is that of a transaction, so it is sent after the commit that it tells of, by a transaction that writes
//! nothing. Each names its sender first, in a line of its own, since a sender hears itself too; the others are builds:
//! project, session, last event, and `anew` if that is so. Whatever else stands in a line is a newer version's.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::address::Address;
use super::convert::during;
use super::tls;
use crate::doorbell::{Doorbell, Heard, Moved};
use crate::error::StateError;

type Result<T> = std::result::Result<T, StateError>;

const LISTEN: &str = "LISTEN hopline_moved";
const NOTIFY: &str = "SELECT pg_notify('hopline_moved', told) FROM unnest($1::text[]) AS told";

/// How many builds one notification names. It may have 8,000 bytes (PostgreSQL's manual, `NOTIFY`), and a line has at most
/// 101.
const BUILDS: usize = 64;

/// How long it is waited before a database that was away is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A server's end of the bell.
pub(super) struct Bell {
    config: Config,
    tls: MakeRustlsConnect,
    /// This server, among all.
    server: Uuid,
    mailbox: Arc<Mailbox>,
    client: tokio::sync::Mutex<Option<Client>>,
}

/// What was heard and nobody has asked for yet.
#[derive(Default)]
struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    moved: HashMap<Uuid, Moved>,
    missed: bool,
}

impl Bell {
    /// Connects nothing yet.
    pub(super) fn new(address: &Address) -> Result<Self> {
        Ok(Self {
            config: address.config.clone(),
            tls: tls::connector(address)?,
            server: Uuid::new_v4(),
            mailbox: Arc::default(),
            client: tokio::sync::Mutex::default(),
        })
    }

    /// Sees to it that there is a connection that listens.
    async fn listen(&self, client: &mut Option<Client>) -> Result<()> {
        if client.as_ref().is_some_and(|client| !client.is_closed()) {
            return Ok(());
        }
        let connected = self.config.connect(self.tls.clone()).await;
        let (connected, connection) = connected.map_err(during("LISTEN"))?;
        tokio::spawn(hear(connection, Arc::clone(&self.mailbox), self.server));
        let listening = connected.batch_execute(LISTEN).await;
        listening.map_err(during("LISTEN"))?;
        *client = Some(connected);
        self.mailbox.miss();
        Ok(())
    }
}

#[async_trait]
impl Doorbell for Bell {
    async fn ring(&self, moved: &[Moved]) -> Result<()> {
        let mut client = self.client.lock().await;
        self.listen(&mut client).await?;
        let Some(client) = &*client else {
            return Ok(());
        };
        let told = moved.chunks(BUILDS).map(|moved| told(self.server, moved));
        let told: Vec<String> = told.collect();
        let rung = client.execute(NOTIFY, &[&told]).await;
        rung.map_err(during("NOTIFY"))?;
        Ok(())
    }

    async fn heard(&self) -> Heard {
        loop {
            let listening = {
                let mut client = self.client.lock().await;
                self.listen(&mut client).await
            };
            if let Err(error) = listening {
                tracing::debug!(%error, "other servers on the database are not heard");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if let Some(heard) = self.mailbox.take() {
                return heard;
            }
            self.mailbox.arrived.notified().await;
        }
    }
}

/// Receives what is told on a connection, until it ends.
async fn hear<S>(mut connection: Connection<Socket, S>, mailbox: Arc<Mailbox>, server: Uuid)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            mailbox.put(read(server, notification.payload()));
        }
    }
    // Whoever waits connects anew.
    mailbox.arrived.notify_one();
}

impl Mailbox {
    fn put(&self, moved: impl Iterator<Item = Moved>) {
        let mut waiting = self.waiting.lock();
        for moved in moved {
            let known = waiting.moved.entry(moved.session_id).or_insert(moved);
            known.seq = known.seq.max(moved.seq);
            known.anew |= moved.anew;
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Before now, anything may have been told that was not heard.
    fn miss(&self) {
        self.waiting.lock().missed = true;
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<Heard> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        if waiting.missed {
            return Some(Heard::Missed);
        }
        (!waiting.moved.is_empty()).then(|| Heard::Moved(waiting.moved.into_values().collect()))
    }
}

fn told(server: Uuid, moved: &[Moved]) -> String {
    let mut told = server.to_string();
    for Moved {
        project_id,
        session_id,
        seq,
        anew,
    } in moved
    {
        let anew = if *anew { " anew" } else { "" };
        // Writing to a text does not fail.
        let _ = write!(told, "\n{project_id} {session_id} {seq}{anew}");
    }
    told
}

/// What others than `server` tell.
fn read(server: Uuid, told: &str) -> impl Iterator<Item = Moved> {
    let mut lines = told.lines();
    let sender: Option<Uuid> = lines.next().and_then(|line| line.parse().ok());
    let lines = lines.filter(move |_| sender.is_some_and(|sender| sender != server));
    lines.filter_map(|line| {
        let mut words = line.split(' ');
        Some(Moved {
            project_id: words.next()?.parse().ok()?,
            session_id: words.next()?.parse().ok()?,
            seq: words.next()?.parse().ok()?,
            anew: words.next() == Some("anew"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_tells_the_others_read_and_it_does_not() {
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        let moved: Vec<Moved> = (0..BUILDS as u64)
            .map(|build| Moved {
                project_id: Uuid::new_v4(),
                session_id: Uuid::new_v4(),
                seq: i64::MAX as u64 - build,
                anew: build % 2 == 0,
            })
            .collect();
        let told = told(one, &moved);
        assert!(told.len() < 8_000, "{}", told.len());
        assert_eq!(read(other, &told).collect::<Vec<_>>(), moved);
        assert_eq!(read(one, &told).count(), 0);
    }

    #[test]
    fn what_nobody_understands_is_passed_over() {
        let line = "771a43a4-1926-42f0-b136-d5159a501700 771a43a4-1926-42f0-b136-d5159a501701 7";
        let sender = Uuid::new_v4();
        let told = format!("{sender}\nx\n\n{line} later more\n{line}");
        let read: Vec<Moved> = read(Uuid::nil(), &told).collect();
        assert_eq!(read.len(), 2);
        assert!(read.iter().all(|moved| moved.seq == 7 && !moved.anew));
        assert_eq!(super::read(Uuid::nil(), "").count(), 0);
    }
}
