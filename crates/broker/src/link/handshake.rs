//! The first words of a link with acknowledgements.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use hopline_wire::link::{CLOSE_UNAUTHORISED, Hello, LinkFrame};

use super::{CLOSE_PROTOCOL_ERROR, Closing};

/// Waits for the runner's `hello`.
///
/// # Errors
/// How to close the link, if the runner says anything else, nothing, or calls itself by another name.
pub(super) async fn hello(
    socket: &mut WebSocket,
    runner: &str,
    patience: Duration,
) -> Result<Hello, Closing> {
    let unexpected = |found: &str| {
        Closing::new(
            CLOSE_PROTOCOL_ERROR,
            format!("expected hello as the first frame, found {found}"),
        )
    };
    let first = async {
        loop {
            match socket.recv().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(_))) | None => {
                    return Err(unexpected("the end of the link"));
                }
                Some(Ok(Message::Binary(_))) => return Err(unexpected("a binary frame")),
                Some(Err(_)) => return Err(unexpected("a broken frame")),
            }
        }
    };
    let text = tokio::time::timeout(patience, first)
        .await
        .map_err(|_| unexpected("nothing in time"))??;
    match serde_json::from_str(text.as_str()) {
        Ok(LinkFrame::Hello(hello)) if hello.runner_id == runner => Ok(hello),
        Ok(LinkFrame::Hello(_)) => Err(Closing::new(
            CLOSE_UNAUTHORISED,
            "hello names another runner than the link's address",
        )),
        Ok(_) => Err(unexpected("another frame")),
        Err(error) => Err(unexpected(&error.to_string())),
    }
}
