// kafkajs' producer, with the codecs that come as plug-ins.

import { zstdCompress, zstdDecompress } from "node:zlib";
import { promisify } from "node:util";

import { Unsupported, decoded, grouped } from "../frame.js";
import { library } from "../libraries.js";

const { CompressionCodecs, CompressionTypes } = library("kafkajs");

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

/** Gives kafkajs the codecs that it leaves to others; its consumers use them as well. */
function installCodecs() {
  const Lz4 = library("@2l/kafkajs-lz4");
  CompressionCodecs[CompressionTypes.Snappy] = library("kafkajs-snappy");
  CompressionCodecs[CompressionTypes.LZ4] = new Lz4().codec;
  // The plug-ins for zstd on npm have to be compiled; Node has had it of its own for a while.
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: (encoder) => promisify(zstdCompress)(encoder.buffer),
    decompress: promisify(zstdDecompress),
  });
}

export function producing(kafka) {
  /** A producer is idempotent or not for its whole life. */
  const producers = new Map();
  const producer = async (idempotent) => {
    if (!producers.has(idempotent)) {
      const created = kafka.producer({ idempotent });
      producers.set(idempotent, created.connect().then(() => created));
    }
    return await producers.get(idempotent);
  };
  installCodecs();

  const actions = {
    async produce({ topic, records, compression, acks, idempotent }) {
      if (idempotent && acks !== -1) {
        throw new Unsupported("an idempotent producer of kafkajs waits for all replicas");
      }
      const messages = records.map(message);
      const sender = await producer(idempotent);
      const how = { topic, acks, compression: CODECS[compression] };
      const sent = await sender.send({ ...how, messages });
      // When a partition has moved to a broker that has answered for others, kafkajs forgets its records.
      for (let left; acks !== 0 && (left = unanswered(messages, sent)).length > 0; ) {
        sent.push(...(await sender.send({ ...how, messages: left })));
      }
      return { offsets: offsets(records, sent) };
    },
  };
  const quit = async () => {
    for (const connected of producers.values()) {
      await (await connected).disconnect();
    }
  };
  return { actions, quit };
}

/** The messages to partitions that no answer names. */
function unanswered(messages, sent) {
  const answered = new Set(sent.map((answer) => answer.partition));
  return messages.filter(({ partition }) => partition !== undefined && !answered.has(partition));
}

function message({ key, value, headers, partition, timestamp }) {
  return {
    partition,
    key: decoded(key),
    value: decoded(value),
    headers: headerObject(headers),
    ...(timestamp === -1 ? {} : { timestamp: String(timestamp) }),
  };
}

/** kafkajs takes an object; names that come twice are a list in it, and have to be neighbours for that. */
function headerObject(headers) {
  if (headers.some(([, value]) => value === null)) {
    throw new Unsupported("kafkajs cannot write a header without a value");
  }
  const names = headers.map(([name]) => name);
  const named = grouped(headers, ([name]) => name);
  const object = Object.fromEntries(
    [...named].map(([name, group]) => {
      const values = group.map(([, value]) => decoded(value));
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
  const order = Object.keys(object).flatMap((name) => named.get(name).map(() => name));
  if (order.some((name, index) => name !== names[index])) {
    throw new Unsupported("kafkajs holds headers in an object, which loses this order");
  }
  return object;
}

/** kafkajs answers the first offset of each partition; a partition's records went out in their order. */
function offsets(records, sent) {
  const next = new Map(sent.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]));
  return records.map(({ partition }) => {
    const offset = next.get(partition);
    if (offset === undefined || Number.isNaN(offset) || offset < 0) {
      return null;
    }
    next.set(partition, offset + 1);
    return offset;
  });
}
