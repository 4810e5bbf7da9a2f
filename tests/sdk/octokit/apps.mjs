// A GitHub App by way of GitHub's own auth-app: it signs in, buys tokens, commits verified, and meets refusals.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { createAppAuth } from "@octokit/auth-app";
import { branchOf, check, client, control, flow, octokit, refused } from "./support.mjs";

const pair = (type) =>
  generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type, format: "pem" },
  });
const [key, other] = [pair("pkcs1"), pair("pkcs8")];
const appId = 4551400;
const installationId = 152995;
const permissions = { contents: "write", pull_requests: "write", checks: "read" };
await control("POST", "/github/apps", { id: appId, slug: "slipway", publicKeys: [key.publicKey], permissions });
await control("POST", "/github/installations", {
  id: installationId, appId, account: "acme", repositorySelection: "selected", repositories: ["demo"],
});
const app = (more) => client({ appId, privateKey: key.privateKey, ...more }, { authStrategy: createAppAuth });
const bot = app({ installationId });
const mint = (more) => app().rest.apps.createInstallationAccessToken({ installation_id: installationId, ...more });

await check("an App signs in and finds its installation", async () => {
  const { data } = await app().rest.apps.getAuthenticated();
  assert.deepEqual([data.id, data.slug, data.permissions], [appId, "slipway", permissions]);
  const found = await app().rest.apps.getRepoInstallation(flow);
  assert.deepEqual([found.data.id, found.data.account.login], [installationId, "acme"]);
  const one = await app().rest.apps.getInstallation({ installation_id: installationId });
  assert.deepEqual(one.data, found.data);
  assert.deepEqual((await app().rest.apps.listInstallations()).data, [found.data]);
  await refused(app().rest.apps.getRepoInstallation({ ...flow, repo: "none" }), 404, "Not Found");
});

await check("wrong keys, ids and kinds of token are told apart", async () => {
  const undecodable = "A JSON web token could not be decoded";
  await refused(app({ privateKey: other.privateKey }).rest.apps.getAuthenticated(), 401, undecodable);
  await refused(app({ appId: 7 }).rest.apps.getAuthenticated(), 404, "Integration not found");
  await refused(octokit.rest.apps.getAuthenticated(), 401, undecodable);
  await control("PUT", `/github/apps/${appId}/keys`, { publicKeys: [key.publicKey, other.publicKey] });
  assert.equal((await app({ privateKey: other.privateKey }).rest.apps.getAuthenticated()).status, 200);
});

await check("a clock that is off is learnt from the answer's date", async () => {
  for (const skewSeconds of [-3600, 3600]) {
    await control("POST", "/github/apps/manners", { skewSeconds });
    assert.equal((await app().rest.apps.getAuthenticated()).data.id, appId);
  }
  await control("POST", "/github/apps/manners", {});
});

await check("tokens: all, some, and none of what is not granted", async () => {
  const { data } = await mint();
  assert.match(data.token, /^ghs_/);
  assert.equal(data.token.length, 520);
  assert.deepEqual(data.permissions, { ...permissions, metadata: "read" });
  const some = await mint({ repositories: ["demo"], permissions: { contents: "read" } });
  assert.deepEqual(some.data.permissions, { contents: "read", metadata: "read" });
  assert.deepEqual(some.data.repositories.map(({ full_name }) => full_name), ["acme/demo"]);
  await refused(
    mint({ repositories: ["none"] }), 422,
    "There is at least one repository that does not exist or is not accessible to the parent installation.",
  );
  await refused(
    mint({ permissions: { workflows: "write" } }), 422,
    "The permissions requested are not granted to this installation.",
  );
});

await check("an installation lists, and commits what GitHub signs", async () => {
  const listed = await bot.paginate(bot.rest.apps.listReposAccessibleToInstallation);
  assert.deepEqual(listed.map(({ full_name }) => full_name), ["acme/demo"]);
  const parent = await branchOf("main");
  const entry = { path: "run.sh", mode: "100755", type: "blob", content: "#!/bin/sh\n" };
  const tree = await bot.rest.git.createTree({ ...flow, base_tree: parent, tree: [entry] });
  const new_ = { ...flow, message: "Add run.sh", tree: tree.data.sha, parents: [parent] };
  const signed = (await bot.rest.git.createCommit(new_)).data;
  const who = { name: "A", email: "a@example.com" };
  const unsigned = (await bot.rest.git.createCommit({ ...new_, author: who })).data;
  assert.equal(signed.author.name, "slipway[bot]");
  assert.match(signed.author.email, /^\d+\+slipway\[bot\]@users\.noreply\.github\.com$/);
  assert.deepEqual([signed.committer.name, signed.verification.reason], ["GitHub", "valid"]);
  assert.deepEqual([unsigned.verification.verified, unsigned.verification.reason], [false, "unsigned"]);
  const branch = (await bot.rest.git.createRef({ ...flow, ref: "refs/heads/task/signed", sha: signed.sha })).data;
  assert.equal(branch.object.sha, signed.sha);
  const read = await octokit.rest.git.getCommit({ ...flow, commit_sha: signed.sha });
  assert.deepEqual(read.data.verification, signed.verification);
  await control("POST", "/github/repos/acme/demo/require-signatures", { branch: "task/signed", require: true });
  await refused(
    bot.rest.git.updateRef({ ...flow, ref: "heads/task/signed", sha: unsigned.sha, force: true }), 422,
    "Repository rule violations found\n\nCommits must have verified signatures.\n\n",
  );
  const pull = await bot.rest.pulls.create({ ...flow, title: "Add run.sh", head: "task/signed", base: "main" });
  assert.deepEqual([pull.data.user.login, pull.data.user.type], ["slipway[bot]", "Bot"]);
});

await check("an installation is held to its permissions, and GitHub names what is missing", async () => {
  const message = "Resource not accessible by integration";
  await refused(bot.rest.users.getAuthenticated(), 403, message);
  await refused(bot.rest.repos.createForAuthenticatedUser({ name: "x" }), 403, message);
  const failure = await bot.rest.repos.createInOrg({ org: "acme", name: "x" }).catch((error) => error);
  assert.deepEqual([failure.status, failure.response.data.message], [403, message]);
  assert.equal(failure.response.headers["x-accepted-github-permissions"], "administration=write");
  await refused(bot.rest.repos.listWebhooks(flow), 403, message);
  await refused(bot.rest.repos.get({ owner: "slipway-bot", repo: "none" }), 404, "Not Found");
});

await check("a new token that is not known yet is tried again", async () => {
  await control("POST", "/github/apps/manners", { newTokens: { status: 401, calls: 1 } });
  assert.equal((await app({ installationId }).rest.repos.get(flow)).data.full_name, "acme/demo");
  await control("POST", "/github/apps/manners", {});
});

await check("a suspended installation has nothing", async () => {
  const suspended = "This installation has been suspended";
  await control("POST", `/github/installations/${installationId}/suspend`, {});
  await refused(mint(), 403, suspended);
  await refused(bot.rest.repos.get(flow), 403, suspended);
  await control("POST", `/github/installations/${installationId}/unsuspend`, {});
  assert.equal((await bot.rest.repos.get(flow)).status, 200);
});
