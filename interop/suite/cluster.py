"""Three brokers as one, for the stories that need no broker of a kind: failover under every client."""

from __future__ import annotations

import signal
from pathlib import Path

from .broker import ApacheKafka, Broker, Flumen, free_port
from .processes import run, wait_for

BROKERS = 3
#: Every copy is caught up again within that time after a restart.
HEALTHY_S_MAX = 60


class FlumenCluster(Broker):
    """Three `flumen broker`, with everything on each; clients are told the address of the first."""

    name = "flumen, three brokers"

    def __init__(self, binary: Path, work: Path) -> None:
        super().__init__(work)
        self.log_root = work
        peers = {number: f"127.0.0.1:{free_port()}" for number in range(1, BROKERS + 1)}
        voters = ",".join(f"{number}@{peer}" for number, peer in peers.items())
        self.brokers = [
            Flumen(binary, work / str(number), [
                f"node.id={number}",
                f"peer.listener={peer}",
                f"controller.quorum.voters={voters}",
                f"default.replication.factor={BROKERS}",
                "min.insync.replicas=2",
            ])
            for number, peer in peers.items()
        ]  # fmt: skip

    def start(self) -> None:
        # None is ready before most of them run.
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.await_ready()
        self.port = self.brokers[0].port
        self.await_health()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        for broker in self.brokers:
            broker.stop(how)

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Restarts one after the other, each when the one before has everything again."""
        for broker in self.brokers:
            broker.restart(how)
            self.await_health()

    def is_running(self) -> bool:
        return all(broker.is_running() for broker in self.brokers)

    def discard(self) -> None:
        for broker in self.brokers:
            broker.discard()

    def await_health(self) -> None:
        every = ",".join(broker.bootstrap for broker in self.brokers)
        ask = [self.brokers[0].binary, "cluster", "health", "-b", every]
        wait_for(
            "all replicas are in sync",
            lambda: run(ask, check=False).returncode == 0,
            timeout_s=HEALTHY_S_MAX,
        )


class ApacheKafkaCluster(Broker):
    """Three Apache Kafka, to compare with; it is as quick as Flumen to miss one of them."""

    name = "apache-kafka, three brokers"

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        ports = {number: free_port() for number in range(1, BROKERS + 1)}
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in ports.items())
        self.brokers = [
            ApacheKafka(work / str(number), [
                f"node.id={number}",
                f"controller.quorum.voters={voters}",
                "broker.session.timeout.ms=2500",
                "broker.heartbeat.interval.ms=400",
            ])
            for number in ports
        ]  # fmt: skip
        cluster_id = self.brokers[0].new_cluster_id()
        for broker, port in zip(self.brokers, ports.values(), strict=True):
            broker.cluster_id, broker.controller_port = cluster_id, port

    def start(self) -> None:
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.await_ready()
        self.port = self.brokers[0].port

    def discard(self) -> None:
        for broker in self.brokers:
            broker.discard()
