//! What an envelope between brokers carries: a head that says what it is and for whom, and a body.
//!
//! The head is a MessagePack array behind its length; the body is what follows, untouched, so that
//! it needs no copy. An answer is one byte, and then the body or nothing.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The version of all messages. Brokers of different versions do not understand each other.
const VERSION: u8 = 1;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum PeerKind {
    /// Whether anybody is there.
    Probe,
    /// The metadata quorum.
    Quorum,
    /// What a broker asks of the controller.
    Control,
    /// The request of a client, for the controller.
    Forward,
}

/// Who asks whom, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    version: u8,
    pub(crate) kind: PeerKind,
    pub(crate) from: i32,
    pub(crate) to: i32,
    /// The cluster of the sender, if it knows.
    pub(crate) cluster_id: Option<String>,
}

impl Head {
    pub(crate) fn new(kind: PeerKind, from: i32, to: i32, cluster_id: Option<String>) -> Self {
        Self { version: VERSION, kind, from, to, cluster_id }
    }
}

/// Why a message is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerFault {
    /// It cannot be read.
    #[error("the message cannot be read")]
    Malformed,
    /// It is for another broker.
    #[error("the address belongs to another broker")]
    OtherNode,
    /// It is for another cluster.
    #[error("the broker belongs to another cluster")]
    OtherCluster,
    /// The part of the broker that would answer is not up yet.
    #[error("the broker is starting")]
    NotReady,
    /// Whoever was asked cannot answer now; another may.
    #[error("the broker cannot answer this now")]
    Unable,
}

const FAULTS: [PeerFault; 5] = [
    PeerFault::Malformed,
    PeerFault::OtherNode,
    PeerFault::OtherCluster,
    PeerFault::NotReady,
    PeerFault::Unable,
];

/// Writes a message.
pub(crate) fn encode(head: &Head, body: &[u8]) -> Bytes {
    let head = rmp_serde::to_vec(head).expect("a head has a form in MessagePack");
    let size = u16::try_from(head.len()).expect("a cluster id is short");
    let mut message = BytesMut::with_capacity(2 + head.len() + body.len());
    message.put_u16(size);
    message.put_slice(&head);
    message.put_slice(body);
    message.freeze()
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(mut message: Bytes) -> Result<(Head, Bytes), PeerFault> {
    let size = message.first_chunk::<2>().ok_or(PeerFault::Malformed)?;
    let size = usize::from(u16::from_be_bytes(*size));
    let mut rest = message.split_off(2);
    if rest.len() < size {
        return Err(PeerFault::Malformed);
    }
    let body = rest.split_off(size);
    let head: Head = rmp_serde::from_slice(&rest).map_err(|_unreadable| PeerFault::Malformed)?;
    if head.version != VERSION {
        return Err(PeerFault::Malformed);
    }
    Ok((head, body))
}

/// Writes the answer to a message.
pub(crate) fn encode_answer(answer: Result<Bytes, PeerFault>) -> Bytes {
    match answer {
        Ok(body) => {
            let mut message = BytesMut::with_capacity(1 + body.len());
            message.put_u8(0);
            message.put_slice(&body);
            message.freeze()
        }
        Err(fault) => {
            let place = FAULTS.iter().position(|other| *other == fault);
            let place = place.and_then(|place| u8::try_from(place).ok());
            Bytes::from(vec![place.expect("every fault is in the table") + 1])
        }
    }
}

/// Reads what [`encode_answer`] wrote.
pub(crate) fn decode_answer(mut message: Bytes) -> Result<Bytes, PeerFault> {
    let first = *message.first().ok_or(PeerFault::Malformed)?;
    match usize::from(first).checked_sub(1) {
        None => Ok(message.split_off(1)),
        Some(place) => Err(FAULTS.get(place).copied().unwrap_or(PeerFault::Malformed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head::new(PeerKind::Control, 1, 2, Some("MkU3OEVBNTcwNTJENDM2Qg".to_owned()))
    }

    #[test]
    fn a_message_and_its_answer_arrive_as_they_were_sent() {
        let body = Bytes::from_static(b"body");
        assert_eq!(decode(encode(&head(), &body)), Ok((head(), body.clone())));
        assert_eq!(decode_answer(encode_answer(Ok(body.clone()))), Ok(body));
        for fault in FAULTS {
            assert_eq!(decode_answer(encode_answer(Err(fault))), Err(fault));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let message = encode(&head(), b"");
        for size in 0..message.len() {
            assert_eq!(decode(message.slice(..size)), Err(PeerFault::Malformed));
        }
        let newer = Head { version: VERSION + 1, ..head() };
        assert_eq!(decode(encode(&newer, b"")), Err(PeerFault::Malformed));
        assert_eq!(decode_answer(Bytes::new()), Err(PeerFault::Malformed));
        assert_eq!(decode_answer(Bytes::from_static(&[200])), Err(PeerFault::Malformed));
    }
}
