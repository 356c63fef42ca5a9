//! One connection through the proxy: what is read at one end is written at the other, as the two
//! links between the ends allow.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use crate::network::Link;
use crate::seams::seams;

/// The largest piece that travels as one.
const PIECE_BYTES: usize = 16 * 1024;

/// Pieces under way on one link of one connection; then whoever sends has to wait.
const PIECES_MAX: usize = 64;

/// What travels.
enum Piece {
    Bytes(Vec<u8>),
    /// There will be nothing more in this direction.
    End,
    /// The sender's end is broken.
    Broken,
}

/// The connection is to be broken at both ends.
struct Broken;

/// How a connection went on to nowhere.
enum Outcome {
    Ended,
    Broken,
    Forgotten,
}

/// Carries everything between two sockets until both directions have ended or one is broken.
pub(crate) async fn carry(mut near: TcpStream, mut far: TcpStream, there: Link, back: Link) {
    let outcome = {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        let both = async {
            tokio::try_join!(
                biased;
                pass(near_read, far_write, &there),
                pass(far_read, near_write, &back),
            )
        };
        tokio::select! {
            biased;
            () = there.forgotten() => Outcome::Forgotten,
            () = back.forgotten() => Outcome::Forgotten,
            passed = both => if passed.is_ok() { Outcome::Ended } else { Outcome::Broken },
        }
    };
    match outcome {
        Outcome::Ended => {}
        Outcome::Broken => {
            for socket in [&near, &far] {
                socket.set_zero_linger().unwrap();
            }
        }
        // Both sockets stay open: that is what half-open looks like from either end.
        Outcome::Forgotten => std::future::pending().await,
    }
}

/// Carries one direction to its end.
async fn pass(read: ReadHalf<'_>, write: WriteHalf<'_>, link: &Link) -> Result<(), Broken> {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let reading = async {
        take(read, link, sender).await;
        Ok(())
    };
    tokio::try_join!(biased; reading, deliver(write, link, receiver)).map(|_| ())
}

/// Reads pieces and notes when each arrives at the other end.
async fn take(mut read: ReadHalf<'_>, link: &Link, sender: mpsc::Sender<(Duration, Piece)>) {
    loop {
        let mut buffer = vec![0; PIECE_BYTES];
        let piece = match read.read(&mut buffer).await {
            Ok(0) => Piece::End,
            Ok(length) => {
                buffer.truncate(length);
                Piece::Bytes(buffer)
            }
            Err(_) => Piece::Broken,
        };
        let is_last = !matches!(piece, Piece::Bytes(_));
        let due = seams().clock.monotonic() + link.delay();
        if sender.send((due, piece)).await.is_err() || is_last {
            return;
        }
    }
}

/// Writes each piece when its time has come and the link lets it through.
async fn deliver(
    mut write: WriteHalf<'_>,
    link: &Link,
    mut receiver: mpsc::Receiver<(Duration, Piece)>,
) -> Result<(), Broken> {
    while let Some((due, piece)) = receiver.recv().await {
        tokio::time::sleep(due.saturating_sub(seams().clock.monotonic())).await;
        link.passable().await;
        match piece {
            Piece::Bytes(bytes) if link.is_reset() => {
                // Whether the half arrives is of no interest: the connection ends here.
                let _ = write.write_all(&bytes[..bytes.len() / 2]).await;
                return Err(Broken);
            }
            Piece::Bytes(bytes) => {
                write.write_all(&bytes).await.or(Err(Broken))?;
                link.carry(bytes.len());
            }
            Piece::End => return write.shutdown().await.or(Err(Broken)),
            Piece::Broken => return Err(Broken),
        }
    }
    Ok(())
}
