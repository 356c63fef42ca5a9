// @platformatic/kafka's producer. Compression, acknowledgements and idempotence are chosen for each send.

import { decoded } from "../frame.js";
import { library } from "../libraries.js";
import { place } from "../positions.js";

const { Producer } = library("@platformatic/kafka");

export function producing(options) {
  const producer = new Producer(options);

  const actions = {
    async produce({ topic, records, compression, acks, idempotent }) {
      const found = [];
      for (const run of runs(records)) {
        const messages = run.map((record) => message(topic, record));
        const sent = await producer.send({ messages, compression, acks, idempotent });
        found.push(...offsets(topic, run, sent.offsets ?? []));
      }
      return { offsets: found };
    },
  };
  return { actions, quit: () => producer.close() };
}

/**
 * Records with and without a time of their own go out in different batches: when the times in a batch lie years
 * apart, the library loses bits of their distance.
 */
function runs(records) {
  const found = [];
  for (const record of records) {
    const last = found.at(-1);
    if (last !== undefined && (last[0].timestamp === -1) === (record.timestamp === -1)) {
      last.push(record);
    } else {
      found.push([record]);
    }
  }
  return found;
}

function message(topic, { key, value, headers, partition, timestamp }) {
  return {
    topic,
    partition,
    key: decoded(key),
    value: decoded(value),
    // Two buffers are never the same key, so that names may come twice.
    headers: new Map(headers.map(([name, one]) => [Buffer.from(name), decoded(one)])),
    ...(timestamp === -1 ? {} : { timestamp: BigInt(timestamp) }),
  };
}

/** The answer has the first offset of each partition; a partition's records went out in their order. */
function offsets(topic, records, sent) {
  const next = new Map(sent.map((one) => [place(one.topic, one.partition), Number(one.offset)]));
  return records.map(({ partition }) => {
    const offset = next.get(place(topic, partition));
    if (offset === undefined || offset < 0) {
      return null;
    }
    next.set(place(topic, partition), offset + 1);
    return offset;
  });
}
