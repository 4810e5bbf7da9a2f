// GitHub's own client runs the whole Git flow against the GitHub stand-in, and reads what it answers and refuses.
// Started by run.sh. Each part goes on where the one before it has ended.

import { checks, deliveries, receiver } from "./support.mjs";

const started = Date.now();
await import("./repositories.mjs");
await import("./pulls.mjs");
await import("./talk.mjs");
await import("./graphql.mjs");
await import("./queue.mjs");
await import("./apps.mjs");
// It turns the clock by days, which a JWT of before would not survive.
await import("./hooks.mjs");
await import("./protocol.mjs");
receiver.close();
receiver.closeAllConnections();
console.log(`${checks} checks, ${deliveries.length} deliveries, ${Date.now() - started} ms`);
