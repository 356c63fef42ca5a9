"""Other people's clients behind one face, so that a story can be told with any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Protocol, Sequence

from ..broker import STATE
from ..records import Record
from . import java

DRIVERS = Path(__file__).resolve().parents[2] / "drivers"
PYTHON = STATE / "venv" / "bin" / "python"
NODE = STATE / "node" / "bin" / "node"


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


def drivers() -> dict[str, Sequence[str | Path]]:
    """The clients behind a driver, each with the command that starts it."""
    return {
        "confluent-kafka": [PYTHON, DRIVERS / "python" / "with_confluent_kafka.py"],
        "kafka-python": [PYTHON, DRIVERS / "python" / "with_kafka_python.py"],
        "aiokafka": [PYTHON, DRIVERS / "python" / "with_aiokafka.py"],
        "kafkajs": [NODE, DRIVERS / "javascript" / "kafkajs.js"],
        "platformatic": [NODE, DRIVERS / "javascript" / "platformatic.js"],
        "java": java.DRIVER,
    }


def client_names() -> list[str]:
    """The names of all clients."""
    return ["kcat", *drivers(), "console"]


def all_clients(bootstrap: str, work: Path) -> list[Client]:
    """One of each."""
    from .console import Console
    from .driven import Driven
    from .kcat import Kcat

    driven = [Driven(name, command, bootstrap, work) for name, command in drivers().items()]
    return [Kcat(bootstrap), *driven, Console(bootstrap)]
