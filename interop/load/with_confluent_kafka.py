"""librdkafka as load for the chaos test (`tools/tests/chaos/other_client.rs` says what is printed).

    with_confluent_kafka.py BOOTSTRAP TOPIC PARTITIONS GROUP FIRST_VALUE
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

#: Records that are given to a partition at once, and the pause when all are settled.
BURST = 3
PAUSE_S = 0.01
RECORD_BYTES = 200
MEMBERS = 2
#: Consumers are told apart by numbers: the members of the group, and then the reader of all.
READER = MEMBERS
#: Records that are reported together.
POLLED_MAX = 200

bootstrap, topic, partitions, group, first_value = sys.argv[1:]
#: How long the library waits for an answer. Its default, a minute, would be all that a run sees of a
#: half-open connection.
ANSWER_MS_MAX = 10_000
#: Its pauses before it connects again grow up to ten seconds where brokers die again and again, as here.
RECONNECT_MS_MAX = 1_000
COMMON = {
    "bootstrap.servers": bootstrap,
    "socket.timeout.ms": ANSWER_MS_MAX,
    "reconnect.backoff.max.ms": RECONNECT_MS_MAX,
    "log_level": 0,
}
is_over = threading.Event()
printing = threading.Lock()


def say(event: str, what: object) -> None:
    line = json.dumps({event: what}, separators=(",", ":"))
    with printing:
        print(line, flush=True)


def complain(error: KafkaError) -> None:
    """Says what went wrong. What the library calls fatal ends the program, which fails the test."""
    say("complaint", str(error))
    if error.fatal():
        raise KafkaException(error)


class Writing:
    """Bursts to every partition by one idempotent producer."""

    def __init__(self) -> None:
        self.producer = Producer({
            **COMMON,
            "enable.idempotence": True,
            "request.timeout.ms": ANSWER_MS_MAX,
            "linger.ms": 0,
        })
        self.values = 0
        self.operations = 0
        self.open = [0] * int(partitions)
        self.begin_at = [0.0] * int(partitions)

    def run(self) -> None:
        while not is_over.is_set():
            now = time.monotonic()
            for partition, open_records in enumerate(self.open):
                if open_records == 0 and self.begin_at[partition] <= now:
                    self.burst(partition)
            self.producer.poll(PAUSE_S / 2)
        if self.producer.flush(100) > 0:
            raise RuntimeError("not everything was settled in time")

    def burst(self, partition: int) -> None:
        self.operations += 1
        for _ in range(BURST):
            text = str(int(first_value) + self.values).ljust(RECORD_BYTES, ".")
            self.open[partition] += 1
            settled = self.settled(partition, self.operations, self.values)
            self.producer.produce(topic, text, partition=partition, on_delivery=settled)
            self.values += 1

    def settled(self, partition: int, operation: int, value: int):
        def on_delivery(error: KafkaError | None, message: Message) -> None:
            self.open[partition] -= 1
            self.begin_at[partition] = time.monotonic() + PAUSE_S
            written = "unknown" if error else {"acknowledged": message.offset()}
            say("sent", {
                "operation": operation,
                "partition": partition,
                "value": value,
                "written": written,
            })
            if error:
                complain(error)

        return on_delivery


class Reading:
    """One consumer: a member of the group, or the reader of all."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.placing = 0
        self.begun: dict[int, int] = {}
        is_member = number < MEMBERS
        self.consumer = Consumer({
            **COMMON,
            "group.id": group if is_member else f"{group}-none",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1000,
            "check.crcs": True,
        })  # fmt: skip
        if is_member:
            self.consumer.subscribe([topic], on_assign=self.placed, on_revoke=self.placed)
        else:
            every = range(int(partitions))
            self.consumer.assign([TopicPartition(topic, partition) for partition in every])

    def placed(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self.placing += 1

    def run(self) -> None:
        while not is_over.is_set():
            placing = self.placing
            messages = self.some()
            if placing != self.placing or not messages:
                # Which of them came before the change cannot be told.
                continue
            records = [[one.partition(), one.offset(), one.value().decode()] for one in messages]
            say("polled", {"consumer": self.number, "placing": placing, "records": records})
            if self.number < MEMBERS:
                self.commit(messages, placing)
        self.consumer.close()

    def some(self) -> list[Message]:
        messages = []
        for message in self.consumer.consume(POLLED_MAX, 0.2):
            if message.error():
                complain(message.error())
            else:
                messages.append(message)
        return messages

    def commit(self, messages: list[Message], placing: int) -> None:
        member = [self.number, placing]
        following: dict[int, int] = {}
        for one in messages:
            partition, offset = one.partition(), one.offset()
            if self.begun.get(partition) != placing:
                self.begun[partition] = placing
                say("began", {"member": member, "partition": partition, "offset": offset})
            following[partition] = offset + 1
        offsets = [TopicPartition(topic, *place) for place in following.items()]
        try:
            answers = self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            complain(error.args[0])
            return
        for answer in answers:
            if answer.error:
                complain(answer.error)
            else:
                place = {"partition": answer.partition, "offset": answer.offset}
                say("committed", {"member": member, **place})


def main() -> int:
    failures = []

    def guarded(run) -> None:
        try:
            run()
        except BaseException as error:
            failures.append(error)
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            is_over.set()

    work = [Writing(), *(Reading(number) for number in range(MEMBERS + 1))]
    threads = [threading.Thread(target=guarded, args=(one.run,)) for one in work]
    for thread in threads:
        thread.start()
    threading.Thread(target=await_end_of_input, daemon=True).start()
    for thread in threads:
        thread.join()
    return 1 if failures else 0


def await_end_of_input() -> None:
    # Past Python's own buffer, which could not be locked any more when the program ends first.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    is_over.set()


if __name__ == "__main__":
    sys.exit(main())
