// Webhooks as GitHub's own client makes, changes and removes them, and the log of their deliveries.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { verify } from "@octokit/webhooks-methods";
import { branch, check, client, control, flow, octokit, pullRequest, refused } from "./support.mjs";

const OLD = "an old secret of sixteen bytes";
const NEW = "a new secret of sixteen bytes";

// A receiver that fails when it is told to.
const received = [];
let answer = 503;
const receiver = createServer((request, response) => {
  let body = "";
  request.on("data", (data) => (body += data));
  request.on("end", () => {
    received.push({ headers: request.headers, body });
    response.writeHead(answer).end("answer");
  });
});
await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${receiver.address().port}/hook?repository=0b1c`;
const config = { url, content_type: "json", secret: OLD, insecure_ssl: "0" };

// The log shows what is over.
async function until(ready, what) {
  for (let tries = 0; tries < 100; tries += 1) {
    const found = await ready();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`no ${what}`);
}

const hook = (await octokit.rest.repos.createWebhook({ ...flow, config, events: ["pull_request"] })).data;
const one = { ...flow, hook_id: hook.id };
const deliveries = async (more) => (await octokit.rest.repos.listWebhookDeliveries({ ...one, ...more })).data;

await check("a hook: masked, listed, no second one of its address", async () => {
  assert.deepEqual(hook.config, { ...config, secret: "********" });
  assert.deepEqual(hook.last_response, { code: null, status: "unused", message: null });
  const custom = (message) => ({ resource: "Hook", code: "custom", message });
  await refused(
    octokit.rest.repos.createWebhook({ ...flow, config, events: ["push", "pull_request"] }), 422, "Validation Failed",
    custom("Hook already exists on this repository"),
  );
  await refused(
    octokit.rest.repos.createWebhook({ ...flow, config: { url: "nowhere" } }), 422, "Validation Failed",
    custom("The URL you've entered is not valid"),
  );
  const hooks = await octokit.paginate(octokit.rest.repos.listWebhooks, { ...flow, per_page: 1 });
  assert.ok(hooks.some(({ id, config }) => id === hook.id && config.url === url));
  await refused(client("reader").rest.repos.listWebhooks(flow), 404, "Not Found");
  await refused(octokit.rest.repos.getWebhook({ ...flow, hook_id: 1 }), 404, "Not Found");
  const ping = await until(async () => (await deliveries())[0], "ping");
  assert.deepEqual([ping.event, ping.action, ping.status], ["ping", null, "Invalid HTTP Response: 503"]);
  const { data } = await octokit.rest.repos.getWebhook(one);
  assert.deepEqual([data.last_response.code, data.last_response.message], [503, ping.status]);
});

await check("a secret is rotated alone, and lost with a config that does not name it", async () => {
  const rotated = await octokit.rest.repos.updateWebhookConfigForRepo({ ...one, secret: NEW });
  assert.deepEqual(rotated.data, { ...config, secret: "********" });
  const { secret: _, ...without } = config;
  const dropped = await octokit.rest.repos.updateWebhook({ ...one, config: without });
  assert.equal(dropped.data.config.secret, undefined);
  assert.equal((await octokit.rest.repos.updateWebhook({ ...one, config })).data.config.secret, "********");
  const kept = await octokit.rest.repos.updateWebhook({ ...one, active: true, add_events: ["issues"] });
  assert.deepEqual([kept.data.events, kept.data.config.secret], [["issues", "pull_request"], "********"]);
  assert.deepEqual((await octokit.rest.repos.getWebhookConfigForRepo(one)).data, { ...config, secret: "********" });
});

await check("a failed delivery: found, looked at, tried again with the secret of now", async () => {
  await branch("hooked", { "hooked.txt": "1" });
  const { data: pull } = await pullRequest("hooked");
  const opened = ({ event, action }) => event === "pull_request" && action === "opened";
  const failed = await until(async () => (await deliveries()).find(opened), "failed delivery");
  assert.deepEqual([failed.status, failed.status_code, failed.redelivery], ["Invalid HTTP Response: 503", 503, false]);
  assert.deepEqual([failed.installation_id, failed.repository_id], [null, pull.base.repo.id]);
  const delivery = { ...one, delivery_id: failed.id };
  const { data: whole } = await octokit.rest.repos.getWebhookDelivery(delivery);
  assert.equal(whole.request.payload.number, pull.number);
  assert.equal(whole.request.headers["X-GitHub-Delivery"], failed.guid);
  assert.equal(whole.response.payload, "answer");
  await octokit.rest.repos.updateWebhookConfigForRepo({ ...one, secret: NEW });
  answer = 200;
  assert.equal((await octokit.rest.repos.redeliverWebhookDelivery(delivery)).status, 202);
  const again = await until(async () => (await deliveries()).find(({ redelivery }) => redelivery), "attempt");
  assert.deepEqual([again.guid, again.status, again.event], [failed.guid, "OK", "pull_request"]);
  assert.ok(again.id > failed.id);
  const { headers, body } = received.findLast(({ headers }) => headers["x-github-delivery"] === failed.guid);
  assert.equal(await verify(NEW, body, headers["x-hub-signature-256"]), true);
  await refused(octokit.rest.repos.redeliverWebhookDelivery({ ...one, delivery_id: 1 }), 404, "Not Found");
});

await check("the log is followed by its cursor, and filtered by what was answered", async () => {
  for (let count = 0; count < 3; count += 1) {
    assert.equal((await octokit.rest.repos.pingWebhook(one)).status, 204);
  }
  await until(async () => (await deliveries()).length >= 6, "pings");
  const all = await octokit.paginate(octokit.rest.repos.listWebhookDeliveries, { ...one, per_page: 2 });
  const ids = all.map(({ id }) => id);
  assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => b - a));
  assert.deepEqual(ids, (await deliveries({ per_page: 100 })).map(({ id }) => id));
  const failures = await deliveries({ status: "failure" });
  assert.ok(failures.length > 0 && failures.every(({ status }) => status !== "OK"));
  await refused(deliveries({ cursor: "1" }), 400, "Invalid cursor");
});

await check("after three days nothing is left of a delivery, and the hook can go", async () => {
  await control("POST", "/clock/advance", { seconds: 3 * 24 * 3600 });
  assert.deepEqual(await deliveries(), []);
  assert.equal((await octokit.rest.repos.deleteWebhook(one)).status, 204);
  await refused(deliveries(), 404, "Not Found");
});

receiver.close();
receiver.closeAllConnections();
