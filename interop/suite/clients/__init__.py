"""Other people's clients behind one face, so that a story can be told with any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Protocol

from ..records import Record


class Client(Protocol):
    """What a story asks of a client. Every call starts from nothing: no state is carried over."""

    name: str
    #: Whether records can be given headers that differ from record to record.
    varied_headers: bool

    def create_topic(self, topic: str, partitions: int) -> None: ...

    def produce(
        self, topic: str, records: Iterable[Record], *, compression: str = "none"
    ) -> None:
        """Produces with acks=all to the partition that each record names."""

    def read(self, topic: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        """Reads every partition from its start, without a group, until `count` records came."""

    def consume(self, topic: str, group: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        """Joins the group, takes `count` records, commits exactly these, leaves."""


def all_clients(bootstrap: str, work: Path) -> list[Client]:
    """One of each."""
    from .console import Console
    from .java import Java
    from .kafka_python import KafkaPython
    from .kcat import Kcat

    return [
        Kcat(bootstrap),
        KafkaPython(bootstrap),
        Java(bootstrap, work),
        Console(bootstrap),
    ]
