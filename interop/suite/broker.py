"""The broker under test: Flumen, or Apache Kafka to prove the suite itself."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Sequence

from .processes import Failed, run, wait_for

STATE = Path(__file__).resolve().parent.parent / ".interop"


class Broker:
    """A broker on loopback with a directory of its own, which can be stopped and started again."""

    name = ""
    #: Finds the partition directories of a stopped broker.
    log_root: Path

    def __init__(self, work: Path) -> None:
        self.work = work
        self.work.mkdir(parents=True)
        self.output = work / "output.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        #: Where clients are sent, if not to the broker itself.
        self.advertised_port = 0

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.advertised_port or self.port}"

    def start(self) -> None:
        raise NotImplementedError

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stops the broker; SIGTERM must end it cleanly, with exit code 0."""
        assert self.process is not None
        self.process.send_signal(how)
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"{self.name} did not stop within 30 s of {how.name}") from None
        self.process = None
        if how == signal.SIGTERM and code not in self.clean_exit_codes():
            raise Failed(f"{self.name} exited with {code} after SIGTERM")

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stops the broker and starts it again on the same port and data."""
        self.stop(how)
        self.start()

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def discard(self) -> None:
        """Ends the broker, whatever its state."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def partition_directories(self) -> list[Path]:
        """Every `<topic>-<partition>` directory of the data directory."""
        return sorted(
            path
            for path in self.log_root.rglob("*")
            if path.is_dir() and re.fullmatch(r".+-\d+", path.name) and list(path.glob("*.log"))
        )

    @staticmethod
    def clean_exit_codes() -> tuple[int, ...]:
        return (0,)


class Flumen(Broker):
    """`flumen broker`, started as a person would: its ready line names the port it chose."""

    name = "flumen"

    def __init__(self, binary: Path, work: Path, settings: Sequence[str] = ()) -> None:
        super().__init__(work)
        self.binary = binary.resolve()
        self.settings = settings
        self.log_root = work / "data"

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Starts the process."""
        command = [
            str(self.binary), "broker",
            "--data-dir", str(self.log_root),
            "--listen", f"127.0.0.1:{self.port}",
            "--http", "127.0.0.1:0",
            # kcat has no other way to create a topic.
            "--set", "auto.create.topics.enable=true",
            "--set", "group.initial.rebalance.delay.ms=0",
        ]
        if self.advertised_port:
            command += ["--set", f"advertised.listeners={self.bootstrap}"]
        for setting in self.settings:
            command += ["--set", setting]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output
            )

    def await_ready(self) -> None:
        """Waits until the process serves, and learns its port."""
        line = self._first_line(timeout_s=20)
        found = re.match(r"flumen ready\b.*?127\.0\.0\.1:(\d+)", line)
        if not found:
            said = self.output.read_text(errors="replace")[-2000:]
            raise Failed(f"no ready line, but {line!r}; flumen said:\n{said}")
        self.port = int(found.group(1))

    def _first_line(self, timeout_s: float) -> str:
        """The broker's first line of output; it is the ready line, or the broker is broken."""
        assert self.process is not None and self.process.stdout is not None
        stream = self.process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        seen = b""
        while b"\n" not in seen and time.monotonic() < deadline:
            if select.select([stream], [], [], 0.2)[0]:
                piece = os.read(stream, 4096)
                if not piece:
                    break
                seen += piece
        return seen.decode(errors="replace").split("\n", 1)[0]


class ApacheKafka(Broker):
    """Apache Kafka as one node: the reference. A story that fails on it is wrong itself."""

    name = "apache-kafka"

    def __init__(self, work: Path, settings: Sequence[str] = ()) -> None:
        super().__init__(work)
        self.settings = settings
        self.libraries = STATE / "java-apache-kafka"
        self.log_root = work / "logs"
        self.controller_port = 0
        #: That of the cluster which it is part of, if it is not one of its own.
        self.cluster_id = ""

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Starts the process."""
        settings = self.work / "server.properties"
        if not settings.exists():
            self.port = free_port()
            self.controller_port = self.controller_port or free_port()
            settings.write_text(self._settings())
            identity = self.cluster_id or self.new_cluster_id()
            run(self._java("kafka.tools.StorageTool", "format", "-t", identity, "-c", settings))
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", settings),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )

    def await_ready(self) -> None:
        """Waits until the process serves."""
        wait_for("apache-kafka serves", lambda: can_connect(self.port), timeout_s=60)

    def new_cluster_id(self) -> str:
        """An id for a cluster, in the form that Apache Kafka wants."""
        said = run(self._java("kafka.tools.StorageTool", "random-uuid")).stdout
        return said.decode().split()[-1]

    @staticmethod
    def clean_exit_codes() -> tuple[int, ...]:
        # A JVM that ran its shutdown hooks after SIGTERM reports the signal.
        return (0, 143)

    def _java(self, *words: str | Path) -> list[str]:
        options = ["-Xms256m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        path = f"{self.libraries}/*"
        return ["java", *options, "-cp", path, *map(str, words)]

    def _settings(self) -> str:
        return "\n".join([
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{self.controller_port}",
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},"
            f"CONTROLLER://127.0.0.1:{self.controller_port}",
            f"advertised.listeners=PLAINTEXT://{self.bootstrap}",
            "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            f"log.dirs={self.log_root}",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=4",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "group.initial.rebalance.delay.ms=0",
            *self.settings,
        ]) + "\n"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def can_connect(port: int) -> bool:
    """Whether something listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def empty_directory(path: Path) -> Path:
    """Makes `path` an empty directory."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
