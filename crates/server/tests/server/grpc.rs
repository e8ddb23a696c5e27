//! Spans in over OTLP/gRPC: what a call ends with, and what is taken.

use hopline_wire::otlp::{encode, rejected, to_request};
use reqwest::header::HeaderMap;

use crate::spans::{TRACE, span};
use crate::support::{ADMIN, House, INGEST, house_with};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async fn house() -> House {
    house_with(|options| options.grpc_listen = Some("127.0.0.1:0".parse().unwrap())).await
}

/// What a call says.
struct Call<'c> {
    method: &'c str,
    content_type: &'c str,
    key: Option<&'c str>,
    encoding: Option<&'c str>,
    body: Vec<u8>,
}

/// A call that is as it should be.
fn call(body: Vec<u8>) -> Call<'static> {
    Call {
        method: EXPORT,
        content_type: "application/grpc",
        key: Some(INGEST),
        encoding: None,
        body,
    }
}

/// A message with what stands before one.
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

/// The HTTP status, the headers and the body.
async fn answer(house: &House, call: Call<'_>) -> (u16, HeaderMap, Vec<u8>) {
    let client = hopline_telemetry::http::client_builder();
    let client = client.http2_prior_knowledge().build().unwrap();
    let address = house.server.grpc_address().unwrap();
    let mut request = client
        .post(format!("http://{address}{}", call.method))
        .header("content-type", call.content_type)
        .header("te", "trailers")
        .body(call.body);
    if let Some(key) = call.key {
        request = request.bearer_auth(key);
    }
    if let Some(encoding) = call.encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn what_can_be_taken_is_and_the_rest_is_counted() {
    let house = house().await;
    let mut other = span(TRACE, 2);
    let whole = encode(&to_request(&[span(TRACE, 1)]));
    let (status, headers, body) = answer(&house, call(framed(0, &whole))).await;
    assert_eq!(
        (status, headers.get("grpc-status")),
        (200, None),
        "it stands behind the answer"
    );
    assert_eq!(body, framed(0, b""));
    other.name = "x".repeat(2 << 20).into();
    let part = encode(&to_request(&[other, span(TRACE, 3)]));
    let (_, _, body) = answer(&house, call(framed(0, &part))).await;
    assert_eq!(rejected(&body[5..]).unwrap().0, 1);
    assert_eq!(house.spans(TRACE).len(), 2);
}

#[tokio::test]
async fn a_call_that_cannot_be_served_ends_with_the_right_status() {
    let house = house().await;
    let good = framed(0, &encode(&to_request(&[span(TRACE, 1)])));
    let is = |call: Call<'static>, code: &'static str| (call, code);
    let cases = [
        is(
            Call {
                key: None,
                ..call(good.clone())
            },
            "16",
        ),
        is(
            Call {
                key: Some(ADMIN),
                ..call(good.clone())
            },
            "7",
        ),
        is(
            Call {
                method: "/grpc.health.v1.Health/Check",
                ..call(good.clone())
            },
            "12",
        ),
        is(call(Vec::new()), "3"),
        is(call(framed(0, b"nonsense")), "3"),
        is(call([good.clone(), good.clone()].concat()), "3"),
        is(call(framed(1, b"x")), "3"),
        is(
            Call {
                encoding: Some("gzip"),
                ..call(framed(1, b"x"))
            },
            "3",
        ),
        is(
            Call {
                encoding: Some("snappy"),
                ..call(framed(1, b"x"))
            },
            "12",
        ),
        is(call(framed(0, &vec![0; (20 << 20) + 1])), "8"),
    ];
    for (number, (call, code)) in cases.into_iter().enumerate() {
        let (status, headers, _) = answer(&house, call).await;
        let told = headers
            .get("grpc-status")
            .map(|code| code.to_str().unwrap());
        assert_eq!(
            (status, told),
            (200, Some(code)),
            "case {number}: {headers:?}"
        );
        assert!(headers.contains_key("grpc-message"), "case {number}");
    }
    let (status, ..) = answer(
        &house,
        Call {
            content_type: "application/json",
            ..call(good)
        },
    )
    .await;
    assert_eq!(status, 415);
    assert!(house.spans(TRACE).is_empty());
}
