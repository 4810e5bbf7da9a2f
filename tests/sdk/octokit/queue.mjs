// Rules of the base branch, and the merge queue: documents held against GitHub's published schema, answered by the stand-in.

import assert from "node:assert/strict";
import { validate } from "@octokit/graphql-schema";
import { branch, branchOf, check, control, delivery, flow, octokit, pullRequest, refused } from "./support.mjs";

const repository = `/github/repos/${flow.owner}/${flow.repo}`;
const ENQUEUE = `mutation ($input: EnqueuePullRequestInput!) {
  enqueuePullRequest(input: $input) {
    mergeQueueEntry { id position state enqueuedAt estimatedTimeToMerge jump solo enqueuer { login } mergeQueue { url } }
  }
}`;
const DEQUEUE = `mutation ($input: DequeuePullRequestInput!) {
  dequeuePullRequest(input: $input) { mergeQueueEntry { position pullRequest { number isInMergeQueue } } }
}`;
const FOLLOW = `query ($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      id headRefOid state merged isDraft mergeable mergeStateStatus reviewDecision isInMergeQueue isMergeQueueEnabled
      mergeCommit { oid }
      mergeQueueEntry { position state enqueuedAt estimatedTimeToMerge headCommit { oid } }
      autoMergeRequest { enabledAt }
      statusCheckRollup {
        state
        contexts(first: 100) {
          totalCount
          pageInfo { hasNextPage endCursor }
          nodes {
            __typename
            ... on CheckRun { name status conclusion isRequired(pullRequestNumber: $number) }
            ... on StatusContext { context state isRequired(pullRequestNumber: $number) }
          }
        }
      }
      timelineItems(itemTypes: [REMOVED_FROM_MERGE_QUEUE_EVENT], last: 1) {
        nodes { ... on RemovedFromMergeQueueEvent { reason createdAt beforeCommit { oid } } }
      }
    }
    mergeQueue(branch: "main") { entries(first: 10) { totalCount nodes { position state } } configuration { mergeMethod } }
  }
}`;

const follow = async (number) =>
  (await octokit.graphql(FOLLOW, { owner: flow.owner, name: flow.repo, number })).repository;
const enqueue = (input) => octokit.graphql(ENQUEUE, { input });
const dequeue = (input) => octokit.graphql(DEQUEUE, { input });
const checks = (sha, list) => control("POST", `${repository}/checks`, { sha, checks: list });
const says = (type, message) => ({ errors }) => {
  assert.deepEqual([errors[0].type, errors[0].message], [type, message]);
  return true;
};

await check("the documents fit GitHub's schema", async () => {
  for (const document of [ENQUEUE, DEQUEUE, FOLLOW]) {
    assert.deepEqual(validate(document).map(({ message }) => message), []);
    assert.notDeepEqual(validate(document.replace(/position/, "place")), [], document);
  }
});

await check("rules of a branch: none, those that were set, those of a branch that is not there", async () => {
  const rules = async (branch) => (await octokit.rest.repos.getBranchRules({ ...flow, branch })).data;
  await control("POST", `${repository}/protect`, { branch: "main", protect: false });
  assert.deepEqual(await rules("main"), []);
  assert.deepEqual(await rules("no/such/branch"), []);
  const required = { required_status_checks: [{ context: "build" }, { context: "ci", integration_id: 15368 }] };
  await control("POST", `${repository}/rules`, {
    rules: [
      { branch: "~DEFAULT_BRANCH", type: "required_status_checks", parameters: required },
      { branch: "~DEFAULT_BRANCH", type: "merge_queue", parameters: { merge_method: "SQUASH" } },
      { branch: "release/*", type: "pull_request", parameters: { required_approving_review_count: 2 }, organization: true },
    ],
  });
  const [first, second] = await rules("main");
  assert.equal(first.type, "required_status_checks");
  assert.deepEqual(first.parameters.required_status_checks, required.required_status_checks);
  assert.equal(first.parameters.strict_required_status_checks_policy, false);
  assert.deepEqual([second.type, second.parameters.merge_method], ["merge_queue", "SQUASH"]);
  const [release] = await rules("release/1.0");
  assert.deepEqual([release.ruleset_source_type, release.ruleset_source], ["Organization", "acme"]);
});

await check("a pull request: held back by rules, enqueued with its head, locked, dequeued", async () => {
  const sha = await branch("queued", { "queued.txt": "1" });
  const { data: pull } = await pullRequest("queued");
  const merge = () => octokit.rest.pulls.merge({ ...flow, pull_number: pull.number, sha });
  const words = "Changes must be made through the merge queue\n\n2 of 2 required status checks are expected.";
  await refused(merge(), 405, `Repository rule violations found\n\n${words}\n\n`);
  const input = { pullRequestId: pull.node_id, expectedHeadOid: sha };
  await assert.rejects(
    enqueue(input), says("UNPROCESSABLE", "Pull request 2 of 2 required status checks are expected."),
  );
  await checks(sha, [{ name: "build" }, { name: "ci", conclusion: "success" }, { name: "late", conclusion: "failure" }]);
  await assert.rejects(enqueue({ ...input, expectedHeadOid: await branchOf("main") }), says(
    "UNPROCESSABLE", `Failed to add PR #${pull.number}: expected head oid does not match the current head oid`,
  ));
  // What still runs does not keep it out.
  const { enqueuePullRequest: { mergeQueueEntry: entry } } = await enqueue(input);
  assert.deepEqual([entry.position, entry.state, entry.enqueuer.login], [1, "QUEUED", "slipway-bot"]);
  assert.equal((await delivery("pull_request", "enqueued")).payload.number, pull.number);
  await assert.rejects(enqueue(input), says("UNPROCESSABLE", "Pull request is already in the queue"));
  await refused(merge(), 405, "Pull Request is in the merge queue.");
  const moved = await octokit.rest.git.updateRef({ ...flow, ref: "heads/queued", sha: await branchOf("main"), force: true })
    .catch((error) => error);
  assert.equal(moved.status, 422);
  assert.match(moved.response.data.message, /Branches that\nare queued for merging cannot be updated\./);
  const { pullRequest: seen } = await follow(pull.number);
  assert.deepEqual([seen.isInMergeQueue, seen.headRefOid, seen.autoMergeRequest], [true, sha, null]);
  const required = seen.statusCheckRollup.contexts.nodes.map(({ name, isRequired }) => [name, isRequired]);
  assert.deepEqual(required, [["build", true], ["ci", true], ["late", false]]);
  // The input of this one calls the id differently.
  await assert.rejects(dequeue({ pullRequestId: pull.node_id }), /doesn't accept argument 'pullRequestId'/);
  const { dequeuePullRequest: { mergeQueueEntry: left } } = await dequeue({ id: pull.node_id });
  assert.equal(left.pullRequest.isInMergeQueue, false);
  assert.equal((await delivery("pull_request", "dequeued")).payload.reason, "MANUAL");
  await assert.rejects(dequeue({ id: pull.node_id }), ({ errors }) => errors[0].message.startsWith("Failed to remove PR #"));
});

await check("the queue merges by its own method what its checks have passed", async () => {
  const sha = await branchOf("queued");
  const { data: [pull] } = await octokit.rest.pulls.list({ ...flow, head: "acme:queued" });
  await checks(sha, [{ name: "build", conclusion: "success" }, { name: "ci", conclusion: "skipped" }]);
  const step = (step, more) => control("POST", `${repository}/pulls/${pull.number}/queue`, { step, ...more });
  await enqueue({ pullRequestId: pull.node_id, expectedHeadOid: sha });
  await step("build");
  const { pullRequest: waiting, mergeQueue } = await follow(pull.number);
  assert.equal(waiting.mergeQueueEntry.state, "AWAITING_CHECKS");
  assert.deepEqual([mergeQueue.entries.totalCount, mergeQueue.configuration.mergeMethod], [1, "SQUASH"]);
  const failed = (payload) => payload.reason === "CI_FAILURE";
  await step("remove", { reason: "CI_FAILURE" });
  await delivery("pull_request", "dequeued", failed);
  const { pullRequest: out } = await follow(pull.number);
  assert.deepEqual([out.state, out.isInMergeQueue, out.timelineItems.nodes[0].reason], ["OPEN", false, "failed_checks"]);
  await enqueue({ pullRequestId: pull.node_id, expectedHeadOid: sha });
  for (const name of ["build", "mergeable", "merge"]) await step(name);
  const { pullRequest: merged } = await follow(pull.number);
  assert.deepEqual([merged.state, merged.merged, merged.mergeCommit.oid], ["MERGED", true, await branchOf("main")]);
  const { payload } = await delivery("pull_request", "dequeued", ({ reason }) => reason === "MERGE");
  assert.equal(payload.sender.login, "github-merge-queue[bot]");
  await control("POST", `${repository}/rules`, { rules: [] });
});

await check("checks: late suites, those run again, statuses", async () => {
  const sha = await branch("checked", { "checked.txt": "1" });
  await checks(sha, [{ name: "build", after_seconds: 3600, conclusion: "success" }]);
  const suites = async () => (await octokit.rest.checks.listSuitesForRef({ ...flow, ref: sha })).data.check_suites;
  const runs = async (filter) => (await octokit.rest.checks.listForRef({ ...flow, ref: sha, filter })).data.check_runs;
  assert.deepEqual([(await suites())[0].status, await runs()], ["queued", []]);
  await checks(sha, [{ name: "build", conclusion: "timed_out" }]);
  assert.deepEqual([(await suites())[0].conclusion], ["timed_out"]);
  await control("POST", `${repository}/checks/add`, { sha, check: { name: "build", conclusion: "neutral" } });
  assert.deepEqual((await runs("latest")).map(({ conclusion }) => conclusion), ["neutral"]);
  assert.deepEqual((await runs("all")).map(({ conclusion }) => conclusion), ["neutral", "timed_out"]);
  const status = { name: "ci", conclusion: "pending", commit_status: true };
  await control("POST", `${repository}/checks/add`, { sha, check: status });
  const { data } = await octokit.rest.repos.listCommitStatusesForRef({ ...flow, ref: sha });
  assert.deepEqual(data.map(({ context, state }) => [context, state]), [["ci", "pending"]]);
});
