"""Starts a driver and speaks its protocol; drivers/README.md describes both."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Sequence

from .processes import Failed, tail
from .records import Record

#: For the driver to start, or to answer a request that does not bring its own limit.
ANSWER_S_MAX = 60
#: Between the end of its input and its exit; then it is killed.
EXIT_S_MAX = 10


class Refused(Failed):
    """The library reported an error."""


class Unsupported(Exception):
    """The library cannot do this, whatever the broker."""


class Driver:
    """A running driver. One thread at a time may call it."""

    def __init__(self, name: str, command: Sequence[str | Path], bootstrap: str, log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*map(str, command), bootstrap],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self._unread = b""
        self._lock = threading.Lock()

    def call(self, do: str, *, answer_s_max: float = ANSWER_S_MAX, **arguments: Any) -> dict:
        """Asks for one thing and returns what the driver answered under `ok`."""
        request = json.dumps({"do": do, **arguments}).encode() + b"\n"
        with self._lock:
            self._write(request)
            line = self._line(do, time.monotonic() + answer_s_max)
        try:
            answer = json.loads(line)
        except ValueError:
            raise Failed(f"{self.name} answered {do} with {line[:200]!r}") from None
        if "unsupported" in answer:
            raise Unsupported(f"{self.name} cannot {do}: {answer['unsupported']}")
        if "error" in answer:
            raise Refused(f"{self.name}, {do}: {answer['error']}")
        return answer["ok"]

    def open(
        self,
        group: str | None,
        *,
        topics: Sequence[str] | None = None,
        assign: Sequence[list] | None = None,
        begin: str = "earliest",
        config: dict[str, int] | None = None,
    ) -> None:
        """Opens the consumer: a member that subscribes to topics, or one with given partitions."""
        which = {"topics": topics} if assign is None else {"assign": assign}
        self.call("open", group=group, **which, **{"from": begin}, config=config or {})

    def poll(self, count_max: int, timeout_ms: int) -> list[Record]:
        """What the open consumer reads next."""
        answer_s_max = ANSWER_S_MAX + timeout_ms / 1000
        found = self.call("poll", answer_s_max=answer_s_max, max=count_max, timeout_ms=timeout_ms)
        return [record_of(fields) for fields in found["records"]]

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Ends the driver as a crash would: nobody is told."""
        self._process.kill()
        self._release()

    def close(self) -> None:
        """Lets the driver close everything and exit; it must do so in time, with code 0."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        self._process.stdin.close()
        try:
            code = self._process.wait(timeout=EXIT_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise Failed(f"{self.name} did not exit within {EXIT_S_MAX} s") from None
        finally:
            self._release()
        if code != 0:
            raise Failed(f"{self.name} exited with {code}; it said:\n{self._said()}")

    def _write(self, request: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise Failed(f"{self.name} is gone; it said:\n{self._said()}") from None

    def _line(self, do: str, deadline: float) -> bytes:
        assert self._process.stdout is not None
        stream = self._process.stdout.fileno()
        pieces = [self._unread]
        while b"\n" not in pieces[-1]:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise Failed(f"{self.name}: no answer to {do} in time; it said:\n{self._said()}")
            if select.select([stream], [], [], left_s)[0]:
                piece = os.read(stream, 1 << 20)
                if not piece:
                    raise Failed(f"{self.name} ended during {do}; it said:\n{self._said()}")
                pieces.append(piece)
        line, self._unread = b"".join(pieces).split(b"\n", 1)
        return line

    def _said(self) -> str:
        return tail(self.log.read_bytes())

    def _release(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass  # a request that the killed driver never took


def fields_of(topic: str, record: Record) -> dict:
    """A record as drivers are given it."""
    return {
        "topic": topic,
        "partition": record.partition,
        "timestamp": record.timestamp,
        "key": text_of(record.key),
        "value": text_of(record.value),
        "headers": [[name, text_of(value)] for name, value in record.headers],
    }


def record_of(fields: dict) -> Record:
    """A record as drivers hand it out."""
    return Record(
        value=bytes_of(fields["value"]),
        key=bytes_of(fields["key"]),
        headers=tuple((name, bytes_of(value)) for name, value in fields["headers"]),
        partition=fields["partition"],
        offset=fields["offset"],
        timestamp=fields["timestamp"],
    )


def text_of(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def bytes_of(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
