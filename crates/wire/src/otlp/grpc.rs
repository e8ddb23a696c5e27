//! How OTLP's messages travel over gRPC: one method that takes one message and answers one. So what is needed of gRPC is its
//! framing alone ("gRPC over HTTP/2", "Length-Prefixed-Message"), and where a status is said.

/// The path of the method: `Export` of the trace service.
pub const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The header, or the trailer behind a message, that says how a call has ended; 0 is well.
pub const STATUS: &str = "grpc-status";

/// How many bytes stand before a message: whether it is compressed, and its length in four.
pub const PREFIX: usize = 5;

/// A message with what stands before it.
#[must_use]
pub fn frame(is_compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(PREFIX + message.len());
    framed.push(u8::from(is_compressed));
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// Whether the one message of a body is compressed, and the message.
///
/// # Errors
/// What is wrong, if the body is not one whole message.
pub fn unframe(body: &[u8]) -> Result<(bool, &[u8]), &'static str> {
    let Some(([flag, length @ ..], message)) = body.split_first_chunk::<PREFIX>() else {
        return Err("the body has no message");
    };
    if u32::from_be_bytes(*length) as usize != message.len() {
        return Err("the message is not as long as is said before it, or not the only one");
    }
    match flag {
        0 => Ok((false, message)),
        1 => Ok((true, message)),
        _ => Err("the message is neither plain nor compressed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_one_message_as_long_as_it_says() {
        assert_eq!(unframe(&[0, 0, 0, 0, 2, 7, 8]), Ok((false, &[7, 8][..])));
        assert_eq!(unframe(&[1, 0, 0, 0, 0]), Ok((true, &[][..])));
        assert_eq!(unframe(&frame(true, b"ab")), Ok((true, &b"ab"[..])));
        for wrong in [
            &[][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 7],
            &[0, 0, 0, 0, 1, 7, 8],
            &[2, 0, 0, 0, 0],
        ] {
            assert!(unframe(wrong).is_err(), "{wrong:?}");
        }
    }
}
