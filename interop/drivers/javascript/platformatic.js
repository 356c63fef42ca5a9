// Driver for @platformatic/kafka, the young client of the Node world: newest request versions, consumers
// that are streams, and a fetch of its own for whoever wants to choose partitions.

import { serve } from "./frame.js";
import { administration } from "./platformatic/administration.js";
import { consuming } from "./platformatic/consuming.js";
import { producing } from "./platformatic/producing.js";

await serve((bootstrap) => {
  const options = {
    bootstrapBrokers: [bootstrap],
    clientId: "platformatic",
    // Enough for a broker that is being restarted.
    retries: 60,
    retryDelay: 250,
  };
  return [consuming(options), producing(options), administration(options)];
});
