// @platformatic/kafka's producer. Compression, acknowledgements and idempotence are chosen for each send.

import { decoded } from "../frame.js";
import { library } from "../libraries.js";
import { place } from "../positions.js";

const { Producer } = library("@platformatic/kafka");

export function producing(options) {
  const producer = new Producer(options);

  const actions = {
    async produce({ topic, records, compression, acks, idempotent }) {
      const messages = records.map((record) => message(topic, record));
      const sent = await producer.send({ messages, compression, acks, idempotent });
      return { offsets: offsets(topic, records, sent.offsets ?? []) };
    },
  };
  return { actions, quit: () => producer.close() };
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
