// Driver for kafkajs, the client most Node services were written with: plain JavaScript, a push consumer,
// no assignment by hand, and the oldest request versions that anything here still speaks.

import { serve } from "./frame.js";
import { administration } from "./kafkajs/administration.js";
import { consuming } from "./kafkajs/consuming.js";
import { errorLog } from "./kafkajs/error_log.js";
import { producing } from "./kafkajs/producing.js";
import { library } from "./libraries.js";

const { Kafka } = library("kafkajs");

await serve((bootstrap) => {
  const kafka = new Kafka({
    brokers: [bootstrap],
    clientId: "kafkajs",
    logCreator: errorLog,
    // Enough for a broker that is being restarted; kafkajs itself would give up after two seconds.
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 30 },
  });
  return [consuming(kafka), producing(kafka), administration(kafka)];
});
