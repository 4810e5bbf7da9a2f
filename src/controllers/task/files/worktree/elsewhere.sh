# What was committed where nobody looks for the result: on other branches, in the stash, in other work trees. And what the result
# has from elsewhere.

# For each its commit and name. No commit is read for it: one that can't be would hide all others.
work_elsewhere() {
  git for-each-ref --format='%(objectname) branch %(refname:lstrip=2)' refs/heads
  git for-each-ref --format='%(objectname) the stash' refs/stash
  # Those on a branch are named by it.
  git worktree list --porcelain | while IFS= read -r line; do
    case $line in
    'worktree '*) place=${line#worktree } ;;
    'HEAD '*) id=${line#HEAD } ;;
    detached) printf '%s %s\n' "$id" "the work tree $place" ;;
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
  work_elsewhere 2>/dev/null | head -c 1000000 >"$directory/names"
  cut -d ' ' -f 1 "$directory/names" | git cat-file --batch-check='%(objectname) %(objecttype)' | sed -n 's/ commit$//p' |
    git log --no-walk --stdin --max-count=50 --no-show-signature --format='%ct %H %T' | while read -r time id tree; do
    [ "$time" -ge "$since" ] && [ "$tree" != "$result" ] && [ "$tree" != "$before" ] || continue
    [ -n "$(git rev-list --max-count=1 "$id" --not "$base" $heads --remotes 2>/dev/null)" ] || continue
    sed -n "s/^$id //p" "$directory/names" | head -c 65536
  done 2>/dev/null
}

# Writes the newest commits of other places that the work tree has taken in by a merge or a rebase, and $1 does not contain. $2:
# the result's tree. Whoever is named becomes a parent of the result, so that what the result lacks of it would count as taken back:
# where that is not sure, none is named.
taken_in() {
  base=$1 result=$2
  for head in HEAD MERGE_HEAD; do
    for id in $(
      git for-each-ref --count=20 --sort=-committerdate --format='%(objectname)' refs/remotes
      sed -n 's/^\([0-9a-f]\{40\}\)	.*/\1/p' "$(git rev-parse --git-path FETCH_HEAD)" | head -n 20
    ); do
      common=$(git merge-base "$head" "$id") || continue
      git merge-base --is-ancestor "$common" "$base" || printf '%s\n' "$common"
    done
  done 2>/dev/null >"$directory/common"
  [ -s "$directory/common" ] || return 0
  git rev-list --no-walk --stdin <"$directory/common" | head -n 3 | while read -r theirs; do
    if git merge-base --is-ancestor "$theirs" HEAD; then
      merged=$(git rev-list --merges --max-count=1 HEAD --not "$theirs" "$base")
      has_whole "$base" "$theirs" "$result" "$merged"
    else
      # What has been given up since is as HEAD has it.
      has_whole "$base" "$theirs" "$result" '' && has_whole HEAD "$theirs" "$result" ''
    fi && printf '%s\n' "$theirs"
  done 2>/dev/null
  return 0
}
differing() { git diff-tree -r --name-only --no-renames "$1" "$2" | sort; }
in_both() { sort "$@" | uniq -d; }
only_first() { sort "$1" "$2" "$2" | uniq -u; }
# The lines of the file $3 that $2 has and $1 has not.
added() {
  git diff-tree -p -U0 --no-color --no-renames --no-ext-diff --no-textconv "$1" "$2" -- ":(literal)$3" |
    sed -n 's/^+//p' | grep -v -e '^++ ' | grep -e '[[:alnum:]]' | sort -u
}
# Whether the tree $3 has all of what $2 has changed since it parted from $1. $4: a commit that merges both, if there is one:
# for it somebody has resolved what both changed, maybe as $1 has it.
has_whole() {
  parted=$(git merge-base "$1" "$2") || return
  differing "$parted" "$2" >"$directory/theirs"
  differing "$1" "$2" >"$directory/unlike"
  in_both "$directory/theirs" "$directory/unlike" >"$directory/brought"
  differing "$1" "$3" >"$directory/ours"
  only_first "$directory/brought" "$directory/ours" >"$directory/lacking"
  if [ -n "$4" ]; then
    differing "$parted" "$1" >"$directory/ours"
    [ -z "$(only_first "$directory/lacking" "$directory/ours")" ]
    return
  fi
  [ ! -s "$directory/lacking" ] || return
  # A history that was only moved has the same shape: something of $2 must be there.
  differing "$2" "$3" >"$directory/unlike"
  [ -z "$(only_first "$directory/brought" "$directory/unlike")" ] || return 0
  head -n 20 "$directory/brought" | while IFS= read -r path; do
    added "$1" "$2" "$path" >"$directory/theirs"
    added "$1" "$3" "$path" >"$directory/ours"
    in_both "$directory/theirs" "$directory/ours"
  done | grep -q .
}

# Whether the submodule at $1 has changes that no commit of it has.
is_edited() {
  [ -n "$(
    unset GIT_INDEX_FILE GIT_OBJECT_DIRECTORY
    GIT_DIR=$1/.git GIT_WORK_TREE=$1
    filtering status --porcelain 2>/dev/null | head -c 1
  )" ]
}
