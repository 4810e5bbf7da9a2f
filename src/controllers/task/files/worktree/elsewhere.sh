# What was committed where nobody looks for the result: on other branches, in the stash, in other work trees. And what the result
# has from elsewhere.

# For each its time, commit, tree and name.
work_elsewhere() {
  git for-each-ref --count=50 --sort=-committerdate refs/heads \
    --format='%(committerdate:unix) %(objectname) %(tree) branch %(refname:lstrip=2)'
  git for-each-ref --format='%(committerdate:unix) %(objectname) %(tree) the stash' refs/stash
  # Those on a branch are named by it.
  git worktree list --porcelain | while IFS= read -r line; do
    case $line in
    'worktree '*) place=${line#worktree } ;;
    'HEAD '*) id=${line#HEAD } ;;
    detached) printf '%s %s\n' "$(git show -s --format='%ct %H %T' "$id")" "the work tree $place" ;;
    esac
  done
}

# Writes the names of work that neither the commit $1 nor HEAD nor any remote has. $2: the result's tree. Of what lay there
# before the checkout nothing is said.
elsewhere() {
  base=$1 result=$2
  before=$(git rev-parse -q --verify "$base^{tree}")
  since=$(stat -c %Y .git/slipway 2>/dev/null) || since=0
  # What is being merged is not left out.
  heads=$(git rev-parse -q --verify 'HEAD^{commit}'; git rev-parse -q --verify 'MERGE_HEAD^{commit}')
  work_elsewhere 2>/dev/null | head -c 65536 | while read -r time id tree name; do
    [ "$time" -ge "$since" ] && [ "$tree" != "$result" ] && [ "$tree" != "$before" ] || continue
    [ -z "$(git rev-list --max-count=1 "$id" --not "$base" $heads --remotes 2>/dev/null)" ] || printf '%s\n' "$name"
  done 2>/dev/null
}

# Writes the newest commits of other places that the work tree has taken in by a merge or a rebase, and $1 does not contain.
taken_in() {
  base=$1
  set --
  for head in HEAD MERGE_HEAD; do
    for id in $(
      git for-each-ref --count=20 --sort=-committerdate --format='%(objectname)' refs/remotes
      sed -n 's/^\([0-9a-f]\{40\}\)	.*/\1/p' "$(git rev-parse --git-path FETCH_HEAD)" | head -n 20
    ); do
      common=$(git merge-base "$head" "$id") || continue
      git merge-base --is-ancestor "$common" "$base" || set -- "$@" "$common"
    done
  done 2>/dev/null
  [ $# = 0 ] || git rev-list --no-walk "$@" | head -n 3
}

# Whether the submodule at $1 has changes that no commit of it has.
is_edited() {
  [ -n "$(
    unset GIT_INDEX_FILE GIT_OBJECT_DIRECTORY
    GIT_DIR=$1/.git GIT_WORK_TREE=$1
    filtering status --porcelain 2>/dev/null | head -c 1
  )" ]
}
