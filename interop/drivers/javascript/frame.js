// The protocol of the drivers, without any Kafka in it: one request per line on standard input, one answer
// per line on standard output, in the same order. A driver has parts; each has `actions`, functions that are
// given the request and return what goes into "ok", and `quit`. Standard error is for the libraries' logs.

import { createInterface } from "node:readline";

/** Longer than the suite waits before it kills a driver; this is for one whose suite is gone. */
const QUIT_MS_MAX = 15_000;

/** Thrown for what the library cannot do; the message is the reason that the report shows. */
export class Unsupported extends Error {}

/** Reads requests until standard input ends, closes the driver, and ends the process. */
export async function serve(connect) {
  const bootstrap = process.argv[2];
  if (bootstrap === undefined) {
    throw new Error("usage: DRIVER HOST:PORT");
  }
  const parts = connect(bootstrap);
  const actions = Object.assign({}, ...parts.map((part) => part.actions));
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await answerTo(actions, JSON.parse(line));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  // A library may try for ever to take its leave of a broker that is gone.
  setTimeout(() => process.exit(1), QUIT_MS_MAX);
  for (const { quit } of parts) {
    await quit();
  }
  // The libraries may keep timers and sockets for a while, and nobody waits for them any more.
  process.exit(0);
}

async function answerTo(actions, request) {
  const action = actions[request.do];
  if (action === undefined) {
    return { unsupported: `the driver does not know "${request.do}"` };
  }
  try {
    return { ok: (await action(request)) ?? {} };
  } catch (error) {
    if (error instanceof Unsupported) {
      return { unsupported: error.message };
    }
    console.error(error);
    return { error: described(error) };
  }
}

/** An error with its causes: the outermost often says no more than that something went wrong. */
function described(error) {
  const causes = error.errors ?? (error.cause === undefined ? [] : [error.cause]);
  const parts = [`${error.name}: ${error.message}`, ...new Set(causes.map(described))];
  return parts.join(" < ");
}

/** Bytes from a request. */
export function decoded(text) {
  return text === null ? null : Buffer.from(text, "base64");
}

/** Bytes for an answer. */
export function encoded(bytes) {
  return bytes === null || bytes === undefined ? null : bytes.toString("base64");
}

/** Groups items by the text that `name` gives each, in the order of their first appearance. */
export function grouped(items, name) {
  const groups = new Map();
  for (const item of items) {
    const key = name(item);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return groups;
}
