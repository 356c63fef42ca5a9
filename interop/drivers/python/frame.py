"""What the Python drivers share: the lines of the protocol (../README.md), and nothing of Kafka."""

from __future__ import annotations

import base64
import json
import os
import sys
import traceback
from typing import Any, NoReturn


class Unsupported(Exception):
    """The library cannot do this, whatever the broker."""


def serve(driver: Any) -> NoReturn:
    """Answers requests with the driver's methods of the same name until the input ends."""
    # Libraries may print; the answers' pipe is not theirs.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_answer(driver, json.loads(line))).encode() + b"\n")
        answers.flush()
    driver.end()
    sys.exit(0)


def _answer(driver: Any, request: dict) -> dict:
    name = request.pop("do")
    # `from` is a word of the language.
    arguments = {"begin" if key == "from" else key: value for key, value in request.items()}
    try:
        return {"ok": getattr(driver, name)(**arguments) or {}}
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def text_of(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def bytes_of(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def headers_of(record: dict) -> list[tuple[str, bytes | None]]:
    """The headers of a record that is to be produced, as all three libraries take them."""
    return [(name, bytes_of(value)) for name, value in record["headers"]]


def fields_of(
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    key: bytes | None,
    value: bytes | None,
    headers: Any,
) -> dict:
    """A record that was read, as the protocol writes it."""
    return {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "timestamp": timestamp,
        "key": text_of(key),
        "value": text_of(value),
        "headers": [[name, text_of(data)] for name, data in headers or ()],
    }
