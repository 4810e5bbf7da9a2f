// What the checks share: the client, the control side, refusals, a webhook receiver, small parts of the Git flow.
// run.sh puts the stand-in's URLs into SIMULATOR_URLS.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { Octokit } from "octokit";

export const urls = JSON.parse(process.env.SIMULATOR_URLS);
export const SECRET = "It's a Secret to Everybody";

// The client's own retries and pacing would only hide or slow down what is checked.
export const client = (auth, more = {}) =>
  new Octokit({
    auth,
    ...more,
    baseUrl: urls.github,
    retry: { enabled: false },
    throttle: { enabled: false },
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
export const octokit = client("slipway-bot-token");

export async function control(method, path, body) {
  const response = await fetch(urls.control + path, { method, body: body && JSON.stringify(body) });
  const answer = await response.json();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

// Asserts on the refusal of a call: status, message, and the first of the errors.
export async function refused(call, status, message, error) {
  const failure = await call.then(
    () => assert.fail(`expected ${status} ${message}`),
    (failure) => failure,
  );
  assert.equal(failure.status, status, failure.stack);
  const data = failure.response.data;
  assert.equal(data.message, message);
  assert.equal(data.status, String(status));
  assert.match(data.documentation_url, /^https:\/\/docs\.github\.com\//);
  if (error) {
    assert.deepEqual(data.errors[0], error);
  }
}

export let checks = 0;
export async function check(name, run) {
  await run();
  checks += 1;
  console.log(`ok ${checks} - ${name}`);
}

// A receiver that keeps every delivery, and lets the checks wait for one.
export const deliveries = [];
const waiting = [];
export const receiver = createServer((request, response) => {
  let body = "";
  request.on("data", (data) => (body += data));
  request.on("end", () => {
    response.end("ok");
    deliveries.push({ headers: request.headers, body, payload: JSON.parse(body) });
    waiting.splice(0).forEach((wake) => wake());
  });
});
await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));

export async function delivery(event, action, accept = () => true) {
  const deadline = AbortSignal.timeout(10_000);
  for (;;) {
    const found = deliveries.find(
      ({ headers, payload }) =>
        headers["x-github-event"] === event && (!action || payload.action === action) && accept(payload),
    );
    if (found) return found;
    await new Promise((resolve, reject) => {
      waiting.push(resolve);
      deadline.onabort = () => reject(new Error(`no delivery ${event} ${action ?? ""}`));
    });
  }
}

export const flow = { owner: "acme", repo: "demo" };
export const branchOf = async (branch) => (await octokit.rest.git.getRef({ ...flow, ref: `heads/${branch}` })).data.object.sha;

// One branch with one commit that adds the given files to main.
export async function branch(name, files, parent) {
  parent ??= await branchOf("main");
  const base = await octokit.rest.git.getCommit({ ...flow, commit_sha: parent });
  const tree = await octokit.rest.git.createTree({
    ...flow,
    base_tree: base.data.tree.sha,
    tree: Object.entries(files).map(([path, content]) => ({ path, mode: "100644", type: "blob", content })),
  });
  const commit = await octokit.rest.git.createCommit({
    ...flow,
    message: `Add ${name}`,
    tree: tree.data.sha,
    parents: [parent],
  });
  await octokit.rest.git.createRef({ ...flow, ref: `refs/heads/${name}`, sha: commit.data.sha });
  return commit.data.sha;
}

export const pullRequest = (head, more = {}) =>
  octokit.rest.pulls.create({ ...flow, title: `Add ${head}`, head, base: "main", ...more });
