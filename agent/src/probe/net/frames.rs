//! Which bytes of an HTTP/2 connection belong to a message?
//!
//! Frames start with nine bytes: length (3), type (1), flags (1), stream (4). Only HEADERS, CONTINUATION and DATA
//! carry a message; the first of them on a connection that makes one request is its first byte, and the flag
//! END_STREAM marks its end. The scanner reads heads and skips payloads, and never looks further.

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const HEAD: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;

/// What a piece of the connection held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Bytes of a message.
    pub(crate) message: bool,
    /// The end of a message.
    pub(crate) end: bool,
}

/// A scanner of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Bytes to skip before the next head.
    skip: usize,
    /// What those bytes are.
    skipping: Seen,
    head: [u8; HEAD],
    have: usize,
}

impl Frames {
    /// The direction from client to server, which begins with the preface.
    pub(crate) const fn from_client() -> Self {
        Self { skip: PREFACE, skipping: Seen { message: false, end: false }, head: [0; HEAD], have: 0 }
    }

    /// The direction from server to client.
    pub(crate) const fn from_server() -> Self {
        Self { skip: 0, ..Self::from_client() }
    }

    /// Takes the next bytes and tells what they held.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        while !bytes.is_empty() {
            if self.skip > 0 {
                let n = self.skip.min(bytes.len());
                self.skip -= n;
                bytes = &bytes[n..];
                seen.message |= self.skipping.message;
                seen.end |= self.skipping.end && self.skip == 0;
                continue;
            }
            let n = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + n].copy_from_slice(&bytes[..n]);
            self.have += n;
            bytes = &bytes[n..];
            if self.have == HEAD {
                self.have = 0;
                self.take_head(&mut seen);
            }
        }
        seen
    }

    fn take_head(&mut self, seen: &mut Seen) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let message = matches!(kind, DATA | HEADERS | CONTINUATION);
        let end = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        self.skipping = Seen { message, end };
        seen.message |= message;
        seen.end |= end && self.skip == 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.extend(std::iter::repeat_n(0xff, length.into()));
        bytes
    }

    #[test]
    fn settings_are_no_message_and_end_stream_ends_one() {
        let mut server = Frames::from_server();
        assert_eq!(server.feed(&frame(4, 0, 18)), Seen { message: false, end: false });
        assert_eq!(server.feed(&frame(1, 4, 20)), Seen { message: true, end: false });
        assert_eq!(server.feed(&frame(8, 0, 4)), Seen { message: false, end: false });
        assert_eq!(server.feed(&frame(0, 1, 0)), Seen { message: true, end: true });
        let mut client = Frames::from_client();
        assert_eq!(client.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Seen::default());
        assert_eq!(client.feed(&frame(1, 5, 3)), Seen { message: true, end: true });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However the bytes are cut into pieces, the same is seen.
        #[test]
        fn pieces_do_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..40) {
            let whole = Frames::from_server().feed(&bytes);
            let mut scanner = Frames::from_server();
            let mut seen = Seen::default();
            for piece in bytes.chunks(piece) {
                let next = scanner.feed(piece);
                seen.message |= next.message;
                seen.end |= next.end;
            }
            prop_assert_eq!(seen, whole);
        }
    }
}
