"""Runs the stories: `python -m suite --flumen BINARY | --apache-kafka [--cluster] [--only TEXT]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import stories  # noqa: F401  (registers the stories)
from .broker import STATE, ApacheKafka, Broker, Flumen, empty_directory
from .clients import all_clients
from .cluster import FlumenCluster
from .report import STORIES, Report, Stage
from .traffic import Recorder


def main() -> int:
    options = arguments()
    work = empty_directory(STATE / "run")
    broker: Broker
    if options.apache_kafka:
        broker = ApacheKafka(work / "broker")
    elif options.cluster:
        broker = FlumenCluster(options.flumen, work / "broker")
    else:
        broker = Flumen(options.flumen, work / "broker")
    recorder = Recorder(broker) if options.record else None
    report = Report()
    chosen = [told for told in STORIES if options.only in told.name]
    broker.start()
    print(f"{broker.name} on {broker.bootstrap}, {len(chosen)} stories", flush=True)
    try:
        clients = {client.name: client for client in all_clients(broker.bootstrap, work)}
        stage = Stage(broker, clients, work, options.differential, options.full)
        report.tell(chosen, stage)
        if recorder is not None:
            recorder.finish(options.record)
    finally:
        broker.discard()
    return report.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="interop/run", description=__doc__)
    broker = parser.add_mutually_exclusive_group(required=True)
    broker.add_argument("--flumen", type=Path, metavar="BINARY", help="the flumen binary to test")
    broker.add_argument("--apache-kafka", action="store_true", help="prove the suite itself")
    parser.add_argument(
        "--cluster", action="store_true", help="three brokers instead of one, with all replicas"
    )
    parser.add_argument(
        "--differential", type=Path, metavar="BINARY", help="the program that compares two brokers"
    )
    parser.add_argument("--full", action="store_true", help="the long form of stories that have one")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write down what the clients said, for fuzz/"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="stories with TEXT in the name")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
