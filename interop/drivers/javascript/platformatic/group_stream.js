// A member of a group: one stream over all topics, which starts every partition at its committed offset. The
// stream is read only when somebody polls, so that what is read ahead stays within the library.

import { randomUUID } from "node:crypto";

import { Unsupported, encoded } from "../frame.js";
import { library } from "../libraries.js";
import { Positions } from "../positions.js";
import { settledWithin } from "../waiting.js";

const { Consumer, MessagesStreamModes } = library("@platformatic/kafka");

export class GroupStream {
  #consumer;
  #topics;
  #fallbackMode;
  #stream = null;
  /** What ended the stream, if anything did. */
  #failure = null;
  #positions = new Positions();
  #isPaused = false;
  #arrived = Promise.withResolvers();

  static async open(options, { group, topics, from, config }) {
    const opened = new GroupStream(options, { group, topics, from, config });
    await opened.#replaceStream({ mode: MessagesStreamModes.COMMITTED });
    return opened;
  }

  constructor(options, { group, topics, from, config }) {
    const sessionTimeout = config.session_timeout_ms ?? 30_000;
    this.#topics = topics;
    this.#fallbackMode = from;
    this.#consumer = new Consumer({
      ...options,
      // The library reads in groups only; whoever asks for none gets one for itself.
      groupId: group ?? `platformatic-${randomUUID()}`,
      sessionTimeout,
      rebalanceTimeout: Math.max(sessionTimeout, 30_000),
      heartbeatInterval: Math.min(1000, sessionTimeout / 4),
      maxWaitTime: 200,
    });
    this.#consumer.on("consumer:group:join", () => {
      // The stream goes back to what is committed; what it has read ahead would come a second time.
      while (this.#stream?.read());
      this.#positions.clear();
    });
  }

  get assignment() {
    return (this.#consumer.assignments ?? [])
      .flatMap(({ topic, partitions }) => partitions.map((partition) => [topic, partition]))
      .sort(([a, one], [b, other]) => a.localeCompare(b) || one - other);
  }

  async poll(max, timeoutMs) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      if (this.#failure !== null) {
        throw this.#failure;
      }
      const { promise: arrived } = this.#arrived;
      const records = this.#isPaused ? [] : this.#take(max);
      const left = deadline - Date.now();
      if (records.length > 0 || left <= 0) {
        return records;
      }
      await settledWithin(arrived, left);
    }
  }

  #take(max) {
    const records = [];
    while (records.length < max) {
      const message = this.#stream.read();
      if (message === null) {
        break;
      }
      records.push(record(message));
    }
    records.forEach((one) => this.#positions.advance(one));
    return records;
  }

  /** Gives what it committed. */
  async commit() {
    const offsets = this.#positions.all()
      .map((one) => ({ ...one, offset: BigInt(one.offset), leaderEpoch: -1 }));
    if (offsets.length > 0) {
      await this.#consumer.commit({ offsets });
    }
    return offsets;
  }

  /** A stream cannot be moved: another takes its place, which starts where this one was otherwise. */
  async seek(topic, partition, offset) {
    const offsets = [{ topic, partition, offset: BigInt(offset) }];
    for (const { topic: name, partitions } of this.#consumer.assignments) {
      const asked = { topics: [{ topic: name, partitions }] };
      const committed = (await this.#consumer.listCommittedOffsets(asked)).get(name);
      for (const other of partitions) {
        const next = this.#positions.of(name, other) ?? committed[other];
        if (next !== undefined && next >= 0 && !(name === topic && other === partition)) {
          offsets.push({ topic: name, partition: other, offset: BigInt(next) });
        }
      }
    }
    this.#positions.forget(topic, partition);
    await this.#replaceStream({ mode: MessagesStreamModes.MANUAL, offsets });
  }

  async pause(partitions) {
    this.#checkWhole(partitions);
    this.#stream.pause();
    // A paused stream would still give what it has read ahead.
    this.#isPaused = true;
  }

  async resume(partitions) {
    this.#checkWhole(partitions);
    this.#stream.resume();
    this.#isPaused = false;
  }

  async close() {
    await this.#consumer.close(true);
  }

  #checkWhole(partitions) {
    if (partitions.length !== this.assignment.length) {
      throw new Unsupported("a stream of @platformatic/kafka is paused as a whole");
    }
  }

  /** The old stream closes last: a topic that nothing reads any more is left, and joined again. */
  async #replaceStream(start) {
    const replaced = this.#stream;
    this.#stream = await this.#consumer.consume({
      topics: this.#topics,
      fallbackMode: this.#fallbackMode,
      autocommit: false,
      ...start,
    });
    this.#stream.on("error", (error) => {
      this.#failure = error;
      this.#wake();
    });
    this.#stream.on("readable", () => this.#wake());
    await replaced?.close();
  }

  #wake() {
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers();
  }
}

function record({ topic, partition, offset, timestamp, key, value, headerEntries }) {
  return {
    topic,
    partition,
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: encoded(key),
    value: encoded(value),
    headers: headerEntries.map(([name, one]) => [name.toString(), encoded(one)]),
  };
}
