"""Child processes with a deadline. Only processes started here are ever signalled, by their id."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Sequence


class Failed(Exception):
    """A program exited non-zero or outlived its deadline."""


def run(
    command: Sequence[str | Path],
    *,
    stdin: bytes = b"",
    timeout_s: float = 60,
    check: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program to its end; `Failed` carries what it said last."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as expired:
        said = tail(expired.stdout or b"") + tail(expired.stderr or b"")
        late = f"{name_of(words)} was still running after {timeout_s} s"
        raise Failed(f"{late}; it said:\n{said}") from None
    if check and done.returncode != 0:
        said = tail(done.stdout) + tail(done.stderr)
        raise Failed(f"{name_of(words)} exited with {done.returncode}; it said:\n{said}")
    return done


def wait_for(what: str, condition, *, timeout_s: float = 30, every_s: float = 0.05) -> None:
    """Polls until `condition()` is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            raise Failed(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)


def name_of(words: Sequence[str]) -> str:
    """How a command is called in messages: a Java program by its class."""
    if Path(words[0]).name == "java":
        classes = ("org.apache.", "kafka.", "flumen.")
        return next((word for word in words if word.startswith(classes)), "java")
    return Path(words[0]).name


def tail(output: bytes, lines: int = 12) -> str:
    """The last lines of an output."""
    return "\n".join(output.decode(errors="replace").splitlines()[-lines:])
