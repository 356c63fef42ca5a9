//! A blocking connection to one broker: frames out, frames in.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::{FrameWriter, Message, Reader, Request};

/// Longer than any answer takes on a busy machine; beyond it a broker hangs.
const DEADLINE: Duration = Duration::from_secs(15);

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome<T> {
    Answer(T),
    /// The broker closed the connection instead.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Line {
    name: &'static str,
    address: String,
    stream: TcpStream,
    correlation_id: i32,
}

impl Line {
    pub(crate) fn open(name: &'static str, address: &str) -> Result<Self> {
        let address = address.to_owned();
        Ok(Self { name, stream: connect(&address)?, address, correlation_id: 0 })
    }

    /// Sends one request and waits for its answer.
    pub(crate) fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<Outcome<R::Response>> {
        self.send(request, version)?;
        self.receive::<R>(version).with_context(|| format!("{request:?} v{version}"))
    }

    /// Sends one request. That the broker has closed the connection is for `receive` to find.
    pub(crate) fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<()> {
        let mut writer = FrameWriter::new();
        self.correlation_id += 1;
        let header = RequestHeader {
            api_key: R::API_KEY.key(),
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("differential".to_owned()),
        };
        header.encode(&mut writer)?;
        request.encode(&mut writer, version)?;
        let frame = writer.finish()?.read()?;
        self.stream.write_all(&frame).ok();
        Ok(())
    }

    /// Waits for the answer to the last request.
    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> Result<Outcome<R::Response>> {
        let Some(answer) = self.receive_frame()? else { return Ok(Outcome::Closed) };
        let mut reader = Reader::new(answer);
        let header = ResponseHeader::decode(&mut reader, R::API_KEY.key(), version)?;
        ensure!(
            header.correlation_id == self.correlation_id,
            "{} answered another request",
            self.name
        );
        let response = R::Response::decode(&mut reader, version)
            .with_context(|| format!("{} answered", self.name))?;
        reader.finish().with_context(|| format!("{} answered too much", self.name))?;
        Ok(Outcome::Answer(response))
    }

    /// Sends bytes as they are, a frame or not, and waits for one to come back.
    pub(crate) fn exchange(&mut self, frame: &[u8]) -> Result<Option<Bytes>> {
        self.stream.write_all(frame).ok();
        self.receive_frame()
    }

    /// The next frame; `None` when the broker closes the connection, which is then opened anew.
    fn receive_frame(&mut self) -> Result<Option<Bytes>> {
        match self.try_receive_frame() {
            Ok(answer) => Ok(Some(answer)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                bail!("{} did not answer within {DEADLINE:?}", self.name)
            }
            Err(_) => {
                self.stream = connect(&self.address)?;
                Ok(None)
            }
        }
    }

    fn try_receive_frame(&mut self) -> std::io::Result<Bytes> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(Bytes::from(answer))
    }
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}
