// What is said of a pull request, and what is set of it: reviews, comments, labels, reviewers, collaborators, annotations.

import assert from "node:assert/strict";
import { branch, check, control, flow, octokit, pullRequest, refused } from "./support.mjs";

await branch("task/talk", { talk: "talk" });
const { data: pull } = await pullRequest("task/talk");
const number = pull.number;
const as = (login, method, path, body) => control("POST", "/github/act", { login, method, path, body });
const base = `/repos/${flow.owner}/${flow.repo}`;

await check("reviews and comments: by whom, where, since when, paged", async () => {
  const own = octokit.rest.pulls.createReview({ ...flow, pull_number: number, event: "APPROVE" });
  await refused(own, 422, "Can not approve your own pull request");
  await as("ann", "POST", `${base}/pulls/${number}/reviews`, { event: "REQUEST_CHANGES", body: "Not yet." });
  await as("ann", "POST", `${base}/pulls/${number}/comments`, { path: "README.md", line: 1, body: "Louder." });
  for (const text of ["one", "two", "three"]) {
    await octokit.rest.issues.createComment({ ...flow, issue_number: number, body: text });
  }
  const [review] = (await octokit.rest.pulls.listReviews({ ...flow, pull_number: number })).data;
  assert.deepEqual([review.user.login, review.state, review.body], ["ann", "CHANGES_REQUESTED", "Not yet."]);
  const [line] = (await octokit.rest.pulls.listReviewComments({ ...flow, pull_number: number })).data;
  assert.deepEqual([line.path, line.line, line.body], ["README.md", 1, "Louder."]);
  const talk = { ...flow, issue_number: number };
  const all = await octokit.paginate(octokit.rest.issues.listComments, { ...talk, per_page: 2 });
  assert.deepEqual(all.map(({ body }) => body), ["one", "two", "three"]);
  const later = new Date(Date.parse(all[2].updated_at) + 1000).toISOString();
  assert.deepEqual((await octokit.rest.issues.listComments({ ...talk, since: later })).data, []);
});

await check("labels are added, reviewers asked, and one stranger refuses all", async () => {
  const labels = await octokit.rest.issues.addLabels({ ...flow, issue_number: number, labels: ["ai", "new"] });
  assert.deepEqual(labels.data.map(({ name }) => name), ["ai", "new"]);
  const request = (reviewers) => octokit.rest.pulls.requestReviewers({ ...flow, pull_number: number, reviewers });
  const stranger = await request(["reviewer", "nobody"]).catch((error) => error);
  assert.equal(stranger.status, 422);
  assert.match(stranger.response.data.message, /^Reviews may only be requested from collaborators\./);
  await refused(request(["slipway-bot"]), 422, "Review cannot be requested from pull request author.");
  assert.equal((await request(["reviewer"])).status, 201);
  const { data } = await octokit.rest.pulls.get({ ...flow, pull_number: number });
  assert.deepEqual(data.requested_reviewers.map(({ login }) => login), ["reviewer"]);
  assert.deepEqual(data.labels.map(({ name }) => name), ["ai", "new"]);
});

await check("collaborators, and the annotations of a failed check", async () => {
  const { data } = await octokit.rest.repos.listCollaborators({ ...flow, permission: "push" });
  assert.ok(data.some(({ login }) => login === "reviewer") && !data.some(({ login }) => login === "ann"));
  const annotations = [{ path: "README.md", line: 3, message: "a typo" }];
  const output = { title: "1 typo", summary: "See there.", annotations };
  const lint = [{ name: "lint", conclusion: "failure", output }];
  await control("POST", `/github${base}/checks`, { sha: pull.head.sha, checks: lint });
  const [run] = (await octokit.rest.checks.listForRef({ ...flow, ref: pull.head.sha })).data.check_runs;
  assert.deepEqual([run.output.title, run.output.annotations_count], ["1 typo", 1]);
  const [found] = (await octokit.rest.checks.listAnnotations({ ...flow, check_run_id: run.id })).data;
  assert.deepEqual([found.path, found.start_line, found.message], ["README.md", 3, "a typo"]);
});
