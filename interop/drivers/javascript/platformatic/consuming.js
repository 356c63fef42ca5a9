// @platformatic/kafka's two ways to read, behind one poll: a stream for members of a group, and direct
// fetches for partitions that were assigned by hand.

import { FetchedPartitions } from "./fetched_partitions.js";
import { GroupStream } from "./group_stream.js";

export function consuming(options) {
  let open = null;
  const opened = () => {
    if (open === null) {
      throw new Error("no consumer is open");
    }
    return open;
  };
  const close = async () => {
    const closing = open;
    open = null;
    await closing?.close();
  };

  const actions = {
    async open({ group, topics, assign, from, config }) {
      if (open !== null) {
        throw new Error("a consumer is open already");
      }
      if (assign === undefined) {
        open = await GroupStream.open(options, { group, topics, from, config });
      } else {
        open = await FetchedPartitions.open(options, { group, assign, from });
      }
    },

    async poll({ max, timeout_ms: timeoutMs }) {
      return { records: await opened().poll(max, timeoutMs) };
    },

    async assignment() {
      return { partitions: opened().assignment };
    },

    async seek({ topic, partition, offset }) {
      await opened().seek(topic, partition, offset);
    },

    async pause({ partitions }) {
      await opened().pause(partitions);
    },

    async resume({ partitions }) {
      await opened().resume(partitions);
    },

    async commit() {
      const committed = await opened().commit();
      return { offsets: committed.map((one) => [one.topic, one.partition, Number(one.offset)]) };
    },

    close,
  };
  return { actions, quit: close };
}
