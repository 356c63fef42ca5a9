// kafkajs' consumer behind a poll. It pushes batches into `eachBatch`, one partition at a time; a batch waits
// there, with heartbeats, until all of it was polled or kafkajs takes it back.

import { randomUUID } from "node:crypto";

import { Backlog } from "../backlog.js";
import { encoded, grouped } from "../frame.js";
import { library } from "../libraries.js";
import { settledWithin } from "../waiting.js";

const { AssignerProtocol } = library("kafkajs");

/** Enough for every partition of a test to have a batch waiting; one that waits holds nobody up then. */
const PARTITIONS_MAX = 64;
/** How often a waiting batch looks whether it is still wanted. */
const LOOK_EVERY_MS = 50;

export function consuming(kafka) {
  /** The open consumer: `{consumer, backlog, assignment, crash}`. */
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
    await closing?.consumer.disconnect();
  };

  const actions = {
    async open({ group, topics, assign, from, config }) {
      if (open !== null) {
        throw new Error("a consumer is open already");
      }
      open = await openedConsumer(kafka, { group, topics, assign, from, config });
    },

    async poll({ max, timeout_ms: timeoutMs }) {
      const { backlog, crash } = opened();
      if (crash !== null) {
        throw crash;
      }
      return { records: await backlog.poll(max, timeoutMs) };
    },

    async assignment() {
      return { partitions: opened().assignment };
    },

    async seek({ topic, partition, offset }) {
      const { consumer, backlog } = opened();
      // First kafkajs, which stops a batch that waits, then what was read ahead.
      consumer.seek({ topic, partition, offset: String(offset) });
      backlog.forget(topic, partition);
    },

    async pause({ partitions }) {
      opened().consumer.pause(byTopic(partitions));
      opened().backlog.pause(partitions);
    },

    async resume({ partitions }) {
      opened().consumer.resume(byTopic(partitions));
      opened().backlog.resume(partitions);
    },

    async commit() {
      const { consumer, backlog } = opened();
      const offsets = backlog.positions.all();
      await consumer.commitOffsets(offsets.map((one) => ({ ...one, offset: String(one.offset) })));
      return { offsets: offsets.map((one) => [one.topic, one.partition, one.offset]) };
    },

    close,
  };
  return { actions, quit: close };
}

async function openedConsumer(kafka, { group, topics, assign, from, config }) {
  // kafkajs reads in groups only; whoever asks for none gets one for itself.
  const groupId = group ?? `kafkajs-${randomUUID()}`;
  const sessionTimeout = config.session_timeout_ms ?? 30_000;
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout,
    heartbeatInterval: Math.min(1000, sessionTimeout / 4),
    maxWaitTimeInMs: 200,
    ...(assign === undefined ? {} : { partitionAssigners: [fixedAssigner(assign)] }),
  });
  const state = { consumer, backlog: new Backlog(), assignment: [], crash: null };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    state.backlog.clear();
    state.assignment = pairs(payload.memberAssignment);
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    state.crash = payload.restart ? null : payload.error;
  });
  await consumer.connect();
  const wanted = topics ?? [...new Set(assign.map(([topic]) => topic))];
  await consumer.subscribe({ topics: wanted, fromBeginning: from === "earliest" });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    partitionsConsumedConcurrently: PARTITIONS_MAX,
    eachBatch: (payload) => handedOver(state.backlog, payload),
  });
  return state;
}

/** Keeps a batch until it was polled. What is left when kafkajs takes it back, will come again. */
async function handedOver(backlog, { batch, heartbeat, isRunning, isStale, resolveOffset }) {
  const { topic, partition, messages } = batch;
  const records = messages.map((message) => record(topic, partition, message));
  const lot = backlog.offer(topic, partition, records);
  try {
    while (!lot.isGone && isRunning() && !isStale()) {
      await settledWithin(lot.gone, LOOK_EVERY_MS);
      // Throws when the group is being rebalanced, which ends this batch.
      await heartbeat();
    }
  } finally {
    const isDropped = lot.isGone && lot.polled < records.length;
    backlog.withdraw(lot);
    // Also of a batch that a lost connection ends: otherwise kafkajs would begin it anew.
    if (lot.polled > 0 && !isDropped) {
      resolveOffset(messages[lot.polled - 1].offset);
    }
  }
}

function record(topic, partition, { offset, timestamp, key, value, headers }) {
  return {
    topic,
    partition,
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: encoded(key),
    value: encoded(value),
    headers: Object.entries(headers ?? {}).flatMap(([name, values]) =>
      [values].flat().map((one) => [name, encoded(one)]),
    ),
  };
}

/** kafkajs assigns within groups only: this assigner gives its single member what was asked for. */
function fixedAssigner(assign) {
  const assignment = Object.fromEntries(
    [...grouped(assign, ([topic]) => topic)].map(([topic, places]) => [
      topic,
      places.map(([, partition]) => partition),
    ]),
  );
  return () => ({
    name: "fixed",
    version: 1,
    protocol: ({ topics }) => ({
      name: "fixed",
      metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics }),
    }),
    assign: async ({ members }) =>
      members.map(({ memberId }) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 1, assignment }),
      })),
  });
}

function byTopic(partitions) {
  return [...grouped(partitions, ([topic]) => topic)].map(([topic, places]) => ({
    topic,
    partitions: places.map(([, partition]) => partition),
  }));
}

function pairs(assignment) {
  return Object.entries(assignment)
    .flatMap(([topic, partitions]) => partitions.map((partition) => [topic, partition]))
    .sort(([a, one], [b, other]) => a.localeCompare(b) || one - other);
}
