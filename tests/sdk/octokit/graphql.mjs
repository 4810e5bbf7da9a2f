// Every GraphQL document that the operator sends, held against GitHub's published schema, and answered by the stand-in.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { validate } from "@octokit/graphql-schema";
import { branch, check, control, flow, octokit } from "./support.mjs";

const documents = new URL("../../../src/github/graphql/", import.meta.url);
const read = (name) => readFile(new URL(name, documents), "utf8");

await check("the operator's documents fit GitHub's schema", async () => {
  const names = (await readdir(documents)).filter((name) => name.endsWith(".graphql"));
  assert.ok(names.length > 0);
  for (const name of names) {
    const document = await read(name);
    assert.deepEqual(validate(document).map(({ message }) => message), [], name);
    assert.notDeepEqual(validate(document.replace(/owner|input/, "unknown")), [], `${name} with a fault`);
  }
});

await check("a branch is deleted only where it stands, with checks read before", async () => {
  const name = "task/graphql";
  await branch(name, { graphql: "1" });
  const { owner, repo } = flow;
  const { data: ref } = await octokit.rest.git.getRef({ ...flow, ref: `heads/${name}` });
  const commit = ref.object.sha;
  await control("POST", `/github/repos/${owner}/${repo}/checks`, {
    sha: commit,
    checks: [
      { name: "lint", conclusion: "failure", output: { title: "1 problem" } },
      { name: "ci/external", conclusion: "error", commit_status: true },
    ],
  });
  const { repository: checked } = await octokit.graphql(await read("failed_checks.graphql"), { owner, name: repo, commit });
  const { nodes } = checked.object.statusCheckRollup.contexts;
  assert.deepEqual(nodes.map((node) => [node.__typename, node.name ?? node.context, node.conclusion ?? node.state]), [
    ["CheckRun", "lint", "FAILURE"],
    ["StatusContext", "ci/external", "ERROR"],
  ]);
  const qualified = `refs/heads/${name}`;
  const ref_of = "query ($owner: String!, $name: String!, $ref: String!) { repository(owner: $owner, name: $name) { ref(qualifiedName: $ref) { target { oid } } } }";
  const tip = async () => (await octokit.graphql(ref_of, { owner, name: repo, ref: qualified })).repository.ref?.target.oid;
  const { id } = (await octokit.graphql(await read("repository_id.graphql"), { owner, name: repo })).repository;
  assert.equal(await tip(), commit);
  const remove = async (beforeOid) => octokit.graphql(await read("update_refs.graphql"), {
    input: { repositoryId: id, refUpdates: [{ name: qualified, beforeOid, afterOid: "0".repeat(40), force: true }] },
  });
  await assert.rejects(remove("1".repeat(40)), ({ errors }) => errors[0].type === "UNPROCESSABLE");
  await remove(commit);
  assert.equal(await tip(), undefined);
  await assert.rejects(octokit.graphql("{ repository(owner: \"x\", name: \"y\") { id } }"), ({ errors }) => errors[0].type === "NOT_FOUND");
  await assert.rejects(octokit.graphql("{ unknown { id } }"), /doesn't exist on type 'Query'/);
});
