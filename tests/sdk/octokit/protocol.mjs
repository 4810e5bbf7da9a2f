// What holds for all of the API: pages, conditional requests, limits, redirects.

import assert from "node:assert/strict";
import {
  check, control, flow, octokit, urls,
} from "./support.mjs";

await check("lists are paged, with Link headers that octokit follows", async () => {
  const parameters = { ...flow, state: "all", per_page: 3, sort: "created", direction: "asc" };
  const first = await octokit.rest.pulls.list(parameters);
  assert.equal(first.data.length, 3);
  assert.match(first.headers.link, /rel="next"/);
  assert.match(first.headers.link, /rel="last"/);
  const all = await octokit.paginate(octokit.rest.pulls.list, parameters);
  assert.deepEqual(all.map(({ number }) => number), all.map((_, index) => index + 1));
  assert.ok(all.length > 6, `only ${all.length} pull requests`);
  const newest = await octokit.rest.pulls.list({ ...flow, state: "all", sort: "updated", direction: "desc" });
  const stamps = newest.data.map(({ updated_at }) => updated_at);
  assert.deepEqual(stamps, [...stamps].sort().reverse());
});

await check("ETag: 304 costs nothing", async () => {
  const first = await octokit.rest.pulls.list({ ...flow, state: "all" });
  const used = Number(first.headers["x-ratelimit-used"]);
  const headers = { "if-none-match": first.headers.etag };
  const again = await octokit.rest.pulls.list({ ...flow, state: "all", headers }).catch((error) => error);
  assert.equal(again.status, 304);
  assert.equal(Number(again.response.headers["x-ratelimit-used"]), used);
  await octokit.rest.pulls.update({ ...flow, pull_number: 1, body: "changed" });
  assert.equal((await octokit.rest.pulls.list({ ...flow, state: "all", headers })).status, 200);
});

await check("rate limits: 403 until the reset", async () => {
  const { reset } = await control("POST", "/github/rate-limit", {
    token: "slipway-bot-token", remaining: 1, resetSeconds: 600,
  });
  await octokit.rest.repos.get(flow);
  const failure = await octokit.rest.repos.get(flow).catch((error) => error);
  assert.equal(failure.status, 403);
  assert.match(failure.response.data.message, /^API rate limit exceeded for user ID \d+\./);
  assert.equal(failure.response.headers["x-ratelimit-remaining"], "0");
  assert.equal(failure.response.headers["x-ratelimit-reset"], String(reset));
  await control("POST", "/clock/advance", { seconds: 601 });
  assert.equal((await octokit.rest.repos.get(flow)).headers["x-ratelimit-remaining"], "4999");
});

await check("a renamed repository is found by its old name", async () => {
  const { data: { id } } = await octokit.rest.repos.get(flow);
  await control("POST", "/github/repos/acme/demo/rename/moved");
  const found = await octokit.rest.repos.get(flow);
  assert.equal(found.data.id, id);
  assert.equal(found.data.full_name, "acme/moved");
  const old = await fetch(`${urls.github}/repos/acme/demo`, {
    headers: { authorization: "Bearer slipway-bot-token" }, redirect: "manual",
  });
  assert.equal(old.status, 301);
  assert.equal((await old.json()).message, "Moved Permanently");
  assert.equal(old.headers.get("location"), `${urls.github}/repositories/${id}`);
});
