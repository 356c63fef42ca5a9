// Records that a library has pushed and nobody has polled yet.

import { Positions, place } from "./positions.js";
import { settledWithin } from "./waiting.js";

export class Backlog {
  /** Lots in the order of their arrival; a lot is a run of records of one partition. */
  #lots = [];
  #paused = new Set();
  #arrived = Promise.withResolvers();
  positions = new Positions();

  /** Adds records of one partition. The lot's `gone` settles when all were polled, or were dropped. */
  offer(topic, partition, records) {
    const { promise: gone, resolve: settle } = Promise.withResolvers();
    const lot = { topic, partition, records, polled: 0, isGone: false, gone, settle };
    this.#lots.push(lot);
    this.#wake();
    return lot;
  }

  /** Takes at most `max` records, waiting up to `timeoutMs` for the first. */
  async poll(max, timeoutMs) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const records = this.#take(max);
      const left = deadline - Date.now();
      if (records.length > 0 || left <= 0) {
        return records;
      }
      await settledWithin(this.#arrived.promise, left);
    }
  }

  #take(max) {
    const records = [];
    for (const lot of this.#lots) {
      if (this.#paused.has(place(lot.topic, lot.partition))) {
        continue;
      }
      const taken = lot.records.slice(lot.polled, lot.polled + max - records.length);
      taken.forEach((record) => this.positions.advance(record));
      lot.polled += taken.length;
      records.push(...taken);
    }
    this.#drop((lot) => lot.polled === lot.records.length);
    return records;
  }

  /** Holds back what has been read ahead of these partitions. */
  pause(partitions) {
    partitions.forEach(([topic, partition]) => this.#paused.add(place(topic, partition)));
  }

  resume(partitions) {
    partitions.forEach(([topic, partition]) => this.#paused.delete(place(topic, partition)));
    this.#wake();
  }

  /** Drops what has been read ahead of a partition, and how far it was polled. */
  forget(topic, partition) {
    this.positions.forget(topic, partition);
    this.#drop((lot) => lot.topic === topic && lot.partition === partition);
  }

  /** Drops a lot that its library no longer stands for. */
  withdraw(unwanted) {
    this.#drop((lot) => lot === unwanted);
  }

  /** Drops everything, after a rebalance. */
  clear() {
    this.positions.clear();
    this.#drop(() => true);
  }

  #drop(unwanted) {
    for (const lot of this.#lots.filter(unwanted)) {
      lot.isGone = true;
      lot.settle();
    }
    this.#lots = this.#lots.filter((lot) => !lot.isGone);
  }

  #wake() {
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers();
  }
}
