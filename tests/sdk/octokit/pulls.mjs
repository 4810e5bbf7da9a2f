// Pull requests, from opening to merging, with what refuses them.

import assert from "node:assert/strict";
import { verify } from "@octokit/webhooks-methods";
import {
  SECRET, branch, branchOf, check, control, delivery, flow, octokit, pullRequest, refused,
} from "./support.mjs";

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
