// Waiting, with an end to it.

const LOOK_EVERY_MS = 20;
const TRUE_WITHIN_MS = 20_000;

/** Waits for a promise, but not longer than `milliseconds`. */
export async function settledWithin(promise, milliseconds) {
  const { promise: late, resolve } = Promise.withResolvers();
  const timer = setTimeout(resolve, milliseconds);
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

/** Waits until `condition` resolves to true; `what` says in the error what did not come true. */
export async function eventually(what, condition) {
  const deadline = Date.now() + TRUE_WITHIN_MS;
  while (!(await condition())) {
    if (Date.now() >= deadline) {
      throw new Error(`${what}: not within ${TRUE_WITHIN_MS} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
