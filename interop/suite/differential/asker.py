"""Sends requests to one broker and remembers the answers, with what may differ masked."""

from __future__ import annotations

import importlib
import socket
import struct
from typing import Any

from kafka.protocol.api_message import ApiMessage

from .masks import masked

MODULES = [
    "admin.cluster", "admin.configs", "admin.groups", "admin.topics", "admin.transactions",
    "consumer.fetch", "consumer.group", "consumer.offsets", "metadata.api_versions",
    "metadata.find_coordinator", "metadata.metadata", "producer.produce", "producer.transaction",
]  # fmt: skip

MESSAGES = {
    name: found
    for module in MODULES
    for name, found in vars(importlib.import_module(f"kafka.protocol.{module}")).items()
    if isinstance(found, type) and issubclass(found, ApiMessage)
}

#: What stands for an answer where the broker closed the connection.
CLOSED = "connection closed"


class Asker:
    """One broker's side of a scene."""

    def __init__(self, bootstrap: str, served: set[int]) -> None:
        host, port = bootstrap.rsplit(":", 1)
        self.address = (host, int(port))
        self.served = served
        self.answers: list[tuple[str, Any]] = []
        self.connection: socket.socket | None = None
        self.correlation_id = 0

    def versions(self, api: str, last: int = 99) -> range:
        """The versions of an API that can be asked; none if Flumen does not serve it."""
        request = MESSAGES[f"{api}Request"]
        if request.API_KEY not in self.served:
            return range(0)
        first, end = request.valid_versions
        return range(first, min(end, last) + 1)

    def ask(self, label: str, api: str, version: int, **fields: Any) -> dict[str, Any]:
        """Asks, remembers the masked answer, and gives the answer as it came."""
        answer = self.send(api, version, **fields)
        self.answers.append((f"{label}: {api} v{version}", masked(api, answer)))
        return answer

    def send(self, api: str, version: int, **fields: Any) -> dict[str, Any]:
        """Asks without remembering."""
        request = build(MESSAGES[f"{api}Request"], fields, version)
        self.correlation_id += 1
        request.with_header(correlation_id=self.correlation_id, client_id="differential")
        try:
            self._connected().sendall(request.encode(header=True, framed=True))
            frame = self._read_frame()
        except (ConnectionError, EOFError):
            self.close()
            return {"closed": CLOSED}
        response = MESSAGES[f"{api}Response"]
        return response.decode(frame, version=version, header=True).to_dict(json=False)

    def note(self, label: str, value: Any) -> None:
        """Remembers something that was derived from answers."""
        self.answers.append((label, value))

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _connected(self) -> socket.socket:
        if self.connection is None:
            self.connection = socket.create_connection(self.address, timeout=30)
        return self.connection

    def _read_frame(self) -> bytes:
        (size,) = struct.unpack(">i", self._read(4))
        return self._read(size)

    def _read(self, size: int) -> bytes:
        assert self.connection is not None
        taken = bytearray()
        while len(taken) < size:
            piece = self.connection.recv(size - len(taken))
            if not piece:
                raise EOFError
            taken += piece
        return bytes(taken)


def build(message: type, fields: dict[str, Any], version: int) -> Any:
    """Makes a message of plain dictionaries and lists, whose names are the schema's.

    A field that the version does not have is left out, so that one set of fields serves all.
    """
    values = {}
    for name, value in fields.items():
        field = message.fields[name]
        if not field.for_version_q(version):
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = [build(field.data_class, item, version) for item in value]
        elif isinstance(value, dict):
            value = build(field.data_class, value, version)
        values[name] = value
    return message(version=version, **values)
