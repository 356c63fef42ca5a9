"""Real records of varying size, from the tables of the npm package vega-datasets."""

from __future__ import annotations

import json
from typing import Iterator

from .broker import STATE
from .records import Record

FOLDER = STATE / "data" / "node_modules" / "vega-datasets" / "data"

#: Tables with a row per record: about 280,000 rows of 30 to 3,000 bytes.
JSON_TABLES = ["flights-200k.json", "movies.json", "cars.json", "football.json", "earthquakes.json"]
CSV_TABLES = ["birdstrikes.csv", "species.csv", "zipcodes.csv", "sp500-2000.csv", "airports.csv"]
#: Documents that are one record each, the largest of 640 KiB.
DOCUMENTS = ["us-10m.json", "world-110m.json", "countries.json", "londonTubeLines.json"]

PARTITIONS = 4
#: The least a run must move to count as real.
COUNT_MIN = 200_000


def records() -> list[Record]:
    """All of them; rows of a table share a partition, so that their order can be compared."""
    found = list(_rows())
    assert len(found) >= COUNT_MIN, f"only {len(found)} real records"
    return found


def _rows() -> Iterator[Record]:
    for index, table in enumerate(JSON_TABLES):
        content = json.loads((FOLDER / table).read_bytes())
        rows = content["features"] if isinstance(content, dict) else content
        for number, row in enumerate(rows):
            value = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
            # The big table is spread; the others stay in one partition each.
            partition = number % PARTITIONS if index == 0 else index % PARTITIONS
            yield Record(value, f"{table}:{number}".encode(), partition=partition)
    for index, table in enumerate(CSV_TABLES):
        for line in (FOLDER / table).read_bytes().splitlines()[1:]:
            key, _, _ = line.partition(b",")
            yield Record(line, key or b"?", partition=index % PARTITIONS)
    for index, document in enumerate(DOCUMENTS):
        value = json.dumps(json.loads((FOLDER / document).read_bytes())).encode()
        yield Record(value, document.encode(), partition=index % PARTITIONS)
