//! Cuts long WebSocket frames into fragments while they arrive, which RFC 6455, section 5.4, allows to whoever stands between the
//! two ends. The WebSocket library makes room for a frame when it has read its length, and keeps that room until the connection
//! ends; a message in fragments it puts together elsewhere, and gives that back.

/// Longest frame that passes unchanged, and length of a fragment, in bytes. It is a multiple of the mask's four bytes, so that the
/// mask of a frame fits all its fragments.
const LONGEST: u64 = 32 << 10;
/// The bits of a frame's first two bytes (RFC 6455, section 5.2).
const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// The lengths that stand for one of two or of eight bytes that follow.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// What has been seen of the frame under way.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// The head, as far as it is there. Empty while a payload passes.
    head: Vec<u8>,
    payload: Payload,
}

/// The payload that follows a head.
#[derive(Debug, Default)]
struct Payload {
    /// Bytes that are to come, those of `fragment` among them.
    left: u64,
    /// Bytes of the fragment that are to come.
    fragment: u64,
    /// Whether the frame ends its message.
    is_final: bool,
    reserved: u8,
    mask: Option<[u8; 4]>,
}

impl Fragments {
    /// Appends what has arrived to `out`, with the heads of fragments where they belong.
    pub(super) fn cut(&mut self, mut arrived: &[u8], out: &mut Vec<u8>) {
        while let Some((&byte, rest)) = arrived.split_first() {
            if self.payload.left == 0 {
                self.head.push(byte);
                arrived = rest;
                if self.head.len() == head_length(&self.head) {
                    self.payload = begin(&self.head, out);
                    self.head.clear();
                }
                continue;
            }
            let passes = self.payload.fragment.min(arrived.len() as u64) as usize;
            out.extend_from_slice(&arrived[..passes]);
            arrived = &arrived[passes..];
            self.payload.pass(passes as u64, out);
        }
    }
}

impl Payload {
    fn pass(&mut self, bytes: u64, out: &mut Vec<u8>) {
        self.left -= bytes;
        self.fragment -= bytes;
        if self.fragment == 0 && self.left > 0 {
            self.next_fragment(0, out);
        }
    }

    /// Writes the head of the next fragment. An `opcode` of 0 says that it continues a message.
    fn next_fragment(&mut self, opcode: u8, out: &mut Vec<u8>) {
        self.fragment = self.left.min(LONGEST);
        let is_last = self.fragment == self.left && self.is_final;
        out.push(if is_last { FINAL } else { 0 } | self.reserved | opcode);
        out.push(if self.mask.is_some() { MASKED } else { 0 } | TWO_BYTES);
        out.extend((self.fragment as u16).to_be_bytes());
        out.extend(self.mask.iter().flatten());
    }
}

/// How long the head is, as far as its beginning tells.
fn head_length(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    let length = match second & LENGTH {
        TWO_BYTES => 2,
        EIGHT_BYTES => 8,
        _ => 0,
    };
    2 + length + if second & MASKED > 0 { 4 } else { 0 }
}

/// Writes the head of a frame, or of its first fragment.
fn begin(head: &[u8], out: &mut Vec<u8>) -> Payload {
    let (first, second) = (head[0], head[1]);
    let (length, mask) = head[2..].split_at(head.len() - 2 - if second & MASKED > 0 { 4 } else { 0 });
    let left = match second & LENGTH {
        TWO_BYTES | EIGHT_BYTES => length.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        short => u64::from(short),
    };
    let mask = mask.try_into().ok();
    let reserved = first & RESERVED;
    let mut payload = Payload { left, fragment: left, is_final: first & FINAL > 0, reserved, mask };
    if left <= LONGEST {
        out.extend_from_slice(head);
    } else {
        payload.next_fragment(first & !FINAL & !RESERVED, out);
    }
    payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// The bytes of these messages, as a client sends them.
    async fn wire(messages: &[Message]) -> Vec<u8> {
        use futures_util::SinkExt;
        use tokio::io::AsyncReadExt;
        let (near, mut far) = tokio::io::duplex(4 << 20);
        let mut client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        for message in messages {
            client.send(message.clone()).await.expect("sent");
        }
        drop(client);
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).await.expect("read");
        bytes
    }

    /// The messages that a server reads in these bytes, while no frame may be longer than a fragment.
    async fn read(bytes: &[u8]) -> Vec<Message> {
        use futures_util::StreamExt;
        let config = tokio_tungstenite::tungstenite::protocol::WebSocketConfig::default();
        let config = config.max_frame_size(Some(LONGEST as usize));
        let server = WebSocketStream::from_raw_socket(
            tokio::io::join(bytes, tokio::io::sink()),
            Role::Server,
            Some(config),
        );
        server.await.filter_map(|read| std::future::ready(read.ok())).collect().await
    }

    fn message() -> impl Strategy<Value = Message> {
        let long = LONGEST as usize;
        let length = prop_oneof![0..200_usize, long - 2..long + 2, 2 * long - 2..3 * long + 2];
        prop_oneof![
            length.clone().prop_map(|length| Message::text("ü".repeat(length / 2))),
            (length, any::<u8>()).prop_map(|(length, byte)| Message::binary(vec![byte; length])),
            (0..125_usize).prop_map(|length| Message::Ping(vec![7; length].into())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn messages_stay_what_they_are_however_they_arrive(
            messages in prop::collection::vec(message(), 1..5),
            packet in 1..50_000_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let (mut fragments, mut out) = (Fragments::default(), Vec::new());
                for packet in wire(&messages).await.chunks(packet) {
                    fragments.cut(packet, &mut out);
                }
                prop_assert!(read(&out).await == messages);
                Ok(())
            })?;
        }

        #[test]
        fn nonsense_is_passed_on_and_takes_no_room(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (mut fragments, mut out) = (Fragments::default(), Vec::new());
            fragments.cut(&bytes, &mut out);
            prop_assert!(out.len() <= 2 * bytes.len() && out.capacity() <= 4 * bytes.len() + 16);
        }
    }
}
