//! The routes that the stand-in offers: pattern, what it needs of an App, documentation page, handler.
//! A pattern is also the name of its endpoint in the call log and in fault rules.

use std::collections::HashMap;

use http::Method;

use super::answer::Outcome;
use super::permissions::JWT;
use super::request::{Request, decode};
use super::state::State;
use super::{
    branch_rules, checks, compare, delivery_log, graphql, hooks, installations, merge, objects, parts, pulls,
    refs, repositories, talk, trees,
};

pub(super) type Handler = fn(&mut State, &Request) -> Outcome;

pub(super) struct Route {
    pub(super) method: Method,
    /// `{name}` is one segment, `{name...}` one or more.
    pattern: &'static str,
    /// What an installation's token needs, as GitHub names it; `JWT`: the route is an App's own.
    pub(super) needs: &'static str,
    /// Below `https://docs.github.com/rest/`.
    pub(super) docs: &'static str,
    pub(super) handler: Handler,
}

impl Route {
    /// Like `POST /repos/{owner}/{repo}/pulls`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.pattern.replace("...", ""))
    }
}

macro_rules! routes {
    ($($method:ident $pattern:literal $needs:tt $docs:literal $handler:path;)*) => {
        &[$(Route { method: Method::$method, pattern: $pattern, needs: $needs, docs: $docs, handler: $handler }),*]
    };
}

/// The first that matches wins.
static ROUTES: &[Route] = routes! {
    GET "/user" "" "users/users#get-the-authenticated-user" repositories::authenticated_user;
    GET "/app" JWT "apps/apps#get-the-authenticated-app" installations::get_app;
    GET "/app/installations" JWT "apps/apps#list-installations-for-the-authenticated-app" installations::list_installations;
    GET "/app/installations/{installation_id}" JWT "apps/apps#get-an-installation-for-the-authenticated-app" installations::get_installation;
    POST "/app/installations/{installation_id}/access_tokens" JWT "apps/apps#create-an-installation-access-token-for-an-app" installations::create_access_token;
    GET "/repos/{owner}/{repo}/installation" JWT "apps/apps#get-a-repository-installation-for-the-authenticated-app" installations::get_repository_installation;
    GET "/installation/repositories" "metadata=read" "apps/installations#list-repositories-accessible-to-the-app-installation" installations::list_repositories;
    DELETE "/installation/token" "" "apps/installations#revoke-an-installation-access-token" installations::revoke_token;
    GET "/users/{username}" "" "users/users#get-a-user" repositories::get_user;
    GET "/rate_limit" "" "rate-limit/rate-limit#get-rate-limit-status-for-the-authenticated-user" repositories::rate_limit;
    POST "/graphql" "" "graphql" graphql::graphql;
    POST "/user/repos" "" "repos/repos#create-a-repository-for-the-authenticated-user" repositories::create_for_user;
    POST "/orgs/{org}/repos" "administration=write" "repos/repos#create-an-organization-repository" repositories::create_for_organization;
    GET "/repositories/{repository_id}" "metadata=read" "repos/repos#get-a-repository" repositories::get_repository;
    GET "/repos/{owner}/{repo}" "metadata=read" "repos/repos#get-a-repository" repositories::get_repository;
    PATCH "/repos/{owner}/{repo}" "administration=write" "repos/repos#update-a-repository" repositories::update_repository;
    DELETE "/repos/{owner}/{repo}" "administration=write" "repos/repos#delete-a-repository" repositories::delete_repository;
    GET "/repos/{owner}/{repo}/branches/{branch...}" "contents=read" "branches/branches#get-a-branch" refs::get_branch;
    GET "/repos/{owner}/{repo}/commits" "contents=read" "commits/commits#list-commits" compare::list_commits;
    GET "/repos/{owner}/{repo}/rules/branches/{branch...}" "metadata=read" "repos/rules#get-rules-for-a-branch" branch_rules::list;
    GET "/repos/{owner}/{repo}/compare/{basehead...}" "contents=read" "commits/commits#compare-two-commits" compare::compare;
    GET "/repos/{owner}/{repo}/commits/{ref...}/check-runs" "checks=read" "checks/runs#list-check-runs-for-a-git-reference" checks::list_runs;
    GET "/repos/{owner}/{repo}/commits/{ref...}/status" "statuses=read" "commits/statuses#get-the-combined-status-for-a-specific-reference" checks::combined_status;
    GET "/repos/{owner}/{repo}/commits/{ref...}/statuses" "statuses=read" "commits/statuses#list-commit-statuses-for-a-reference" checks::list_statuses;
    GET "/repos/{owner}/{repo}/commits/{ref...}/check-suites" "checks=read" "checks/suites#list-check-suites-for-a-git-reference" checks::list_suites;
    GET "/repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs" "checks=read" "checks/runs#list-check-runs-in-a-check-suite" checks::list_runs_of_suite;
    GET "/repos/{owner}/{repo}/check-runs/{check_run_id}/annotations" "checks=read" "checks/runs#list-check-run-annotations" talk::list_annotations;
    GET "/repos/{owner}/{repo}/collaborators" "metadata=read" "collaborators/collaborators#list-repository-collaborators" talk::list_collaborators;
    GET "/repos/{owner}/{repo}/issues/{issue_number}/comments" "issues=read; pull_requests=read" "issues/comments#list-issue-comments" talk::list_comments;
    POST "/repos/{owner}/{repo}/issues/{issue_number}/comments" "issues=write; pull_requests=write" "issues/comments#create-an-issue-comment" talk::create_comment;
    POST "/repos/{owner}/{repo}/issues/{issue_number}/labels" "issues=write; pull_requests=write" "issues/labels#add-labels-to-an-issue" parts::add_labels;
    POST "/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers" "pull_requests=write" "pulls/review-requests#request-reviewers-for-a-pull-request" parts::request_reviewers;
    GET "/repos/{owner}/{repo}/pulls/{pull_number}/reviews" "pull_requests=read" "pulls/reviews#list-reviews-for-a-pull-request" talk::list_reviews;
    POST "/repos/{owner}/{repo}/pulls/{pull_number}/reviews" "pull_requests=write" "pulls/reviews#create-a-review-for-a-pull-request" talk::create_review;
    GET "/repos/{owner}/{repo}/pulls/{pull_number}/comments" "pull_requests=read" "pulls/comments#list-review-comments-on-a-pull-request" talk::list_line_comments;
    POST "/repos/{owner}/{repo}/pulls/{pull_number}/comments" "pull_requests=write" "pulls/comments#create-a-review-comment-for-a-pull-request" talk::create_line_comment;
    GET "/repos/{owner}/{repo}/commits/{ref...}" "contents=read" "commits/commits#get-a-commit" objects::get_repository_commit;
    POST "/repos/{owner}/{repo}/git/blobs" "contents=write" "git/blobs#create-a-blob" objects::create_blob;
    GET "/repos/{owner}/{repo}/git/blobs/{file_sha}" "contents=read" "git/blobs#get-a-blob" objects::get_blob;
    POST "/repos/{owner}/{repo}/git/commits" "contents=write" "git/commits#create-a-commit" objects::create_commit;
    GET "/repos/{owner}/{repo}/git/commits/{commit_sha}" "contents=read" "git/commits#get-a-commit-object" objects::get_commit;
    POST "/repos/{owner}/{repo}/git/trees" "contents=write; contents=write,workflows=write" "git/trees#create-a-tree" trees::create_tree;
    GET "/repos/{owner}/{repo}/git/trees/{tree_sha...}" "contents=read" "git/trees#get-a-tree" trees::get_tree;
    GET "/repos/{owner}/{repo}/git/ref/{ref...}" "contents=read" "git/refs#get-a-reference" refs::get_ref;
    GET "/repos/{owner}/{repo}/git/matching-refs/{ref...}" "contents=read" "git/refs#list-matching-references" refs::matching_refs;
    POST "/repos/{owner}/{repo}/git/refs" "contents=write; contents=write,workflows=write" "git/refs#create-a-reference" refs::create_ref;
    PATCH "/repos/{owner}/{repo}/git/refs/{ref...}" "contents=write; contents=write,workflows=write" "git/refs#update-a-reference" refs::update_ref;
    DELETE "/repos/{owner}/{repo}/git/refs/{ref...}" "contents=write" "git/refs#delete-a-reference" refs::delete_ref;
    POST "/repos/{owner}/{repo}/pulls" "pull_requests=write" "pulls/pulls#create-a-pull-request" pulls::create_pull;
    GET "/repos/{owner}/{repo}/pulls" "pull_requests=read" "pulls/pulls#list-pull-requests" pulls::list_pulls;
    GET "/repos/{owner}/{repo}/pulls/{pull_number}" "pull_requests=read" "pulls/pulls#get-a-pull-request" pulls::get_pull;
    PATCH "/repos/{owner}/{repo}/pulls/{pull_number}" "pull_requests=write" "pulls/pulls#update-a-pull-request" pulls::update_pull;
    PUT "/repos/{owner}/{repo}/pulls/{pull_number}/update-branch" "pull_requests=write" "pulls/pulls#update-a-pull-request-branch" merge::update_branch;
    PUT "/repos/{owner}/{repo}/pulls/{pull_number}/merge" "contents=write" "pulls/pulls#merge-a-pull-request" merge::merge_pull;
    POST "/repos/{owner}/{repo}/hooks" "repository_hooks=write" "repos/webhooks#create-a-repository-webhook" hooks::create_hook;
    GET "/repos/{owner}/{repo}/hooks" "repository_hooks=read" "repos/webhooks#list-repository-webhooks" hooks::list_hooks;
    GET "/repos/{owner}/{repo}/hooks/{hook_id}" "repository_hooks=read" "repos/webhooks#get-a-repository-webhook" hooks::get_hook;
    DELETE "/repos/{owner}/{repo}/hooks/{hook_id}" "repository_hooks=write" "repos/webhooks#delete-a-repository-webhook" hooks::delete_hook;
    PATCH "/repos/{owner}/{repo}/hooks/{hook_id}" "repository_hooks=write" "repos/webhooks#update-a-repository-webhook" hooks::update_hook;
    POST "/repos/{owner}/{repo}/hooks/{hook_id}/pings" "repository_hooks=write" "repos/webhooks#ping-a-repository-webhook" hooks::ping_hook;
    POST "/repos/{owner}/{repo}/hooks/{hook_id}/tests" "repository_hooks=write" "repos/webhooks#test-the-push-repository-webhook" hooks::test_hook;
    GET "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries" "repository_hooks=read" "repos/webhooks#list-deliveries-for-a-repository-webhook" delivery_log::list;
    GET "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}" "repository_hooks=read" "repos/webhooks#get-a-delivery-for-a-repository-webhook" delivery_log::get;
    POST "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts" "repository_hooks=write" "repos/webhooks#redeliver-a-delivery-for-a-repository-webhook" delivery_log::attempt;
    GET "/repos/{owner}/{repo}/hooks/{hook_id}/config" "repository_hooks=read" "repos/webhooks#get-a-webhook-configuration-for-a-repository" hooks::get_hook_config;
    PATCH "/repos/{owner}/{repo}/hooks/{hook_id}/config" "repository_hooks=write" "repos/webhooks#update-a-webhook-configuration-for-a-repository" hooks::update_hook_config;
};

/// The route of a method and a path, with the path's parameters, percent-decoded.
pub(super) fn find(method: &Method, path: &str) -> Option<(&'static Route, HashMap<&'static str, String>)> {
    // GitHub answers HEAD like GET, without the body; the HTTP server leaves that out.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut segments: Vec<String> = path.split('/').skip(1).map(decode).collect();
    // Where redirects of renamed repositories lead: the same routes, by id.
    let by_id = segments.len() > 2 && segments[0] == "repositories";
    if by_id {
        segments.splice(0..1, ["repos".to_owned(), String::new()]);
    }
    for route in ROUTES.iter().filter(|route| route.method == *method) {
        let pattern: Vec<&'static str> = route.pattern.split('/').skip(1).collect();
        if let Some(mut params) = matches(&pattern, &segments) {
            if by_id {
                params.insert("repository_id", params.get("repo").cloned().unwrap_or_default());
            }
            return Some((route, params));
        }
    }
    None
}

fn matches(pattern: &[&'static str], segments: &[String]) -> Option<HashMap<&'static str, String>> {
    let mut params = HashMap::new();
    let mut at = 0;
    for (index, part) in pattern.iter().enumerate() {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        let width = match name {
            // The rest of the pattern has one segment per part.
            Some(name) if name.ends_with("...") => {
                (segments.len()).checked_sub(at + pattern.len() - index - 1)?
            }
            _ => 1,
        };
        let taken = segments.get(at..at + width).filter(|taken| !taken.is_empty())?;
        match name {
            Some(name) => {
                params.insert(name.trim_end_matches("..."), taken.join("/"));
            }
            None if taken[0] == *part => {}
            None => return None,
        }
        at += width;
    }
    (at == segments.len()).then_some(params)
}
