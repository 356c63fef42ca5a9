// kafkajs logs to standard output, which belongs to the answers; this sends it to standard error.

import { library } from "../libraries.js";

const { logLevel } = library("kafkajs");

/** A `logCreator` that writes warnings and errors. */
export function errorLog() {
  return ({ namespace, level, log }) => {
    if (level <= logLevel.WARN) {
      const { message, timestamp, logger, ...details } = log;
      console.error(timestamp, namespace, message, JSON.stringify(details));
    }
  };
}
