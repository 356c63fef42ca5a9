// Partitions assigned by hand. A stream always reads what its group assigned, so these are read with the
// library's own fetch: it goes to the leader, keeps a fetch session, and leaves the offsets to its caller.

import { randomUUID } from "node:crypto";

import { encoded } from "../frame.js";
import { library } from "../libraries.js";
import { Positions, place } from "../positions.js";

const { Consumer, ListOffsetTimestamps, findErrorBy } = library("@platformatic/kafka");

const PARTITION_BYTES_MAX = 1 << 20;
/** The longest fetch; a poll that may wait longer asks again. */
const FETCH_WAIT_MS_MAX = 200;
const OFFSET_OUT_OF_RANGE = 1;

export class FetchedPartitions {
  #consumer;
  #start;
  /** `{topic, partition, offset, isPaused}` by place; the offset is where the next fetch begins. */
  #partitions = new Map();
  /** Records that were fetched and not polled. */
  #waiting = [];
  #positions = new Positions();

  static async open(options, { group, assign, from }) {
    const opened = new FetchedPartitions(options, group, from);
    for (const [topic, partition] of assign) {
      await opened.#add(topic, partition);
    }
    return opened;
  }

  constructor(options, group, from) {
    this.#start =
      from === "earliest" ? ListOffsetTimestamps.EARLIEST : ListOffsetTimestamps.LATEST;
    // The library wants a group's name, although it is used for offsets only.
    const groupId = group ?? `platformatic-${randomUUID()}`;
    this.#consumer = new Consumer({ ...options, groupId });
    // Who commits without being a member says so by these; the library's null is not even understood.
    this.#consumer.memberId = "";
    this.#consumer.generationId = -1;
  }

  get assignment() {
    return [...this.#partitions.values()].map(({ topic, partition }) => [topic, partition]);
  }

  async poll(max, timeoutMs) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const records = this.#take(max);
      const left = deadline - Date.now();
      if (records.length > 0 || left <= 0) {
        return records;
      }
      await this.#fetch(Math.min(left, FETCH_WAIT_MS_MAX));
    }
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

  async seek(topic, partition, offset) {
    this.#of(topic, partition).offset = BigInt(offset);
    this.#positions.forget(topic, partition);
    this.#waiting = this.#waiting
      .filter((record) => record.topic !== topic || record.partition !== partition);
  }

  async pause(partitions) {
    this.#setPaused(partitions, true);
  }

  async resume(partitions) {
    this.#setPaused(partitions, false);
  }

  async close() {
    await this.#consumer.close(true);
  }

  async #add(topic, partition) {
    this.#consumer.topics.track(topic);
    const committed = await this.#committedOffset(topic, partition);
    const offset = committed >= 0 ? committed : await this.#startOffset(topic, partition);
    this.#partitions.set(place(topic, partition), { topic, partition, offset, isPaused: false });
  }

  async #committedOffset(topic, partition) {
    const asked = { topics: [{ topic, partitions: [partition] }] };
    return (await this.#consumer.listCommittedOffsets(asked)).get(topic)[partition];
  }

  async #startOffset(topic, partition) {
    const asked = { topics: [topic], partitions: { [topic]: [partition] }, timestamp: this.#start };
    return (await this.#consumer.listOffsets(asked)).get(topic)[partition];
  }

  #of(topic, partition) {
    const found = this.#partitions.get(place(topic, partition));
    if (found === undefined) {
      throw new Error(`partition ${partition} of ${topic} is not assigned`);
    }
    return found;
  }

  #setPaused(partitions, isPaused) {
    for (const [topic, partition] of partitions) {
      this.#of(topic, partition).isPaused = isPaused;
    }
  }

  #take(max) {
    const taken = this.#waiting
      .filter(({ topic, partition }) => !this.#of(topic, partition).isPaused)
      .slice(0, max);
    const polled = new Set(taken);
    this.#waiting = this.#waiting.filter((record) => !polled.has(record));
    taken.forEach((record) => this.#positions.advance(record));
    return taken;
  }

  /** Fetches once from every leader. */
  async #fetch(maxWaitTime) {
    const wanted = [...this.#partitions.values()].filter(({ isPaused }) => !isPaused);
    if (wanted.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, maxWaitTime));
      return;
    }
    const topics = [...new Set(wanted.map(({ topic }) => topic))];
    const metadata = await this.#consumer.metadata({ topics });
    const leaderOf = ({ topic, partition }) => metadata.topics.get(topic).partitions[partition].leader;
    for (const node of new Set(wanted.map(leaderOf))) {
      const led = wanted.filter((one) => leaderOf(one) === node);
      await this.#fetchFrom(node, led, metadata, maxWaitTime);
    }
  }

  async #fetchFrom(node, partitions, metadata, maxWaitTime) {
    const topics = partitions.map(({ topic, partition, offset }) => ({
      topicId: metadata.topics.get(topic).id,
      partitions: [
        {
          partition,
          fetchOffset: offset,
          currentLeaderEpoch: -1,
          lastFetchedEpoch: -1,
          partitionMaxBytes: PARTITION_BYTES_MAX,
        },
      ],
    }));
    const { responses } = await this.#consumer.fetch({ node, topics, maxWaitTime })
      .catch((error) => outOfRange(error));
    for (const { topicId, partitions: answers } of responses) {
      const { topic } = partitions.find((one) => metadata.topics.get(one.topic).id === topicId);
      for (const { partitionIndex: partition, errorCode, records } of answers) {
        if (errorCode === OFFSET_OUT_OF_RANGE) {
          this.#of(topic, partition).offset = await this.#startOffset(topic, partition);
        } else {
          this.#keep(topic, partition, records ?? []);
        }
      }
    }
  }

  #keep(topic, partition, batches) {
    const assigned = this.#of(topic, partition);
    for (const batch of batches) {
      // A fetch in the middle of a batch brings all of it.
      const records = batch.records.map((one) => record(topic, partition, batch, one))
        .filter(({ offset }) => offset >= assigned.offset);
      this.#waiting.push(...records);
      assigned.offset = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
    }
  }
}

/** The answer behind an error that means no more than that an offset does not exist. */
function outOfRange(error) {
  const refused = findErrorBy(error, "apiId", "OFFSET_OUT_OF_RANGE");
  if (!refused || !error.response) {
    throw error;
  }
  return error.response;
}

function record(topic, partition, batch, { offsetDelta, timestampDelta, key, value, headers }) {
  return {
    topic,
    partition,
    offset: Number(batch.firstOffset) + offsetDelta,
    timestamp: Number(batch.firstTimestamp + timestampDelta),
    key: encoded(key),
    value: encoded(value),
    headers: headers.map(([name, one]) => [name.toString(), encoded(one)]),
  };
}
