// How far polling got in each partition: the offsets that a commit may name. What a library has read ahead
// of the poll is not in here.

/** The name of a partition in maps. */
export function place(topic, partition) {
  return `${partition}@${topic}`;
}

export class Positions {
  #next = new Map();

  /** Notes that a record was polled. */
  advance({ topic, partition, offset }) {
    this.#next.set(place(topic, partition), { topic, partition, offset: offset + 1 });
  }

  /** The offset behind the last polled record of a partition, or undefined. */
  of(topic, partition) {
    return this.#next.get(place(topic, partition))?.offset;
  }

  /** Forgets a partition that was sought. */
  forget(topic, partition) {
    this.#next.delete(place(topic, partition));
  }

  /**
   * Forgets everything after a rebalance. A partition that came back starts at its committed offset, and one
   * that went away is somebody else's: neither may be committed from what was polled before.
   */
  clear() {
    this.#next.clear();
  }

  /** `{topic, partition, offset}` of every partition that records were polled from. */
  all() {
    return [...this.#next.values()];
  }
}
