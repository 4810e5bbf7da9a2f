// Users, repositories, webhooks and git data.

import assert from "node:assert/strict";
import { verify } from "@octokit/webhooks-methods";
import {
  SECRET, branch, branchOf, check, client, control, delivery, flow, octokit, receiver, refused,
} from "./support.mjs";

await check("the authenticated user, a user, an organization", async () => {
  const me = await octokit.rest.users.getAuthenticated();
  assert.equal(me.data.login, "slipway-bot");
  assert.equal(me.data.type, "User");
  assert.equal((await octokit.rest.users.getByUsername({ username: "acme" })).data.type, "Organization");
  await refused(octokit.rest.users.getByUsername({ username: "nobody" }), 404, "Not Found");
});

await check("401 without and with a wrong token", async () => {
  await refused(client().rest.users.getAuthenticated(), 401, "Requires authentication");
  await refused(client("wrong").rest.users.getAuthenticated(), 401, "Bad credentials");
});

await check("repositories of an organization and of a user", async () => {
  const created = await octokit.rest.repos.createInOrg({
    org: "acme", name: "demo", auto_init: true, private: true, description: "A demo",
  });
  assert.equal(created.status, 201);
  assert.equal(created.data.full_name, "acme/demo");
  assert.equal(created.data.owner.type, "Organization");
  assert.equal(created.data.default_branch, "main");
  assert.equal(created.data.private, true);
  const own = await octokit.rest.repos.createForAuthenticatedUser({ name: "own" });
  assert.equal(own.data.full_name, "slipway-bot/own");
  const got = await octokit.rest.repos.get(flow);
  assert.equal(got.data.id, created.data.id);
  assert.equal(got.data.permissions.push, true);
  const byId = await octokit.request("GET /repositories/{id}", { id: created.data.id });
  assert.equal(byId.data.full_name, "acme/demo");
  await refused(
    octokit.rest.repos.createInOrg({ org: "acme", name: "Demo" }), 422, "Repository creation failed.",
    { resource: "Repository", code: "custom", field: "name", message: "name already exists on this account" },
  );
  await refused(octokit.rest.repos.createInOrg({ org: "reviewer", name: "x" }), 404, "Not Found");
  await refused(octokit.rest.repos.get({ owner: "acme", repo: "none" }), 404, "Not Found");
});

await check("read-only and foreign tokens", async () => {
  await control("POST", "/github/tokens", { value: "reader", login: "reader", write: false });
  await control("POST", "/github/tokens", { value: "foreign", login: "foreign", owners: ["foreign"] });
  await control("POST", "/github/tokens", { value: "app", login: "slipway[bot]", kind: "installation", write: false });
  assert.equal((await client("reader").rest.repos.get(flow)).data.permissions.push, false);
  const blob = { ...flow, content: "x", encoding: "utf-8" };
  await refused(client("reader").rest.git.createBlob(blob), 403, "Resource not accessible by personal access token");
  await refused(client("app").rest.git.createBlob(blob), 403, "Resource not accessible by integration");
  await refused(client("foreign").rest.repos.get(flow), 404, "Not Found");
  await refused(client().rest.repos.get(flow), 404, "Not Found");
});

await check("409 for git data of an empty repository", async () => {
  const empty = { owner: "slipway-bot", repo: "own" };
  const message = "Git Repository is empty.";
  await refused(octokit.rest.git.getRef({ ...empty, ref: "heads/main" }), 409, message);
  await refused(octokit.rest.git.listMatchingRefs({ ...empty, ref: "heads/main" }), 409, message);
  await refused(octokit.rest.git.createBlob({ ...empty, content: "x" }), 409, message);
  await refused(octokit.rest.git.getTree({ ...empty, tree_sha: "main", recursive: "1" }), 409, message);
  assert.deepEqual((await octokit.rest.pulls.list(empty)).data, []);
});

const hook = await octokit.rest.repos.createWebhook({
  ...flow,
  events: ["push", "pull_request"],
  config: { url: `http://127.0.0.1:${receiver.address().port}/hook`, content_type: "json", secret: SECRET },
});

await check("ping of a new webhook, signed", async () => {
  assert.equal(hook.data.config.secret, "********");
  const { headers, body, payload } = await delivery("ping");
  assert.equal(payload.hook_id, hook.data.id);
  assert.match(headers["user-agent"], /^GitHub-Hookshot\//);
  assert.match(headers["x-github-delivery"], /^[0-9a-f-]{36}$/);
  assert.equal(headers["x-github-hook-id"], String(hook.data.id));
  assert.equal(headers["x-github-hook-installation-target-type"], "repository");
  assert.equal(headers["x-github-hook-installation-target-id"], String(payload.repository.id));
  assert.equal(await verify(SECRET, body, headers["x-hub-signature-256"]), true);
  assert.equal(await verify("other", body, headers["x-hub-signature-256"]), false);
});

await check("blobs, trees with modes, deletion, nested paths", async () => {
  const picture = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 255]);
  const blob = await octokit.rest.git.createBlob({ ...flow, content: picture.toString("base64"), encoding: "base64" });
  const back = await octokit.rest.git.getBlob({ ...flow, file_sha: blob.data.sha });
  assert.deepEqual(Buffer.from(back.data.content, "base64"), picture);
  assert.equal(back.data.size, picture.length);
  const main = await octokit.rest.git.getTree({ ...flow, tree_sha: "main", recursive: "1" });
  const entry = (path, mode, more) => ({ path, mode, type: "blob", ...more });
  const tree = await octokit.rest.git.createTree({
    ...flow,
    base_tree: main.data.sha,
    tree: [
      entry("src/deep/picture.png", "100644", { sha: blob.data.sha }),
      entry("src/run.sh", "100755", { content: "#!/bin/sh\n" }),
      entry("link", "120000", { content: "src/run.sh" }),
      { path: "README.md", mode: "100644", type: "blob", sha: null },
    ],
  });
  const read = await octokit.rest.git.getTree({ ...flow, tree_sha: tree.data.sha, recursive: "1" });
  const shown = read.data.tree.map(({ path, mode, type }) => `${mode} ${type} ${path}`);
  assert.deepEqual(shown, [
    "120000 blob link", "040000 tree src", "040000 tree src/deep", "100644 blob src/deep/picture.png",
    "100755 blob src/run.sh",
  ]);
  assert.equal(read.data.truncated, false);
  const bad = (entry) => octokit.rest.git.createTree({ ...flow, base_tree: main.data.sha, tree: [entry] });
  await refused(bad({ path: "none", mode: "100644", type: "blob", sha: null }), 422, "GitRPC::BadObjectState");
  await refused(bad(entry("/x", "100644", { content: "" })), 422, "tree.path cannot start with a slash");
  for (const path of ["a/../b", ".git/config", "a//b", "."]) {
    await refused(bad(entry(path, "100644", { content: "" })), 422, "tree.path contains a malformed path component");
  }
  await refused(bad(entry("x", "100600", { content: "" })), 422, "Must supply a valid tree.mode");
  await refused(
    octokit.rest.git.createTree({ ...flow, base_tree: "0".repeat(40), tree: [entry("x", "100644", { content: "" })] }),
    422, "base_tree is not a valid tree oid",
  );
});

await check("commits are deterministic; wrong trees and parents are refused", async () => {
  const parent = await branchOf("main");
  const { data: { tree } } = await octokit.rest.git.getCommit({ ...flow, commit_sha: parent });
  const who = { name: "Slipway", email: "slipway@users.noreply.github.com", date: "2026-03-01T12:00:00+01:00" };
  const commit = () => octokit.rest.git.createCommit({
    ...flow, message: "Same\n\nSlipway-Task: 1", tree: tree.sha, parents: [parent], author: who, committer: who,
  });
  const [one, two] = [await commit(), await commit()];
  assert.equal(one.data.sha, two.data.sha);
  assert.equal(one.data.author.date, "2026-03-01T11:00:00Z");
  const nothing = "0".repeat(40);
  await refused(octokit.rest.git.createCommit({ ...flow, message: "x", tree: nothing }), 422, "Tree SHA does not exist");
  await refused(
    octokit.rest.git.createCommit({ ...flow, message: "x", tree: tree.sha, parents: [nothing] }), 422,
    "Parent SHA does not exist or is not a commit object",
  );
});

await check("references", async () => {
  const main = await branchOf("main");
  const sha = await branch("task/one", { "one.txt": "1\n" });
  assert.equal((await octokit.rest.git.getRef({ ...flow, ref: "heads/task/one" })).data.object.sha, sha);
  const matching = await octokit.rest.git.listMatchingRefs({ ...flow, ref: "heads/task/o" });
  assert.deepEqual(matching.data.map(({ ref }) => ref), ["refs/heads/task/one"]);
  assert.deepEqual((await octokit.rest.git.listMatchingRefs({ ...flow, ref: "heads/none" })).data, []);
  await refused(octokit.rest.git.getRef({ ...flow, ref: "heads/task" }), 404, "Not Found");
  const create = (ref, sha) => octokit.rest.git.createRef({ ...flow, ref, sha });
  await refused(create("refs/heads/task/one", main), 422, "Reference already exists");
  await refused(create("refs/heads/new", "1".repeat(40)), 422, "Object does not exist");
  await refused(create("refs/heads/task", main), 422, "Reference update failed");
  await refused(create("refs/heads/a b", main), 422, "refs/heads/a b is not a valid ref name.");
  const update = (ref, sha, force) => octokit.rest.git.updateRef({ ...flow, ref, sha, force });
  await refused(update("heads/task/one", main, false), 422, "Update is not a fast forward");
  await refused(update("heads/none", main, false), 422, "Reference does not exist");
  assert.equal((await update("heads/task/one", main, true)).data.object.sha, main);
  assert.equal((await update("heads/task/one", sha, false)).data.object.sha, sha);
  await branch("gone", { "gone.txt": "" });
  assert.equal((await octokit.rest.git.deleteRef({ ...flow, ref: "heads/gone" })).status, 204);
  await refused(octokit.rest.git.deleteRef({ ...flow, ref: "heads/gone" }), 422, "Reference does not exist");
  const push = await delivery("push", undefined, (payload) => payload.deleted);
  assert.equal(push.payload.ref, "refs/heads/gone");
  const compared = await octokit.rest.repos.compareCommitsWithBasehead({ ...flow, basehead: `main...${sha}` });
  assert.equal(compared.data.status, "ahead");
  assert.equal((await octokit.rest.repos.getBranch({ ...flow, branch: "main" })).data.protected, false);
});
