//! Laws: whatever bytes a server sends, an attempt ends with a measurement that holds together.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uitwijk_model::plan::HttpVersion;
use uitwijk_model::{Measurement, Target};

use super::kit::{attempt, http, raw};

/// An attempt on a server that sends these bytes, then closes.
fn attempt_on(bytes: Vec<u8>, version: HttpVersion) -> Measurement {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = raw(move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        })
        .await;
        let target: Target = http(format!("http://{address}/"), |probe| {
            probe.version = version;
            probe.redirects_max = 2;
            probe.expect =
                serde_json::from_value(serde_json::json!({"body": [{"contains": "certainly not there"}]})).unwrap();
        });
        attempt(&target).await
    })
}

/// Mostly HTTP, so that the parser gets further than the first byte.
fn almost_http() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(b"HTTP/1.0 302 Found\r\n".to_vec()),
        Just(b"HTTP/1.1 101 Switching\r\n".to_vec()),
        Just(b"content-length: 5\r\n".to_vec()),
        Just(b"content-length: 18446744073709551616\r\n".to_vec()),
        Just(b"transfer-encoding: chunked\r\n".to_vec()),
        Just(b"location: /\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"5\r\nhello\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

/// Mostly frames of HTTP/2.
fn almost_http2() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0u8..12, any::<u8>(), 0u8..4, proptest::collection::vec(any::<u8>(), 0..24)).prop_map(
        |(kind, flags, stream, payload)| {
            let length = u8::try_from(payload.len()).unwrap();
            let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
            bytes.extend(payload);
            bytes
        },
    );
    proptest::collection::vec(frame, 0..6).prop_map(|frames| {
        let settings = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
        [settings, frames.concat()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_make_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(attempt_on(bytes, HttpVersion::Http11).outcome.label(), "down");
    }

    #[test]
    fn almost_http_makes_a_fault(bytes in almost_http()) {
        prop_assert_eq!(attempt_on(bytes, HttpVersion::Http11).outcome.label(), "down");
    }

    #[test]
    fn almost_http2_makes_a_fault(bytes in almost_http2()) {
        prop_assert_eq!(attempt_on(bytes, HttpVersion::Http2).outcome.label(), "down");
    }
}
