//! One of the two brokers: a blocking connection, and what only this broker's answers can tell.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::{FrameWriter, Message, Reader, Request, Uuid};

const DEADLINE: Duration = Duration::from_secs(15);

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome<T> {
    Answer(T),
    /// The broker closed the connection instead.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    address: String,
    stream: TcpStream,
    correlation_id: i32,
    /// Topic ids are random; each side has its own for a name.
    pub(crate) topic_ids: BTreeMap<String, Uuid>,
    /// The member id that the last JoinGroup was given.
    pub(crate) member_id: String,
    /// The id and epoch of the open fetch session.
    pub(crate) session: (i32, i32),
    /// The last producer id that was handed out.
    pub(crate) producer_id: i64,
}

impl Side {
    pub(crate) fn connect(name: &'static str, address: &str) -> Result<Self> {
        Ok(Self {
            name,
            address: address.to_owned(),
            stream: open(address)?,
            correlation_id: 0,
            topic_ids: BTreeMap::new(),
            member_id: String::new(),
            session: (0, 0),
            producer_id: -1,
        })
    }

    /// The id of a topic, or one that no topic has.
    pub(crate) fn topic_id(&self, name: &str) -> Uuid {
        const NOBODYS: [u8; 16] = *b"no such topic id";
        self.topic_ids.get(name).copied().unwrap_or(Uuid::from_bytes(NOBODYS))
    }

    /// Sends one request and waits for its answer.
    pub(crate) fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<Outcome<R::Response>> {
        let mut writer = FrameWriter::new();
        self.correlation_id += 1;
        let key = R::API_KEY.key();
        let header = RequestHeader {
            api_key: key,
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("differential".to_owned()),
        };
        header.encode(&mut writer)?;
        request.encode(&mut writer, version)?;
        let frame = writer.finish()?.read()?;
        let exchanged = self.exchange(&frame).with_context(|| format!("{request:?} v{version}"));
        let Some(answer) = exchanged? else { return Ok(Outcome::Closed) };
        let mut reader = Reader::new(answer);
        let header = ResponseHeader::decode(&mut reader, key, version)?;
        if header.correlation_id != self.correlation_id {
            bail!("{} answered another request", self.name);
        }
        let response = R::Response::decode(&mut reader, version)
            .with_context(|| format!("{} answered {request:?} v{version}", self.name))?;
        reader.finish().with_context(|| format!("{} answered too much", self.name))?;
        Ok(Outcome::Answer(response))
    }

    /// Sends raw bytes and waits for a frame; `None` when the broker closes the connection, which
    /// is then opened anew.
    fn exchange(&mut self, frame: &[u8]) -> Result<Option<Bytes>> {
        match self.try_exchange(frame) {
            Ok(answer) => Ok(Some(answer)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                bail!("{} did not answer within {DEADLINE:?}", self.name)
            }
            Err(_) => {
                self.stream = open(&self.address)?;
                Ok(None)
            }
        }
    }

    fn try_exchange(&mut self, frame: &[u8]) -> std::io::Result<Bytes> {
        self.stream.write_all(frame)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(Bytes::from(answer))
    }
}

fn open(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}
