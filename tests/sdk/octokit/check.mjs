// GitHub's own client runs the whole Git flow against the GitHub stand-in, and reads what it answers and refuses.
// Started by run.sh, which puts the stand-in's URLs into SIMULATOR_URLS.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { verify } from "@octokit/webhooks-methods";
import { Octokit } from "octokit";

const urls = JSON.parse(process.env.SIMULATOR_URLS);
const SECRET = "It's a Secret to Everybody";
const started = Date.now();

// The client's own retries and pacing would only hide or slow down what is checked.
const client = (auth) =>
  new Octokit({
    auth,
    baseUrl: urls.github,
    retry: { enabled: false },
    throttle: { enabled: false },
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
const octokit = client("slipway-bot-token");

async function control(method, path, body) {
  const response = await fetch(urls.control + path, { method, body: body && JSON.stringify(body) });
  const answer = await response.json();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

// Asserts on the refusal of a call: status, message, and the first of the errors.
async function refused(call, status, message, error) {
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

let checks = 0;
async function check(name, run) {
  await run();
  checks += 1;
  console.log(`ok ${checks} - ${name}`);
}

// A receiver that keeps every delivery, and lets the checks wait for one.
const deliveries = [];
const waiting = [];
const receiver = createServer((request, response) => {
  let body = "";
  request.on("data", (data) => (body += data));
  request.on("end", () => {
    response.end("ok");
    deliveries.push({ headers: request.headers, body, payload: JSON.parse(body) });
    waiting.splice(0).forEach((wake) => wake());
  });
});
await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));

async function delivery(event, action, accept = () => true) {
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

const flow = { owner: "acme", repo: "demo" };
const branchOf = async (branch) => (await octokit.rest.git.getRef({ ...flow, ref: `heads/${branch}` })).data.object.sha;

// One branch with one commit that adds the given files to main.
async function branch(name, files, parent) {
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

const pullRequest = (head, more = {}) =>
  octokit.rest.pulls.create({ ...flow, title: `Add ${head}`, head, base: "main", ...more });

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

await check("a pull request: created, found by head, mergeable, refused twice", async () => {
  const created = await pullRequest("task/one", { body: "Body" });
  assert.equal(created.status, 201);
  assert.equal(created.data.number, 1);
  assert.equal(created.data.draft, false);
  assert.equal(created.data.head.label, "acme:task/one");
  const opened = await delivery("pull_request", "opened");
  assert.equal(opened.payload.number, 1);
  assert.equal(opened.payload.pull_request.head.sha, created.data.head.sha);
  assert.equal(opened.payload.sender.login, "slipway-bot");
  assert.equal(await verify(SECRET, opened.body, opened.headers["x-hub-signature-256"]), true);
  const found = await octokit.rest.pulls.list({ ...flow, head: "acme:task/one", state: "all" });
  assert.deepEqual(found.data.map(({ number }) => number), [1]);
  assert.deepEqual((await octokit.rest.pulls.list({ ...flow, head: "acme:none", state: "all" })).data, []);
  const first = await octokit.rest.pulls.get({ ...flow, pull_number: 1 });
  assert.equal(first.data.mergeable, null);
  assert.equal(first.data.mergeable_state, "unknown");
  const second = await octokit.rest.pulls.get({ ...flow, pull_number: 1 });
  assert.equal(second.data.mergeable, true);
  assert.equal(second.data.mergeable_state, "clean");
  assert.equal(second.data.commits, 1);
  assert.equal(second.data.changed_files, 1);
  const custom = (message) => ({ resource: "PullRequest", code: "custom", message });
  const failed = "Validation Failed";
  await refused(pullRequest("task/one"), 422, failed, custom("A pull request already exists for acme:task/one."));
  await octokit.rest.git.createRef({ ...flow, ref: "refs/heads/same", sha: await branchOf("main") });
  await refused(pullRequest("same"), 422, failed, custom("No commits between main and same"));
  const invalid = (field) => ({ resource: "PullRequest", field, code: "invalid" });
  await refused(pullRequest("none"), 422, failed, invalid("head"));
  await refused(pullRequest("task/one", { base: "none" }), 422, failed, invalid("base"));
  await refused(octokit.rest.pulls.get({ ...flow, pull_number: 99 }), 404, "Not Found");
});

await check("a pull request: edited, followed, closed, reopened", async () => {
  const edited = await octokit.rest.pulls.update({ ...flow, pull_number: 1, title: "New title" });
  assert.equal(edited.data.title, "New title");
  const event = await delivery("pull_request", "edited");
  assert.equal(event.payload.changes.title.from, "Add task/one");
  const before = await branchOf("task/one");
  const tip = await branch("more", { "more.txt": "" }, before);
  await octokit.rest.git.updateRef({ ...flow, ref: "heads/task/one", sha: tip });
  const synchronized = await delivery("pull_request", "synchronize");
  assert.deepEqual([synchronized.payload.before, synchronized.payload.after], [before, tip]);
  assert.equal((await octokit.rest.pulls.get({ ...flow, pull_number: 1 })).data.head.sha, tip);
  const state = (state) => octokit.rest.pulls.update({ ...flow, pull_number: 1, state });
  const closed = await state("closed");
  assert.equal(closed.data.state, "closed");
  assert.equal(closed.data.merged, false);
  assert.equal((await delivery("pull_request", "closed")).payload.pull_request.merged, false);
  await refused(
    octokit.rest.pulls.merge({ ...flow, pull_number: 1 }), 405, "Pull Request is not mergeable",
  );
  assert.equal((await state("open")).data.state, "open");
  await delivery("pull_request", "reopened");
});

await check("merged: a wrong sha is refused, then a merge commit", async () => {
  const merge = (more) => octokit.rest.pulls.merge({ ...flow, pull_number: 1, ...more });
  await refused(
    merge({ sha: await branchOf("main") }), 409, "Head branch was modified. Review and try the merge again.",
  );
  const sha = await branchOf("task/one");
  const merged = await merge({ sha, merge_method: "merge" });
  assert.equal(merged.data.merged, true);
  assert.equal(merged.data.message, "Pull Request successfully merged");
  assert.equal(await branchOf("main"), merged.data.sha);
  const { data: commit } = await octokit.rest.git.getCommit({ ...flow, commit_sha: merged.data.sha });
  assert.equal(commit.parents.length, 2);
  assert.equal(commit.message, "Merge pull request #1 from acme/task/one\n\nNew title");
  const { data: pull } = await octokit.rest.pulls.get({ ...flow, pull_number: 1 });
  assert.equal(pull.state, "closed");
  assert.equal(pull.merged, true);
  assert.equal(pull.merge_commit_sha, merged.data.sha);
  assert.equal(pull.merged_by.login, "slipway-bot");
  const event = await delivery("pull_request", "closed", (payload) => payload.pull_request.merged);
  assert.ok(event.payload.pull_request.merged_at);
  await refused(merge({}), 405, "Pull Request is not mergeable");
  const failure = await octokit.rest.pulls.update({ ...flow, pull_number: 1, state: "open" }).catch((error) => error);
  assert.equal(failure.status, 422);
  assert.match(failure.response.data.errors[0].message, /^state cannot be changed\./);
});

await check("merged by squash and by rebase", async () => {
  for (const method of ["squash", "rebase"]) {
    const first = await branch(`by-${method}`, { [`${method}.txt`]: "1\n" });
    const second = await branch(`by-${method}-2`, { [`${method}.txt`]: "2\n" }, first);
    await octokit.rest.git.updateRef({ ...flow, ref: `heads/by-${method}`, sha: second });
    const { data: { number } } = await pullRequest(`by-${method}`);
    const main = await branchOf("main");
    const merged = await octokit.rest.pulls.merge({ ...flow, pull_number: number, merge_method: method, sha: second });
    const { data: tip } = await octokit.rest.git.getCommit({ ...flow, commit_sha: merged.data.sha });
    assert.equal(tip.parents.length, 1);
    const compared = await octokit.rest.repos.compareCommitsWithBasehead({ ...flow, basehead: `${main}...main` });
    assert.equal(compared.data.ahead_by, method === "squash" ? 1 : 2);
    if (method === "squash") {
      assert.match(tip.message, /^Add by-squash \(#2\)\n\n\* Add by-squash\n\n\* Add by-squash-2$/);
    }
  }
});

await check("a conflict is dirty and can't be merged", async () => {
  const main = await branchOf("main");
  await branch("left", { "README.md": "left\n" }, main);
  await branch("right", { "README.md": "right\n" }, main);
  const left = await pullRequest("left");
  const right = await pullRequest("right");
  await octokit.rest.pulls.merge({ ...flow, pull_number: left.data.number });
  await octokit.rest.pulls.get({ ...flow, pull_number: right.data.number });
  const { data } = await octokit.rest.pulls.get({ ...flow, pull_number: right.data.number });
  assert.equal(data.mergeable, false);
  assert.equal(data.mergeable_state, "dirty");
  await refused(
    octokit.rest.pulls.merge({ ...flow, pull_number: data.number }), 405, "Pull Request is not mergeable",
  );
});

await check("drafts: refused to merge, ready and back by GraphQL", async () => {
  await branch("draft", { "draft.txt": "" });
  const { data: pull } = await pullRequest("draft", { draft: true });
  assert.equal(pull.draft, true);
  const merge = () => octokit.rest.pulls.merge({ ...flow, pull_number: pull.number });
  await refused(merge(), 405, "Pull Request is still a draft");
  const turn = (mutation, id) => octokit.graphql(
    `mutation($id: ID!) { ${mutation}(input: {pullRequestId: $id}) { pullRequest { id isDraft } } }`, { id },
  );
  const ready = await turn("markPullRequestReadyForReview", pull.node_id);
  assert.equal(ready.markPullRequestReadyForReview.pullRequest.isDraft, false);
  await delivery("pull_request", "ready_for_review");
  await turn("convertPullRequestToDraft", pull.node_id);
  await delivery("pull_request", "converted_to_draft");
  await assert.rejects(turn("markPullRequestReadyForReview", "PR_none"), (error) => error.errors[0].type === "NOT_FOUND");
  await turn("markPullRequestReadyForReview", pull.node_id);
  assert.equal((await merge()).data.merged, true);
});

await check("deleting the head branch closes the pull request, which then can't be reopened", async () => {
  await branch("short-lived", { "short.txt": "" });
  const { data: { number } } = await pullRequest("short-lived");
  await octokit.rest.git.deleteRef({ ...flow, ref: "heads/short-lived" });
  assert.equal((await octokit.rest.pulls.get({ ...flow, pull_number: number })).data.state, "closed");
  await refused(octokit.rest.pulls.update({ ...flow, pull_number: number, state: "open" }), 422, "Validation Failed", {
    resource: "PullRequest", code: "custom", field: "state",
    message: "state cannot be changed. The short-lived branch has been deleted.",
  });
});

await check("protected branches and archived repositories are read-only", async () => {
  await control("POST", "/github/repos/acme/demo/protect", { branch: "main", protect: true });
  assert.equal((await octokit.rest.repos.getBranch({ ...flow, branch: "main" })).data.protected, true);
  const sha = await branch("direct", { "direct.txt": "" });
  await refused(
    octokit.rest.git.updateRef({ ...flow, ref: "heads/main", sha }), 422,
    "Repository rule violations found\n\nChanges must be made through a pull request.\n\n",
  );
  await control("POST", "/github/repos/acme/demo/archive");
  await refused(
    octokit.rest.git.createBlob({ ...flow, content: "x" }), 403, "Repository was archived so is read-only.",
  );
  await control("POST", "/github/repos/acme/demo/unarchive");
});

await check("checks make a pull request unstable, then clean", async () => {
  const { data: { number, head: { sha } } } = await pullRequest("direct");
  const state = async () => {
    await octokit.rest.pulls.get({ ...flow, pull_number: number });
    return (await octokit.rest.pulls.get({ ...flow, pull_number: number })).data.mergeable_state;
  };
  await control("POST", "/github/repos/acme/demo/checks", { sha, checks: [{ name: "test" }] });
  assert.equal(await state(), "unstable");
  const runs = await octokit.rest.checks.listForRef({ ...flow, ref: sha });
  assert.equal(runs.data.check_runs[0].status, "in_progress");
  await control("POST", "/github/repos/acme/demo/checks", { sha, checks: [{ name: "test", conclusion: "success" }] });
  assert.equal(await state(), "clean");
  await control("POST", `/github/repos/acme/demo/pulls/${number}/mergeable-state`, { state: "blocked" });
  assert.equal(await state(), "blocked");
  const message = "At least 1 approving review is required by reviewers with write access.";
  await refused(octokit.rest.pulls.merge({ ...flow, pull_number: number }), 405, message);
});

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

receiver.close();
receiver.closeAllConnections();
console.log(`${checks} checks, ${deliveries.length} deliveries, ${Date.now() - started} ms`);
