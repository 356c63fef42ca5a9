"""Stands between clients and broker and takes down what they say: seeds for `fuzz/`.

What is kept is small on purpose: of each connection the first few requests of each kind, and of all
connections those that add a client, an API or a version that no other has shown.
"""

from __future__ import annotations

import asyncio
import re
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator

from .broker import Broker

#: What is longer adds nothing but length.
FRAME_BYTES_MAX = 1200
#: Of the same API and version, in one connection.
ALIKE_MAX = 2
PARTITION_BYTES_MAX = 4000
PARTITIONS_MAX = 4

API_VERSIONS = 18


@dataclass
class Exchange:
    """A request, and its response if there was one that is short enough."""

    api: int
    version: int
    request: bytes
    response: bytes | None = None


@dataclass
class Session:
    """One connection."""

    client: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    _alike: Counter[tuple[int, int]] = field(default_factory=Counter)
    _unanswered: dict[int, Exchange] = field(default_factory=dict)

    def on_request(self, frame: bytes) -> None:
        api, version, correlation_id = struct.unpack(">hhi", frame[:8])
        if not self.client or api == API_VERSIONS:
            self.client = software(frame) or self.client
        self._alike[api, version] += 1
        if len(frame) <= FRAME_BYTES_MAX and self._alike[api, version] <= ALIKE_MAX:
            exchange = Exchange(api, version, frame)
            self.exchanges.append(exchange)
            self._unanswered[correlation_id] = exchange

    def on_response(self, frame: bytes) -> None:
        (correlation_id,) = struct.unpack(">i", frame[:4])
        exchange = self._unanswered.pop(correlation_id, None)
        if exchange is not None and len(frame) <= FRAME_BYTES_MAX:
            exchange.response = frame


class Recorder:
    """A proxy in a thread of its own, to which a broker that is started sends its clients."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sessions: list[Session] = []
        self._loop = asyncio.new_event_loop()
        server = self._loop.run_until_complete(
            asyncio.start_server(self._converse, "127.0.0.1", 0)
        )
        broker.advertised_port = server.sockets[0].getsockname()[1]
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _converse(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        session = Session()
        self._sessions.append(session)
        try:
            from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker.port)
        except OSError:
            # As if nobody listened, which is so while the broker restarts.
            to_client.close()
            return
        await asyncio.gather(
            pump(from_client, to_broker, session.on_request),
            pump(from_broker, to_client, session.on_response),
        )

    def finish(self, output: Path) -> None:
        """Stops the broker, if no story has, and writes down what was said."""
        if self._broker.is_running():
            self._broker.stop()
        lines = [f"# Written by interop/run --record, with {self._broker.name}."]
        for session in telling(self._sessions):
            lines.append(f"session {session.client}")
            for exchange in session.exchanges:
                lines.append(f"> {exchange.request.hex()}")
                if exchange.response is not None:
                    lines.append(f"< {exchange.response.hex()}")
        for directory, files in telling_partitions(self._broker.partition_directories()):
            lines.append(f"partition {directory.name}")
            lines += [f"file {name} {content.hex() or '-'}" for name, content in files.items()]
        output.write_text("\n".join(lines) + "\n")


async def pump(
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    on_frame: Callable[[bytes], None],
) -> None:
    """Passes on everything, and tells of each whole frame."""
    unread = bytearray()
    try:
        while piece := await source.read(1 << 16):
            target.write(piece)
            await target.drain()
            unread += piece
            while (end := frame_end(unread)) <= len(unread):
                on_frame(bytes(unread[4:end]))
                del unread[:end]
    except OSError:
        # One side has gone; so does the other.
        pass
    finally:
        target.close()


def frame_end(stream: bytearray) -> int:
    """Where the first frame ends, of which the size at least must be there to tell."""
    return 4 + int.from_bytes(stream[:4], "big") if len(stream) >= 4 else 4


def software(frame: bytes) -> str:
    """The client as it calls itself: in ApiVersions from version 3, or as client id."""
    api, version = struct.unpack(">hh", frame[:4])
    size = max(int.from_bytes(frame[8:10], "big", signed=True), 0)
    client_id, rest = frame[10 : 10 + size], frame[10 + size :]
    if api == API_VERSIONS and version >= 3:
        # Behind an empty section of tagged fields two strings, each with its length plus one.
        name_end = 1 + rest[1]
        name, rest = rest[2:name_end], rest[name_end:]
        return f"{text(name)} {text(rest[1 : rest[0]])}"
    # Some clients number their producers.
    return re.sub(r"-\d+$", "", text(client_id))


def text(content: bytes) -> str:
    return content.decode(errors="replace")


def telling(sessions: list[Session]) -> Iterator[Session]:
    """The sessions that show something new, the most varied first."""
    shown: set[tuple[str, int, int]] = set()
    for session in sorted(sessions, key=lambda session: -len(session.exchanges)):
        shows = {(session.client, other.api, other.version) for other in session.exchanges}
        if not shows <= shown:
            shown |= shows
            yield session


def telling_partitions(directories: list[Path]) -> list[tuple[Path, dict[str, bytes]]]:
    """Small partitions with kinds of files and batches that no other has, the richest first."""
    shown: set[str] = set()
    found = []
    for directory in directories:
        files = read_files(directory)
        if sum(map(len, files.values())) <= PARTITION_BYTES_MAX:
            shows = {kind for name, content in files.items() for kind in kinds(name, content)}
            found.append((directory, files, shows))
    chosen = []
    for directory, files, shows in sorted(found, key=lambda it: len(it[2]), reverse=True):
        if not shows <= shown:
            shown |= shows
            chosen.append((directory, files))
    return chosen[:PARTITIONS_MAX]


def read_files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def kinds(name: str, content: bytes) -> Iterator[str]:
    """What kinds of file and, in a segment, of batch there are."""
    suffix = name.rsplit(".", 1)[-1]
    if content:
        yield suffix
    while suffix == "log" and len(content) > 23:
        # Codec, kind of timestamp, transactional, control.
        yield f"batch {content[22]}"
        content = content[12 + int.from_bytes(content[8:12], "big") :]
