//! An S3 server over a folder, for the tests: `s3-server FOLDER KEY SECRET`. The folders in it are its buckets. Listens on a
//! free port of loopback, says where on its first line, and runs until it is ended.

use std::io::Write as _;

use anyhow::{Context as _, anyhow};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().with_context(|| format!("expected {what}"));
    let folder = next("a folder")?;
    let (key, secret) = (next("a key")?, next("a secret")?);
    let files = s3s_fs::FileSystem::new(folder).map_err(|error| anyhow!("{error:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(key, secret));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (socket, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let connections = Builder::new(TokioExecutor::new());
            // A client that breaks off is none of the server's concern.
            let _ = connections
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}
