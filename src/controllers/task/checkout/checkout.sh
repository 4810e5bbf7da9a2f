# Checks the commit $2 out in the work tree $1 for the attempt $3, under the branch's name $4. $5: how `git clean` cleans.
# $6: the URL of origin. $7: the file in .git that the pack was brought to; empty at first. $8: the commits whose parents the
# pack leaves out. First line of the answer: `ready`; `fetch`, then the file to bring the pack to; `busy`; `missing` (no git);
# `occupied`, then what lies there; `denied` and whose the tree should be, or `failed`, then what was said.
umask 022
tree=$1 commit=$2 attempt=$3 branch=$4 clean=$5 origin=$6 pack=$7 left_out=$8
lock=
say() {
  [ -z "$lock" ] || rm -rf -- "$lock"
  printf '%s\n' "$@"
  exit 0
}
fail() {
  case $1 in *'ermission denied'*) say "denied $(id -u):$(id -g)" "$1" ;; esac
  say failed "$1"
}
[ -n "$git_program" ] || say missing

# An operator that was stopped may have left its own checkout at work: two must never clean the same tree.
start_of() { cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null; }
mkdir -p -m 1777 /var/tmp/slipway 2>/dev/null
mine=/var/tmp/slipway/checkout-$(printf %s "$tree" | cksum | tr ' ' -)
if ! mkdir "$mine" 2>/dev/null; then
  [ -s "$mine/pid" ] || sleep 1
  pid= start=
  [ ! -s "$mine/pid" ] || read -r pid start <"$mine/pid"
  if [ -n "$start" ] && [ "$(start_of "$pid")" = "$start" ]; then say busy; fi
  words=$({ rm -rf -- "$mine" && mkdir "$mine"; } 2>&1) || fail "$words"
fi
lock=$mine
echo "$$ $(start_of $$)" >"$lock/pid"

marker=$tree/.git/slipway
mark() { printf '%s %s %s\n' "$1" "$commit" "$attempt" >"$marker.part" && mv -f -- "$marker.part" "$marker"; }
state= of= for=
if [ -f "$marker" ] && ! [ -L "$marker" ]; then read -r state of for <"$marker"; fi
[ "$state $of $for" != "ready $commit $attempt" ] || say ready
if [ -z "$state" ]; then
  words=$(mkdir -p -- "$tree" 2>&1) || fail "$words"
  others=$(ls -A -- "$tree" 2>&1) || fail "$others"
  if [ "$others" = .git ] && [ -d "$tree/.git" ] && [ -z "$(ls -A -- "$tree/.git")" ]; then others=; fi
  [ -z "$others" ] || say occupied "$(printf '%s\n' "$others" | head -n 4)"
  words=$({ mkdir -p -- "$tree/.git" && mark fetching; } 2>&1) || fail "$words"
fi
cd -- "$tree" || fail "$tree can't be entered"
GIT_LFS_SKIP_SMUDGE=1
export GIT_LFS_SKIP_SMUDGE

index_pack() {
  git rev-parse --git-dir >/dev/null && mkdir -p .git/objects/pack || return
  rm -f .git/slipway.idx
  name=pack-$(git index-pack -o .git/slipway.idx "$pack") || return
  # Git sees a pack by its index, which therefore comes last.
  { ln -f -- "$pack" ".git/objects/pack/$name.pack" 2>/dev/null || cp -- "$pack" ".git/objects/pack/$name.pack"; } &&
    mv -f -- .git/slipway.idx ".git/objects/pack/$name.idx" || return
  [ -n "$left_out" ] || return 0
  { cat .git/shallow 2>/dev/null; printf '%s\n' "$left_out"; } | sort -u >.git/slipway.shallow &&
    mv -f .git/slipway.shallow .git/shallow
}
take() {
  # What a command that was ended has left half done.
  find .git -name '*.lock' -type f -exec rm -f {} +
  rm -rf .git/rebase-merge .git/rebase-apply .git/sequencer .git/MERGE_* .git/CHERRY_PICK_HEAD .git/REVERT_HEAD .git/BISECT_*
  git ls-files >/dev/null || rm -f .git/index
  git config --unset-all core.sparseCheckout
  git config -f .git/config.worktree --unset-all core.sparseCheckout
  for flag in assume-unchanged skip-worktree; do
    git ls-files -v -z | tr '\n\0' '\0\n' | sed -n 's/^[a-zS] //p' | tr '\n\0' '\0\n' |
      git update-index -z "--no-$flag" --stdin
  done
  git symbolic-ref HEAD "refs/heads/$branch" &&
    git update-ref --no-deref "refs/heads/$branch" "$commit" &&
    git update-ref --no-deref refs/slipway/base "$commit" &&
    git -c checkout.workers=0 reset -q --hard "$commit" &&
    git clean -q "$clean" &&
    git config remote.origin.url "$origin" &&
    git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*' &&
    rm -f .git/slipway-*.pack && mark ready
}

if [ -z "$pack" ]; then
  if git cat-file -e "$commit^{commit}" 2>/dev/null; then
    if words=$(take 2>&1); then say ready; fi
    case $words in *'ermission denied'*) fail "$words" ;; esac
  fi
  rm -f .git/slipway-*.pack
  words=$(mark fetching 2>&1) || fail "$words"
  say fetch "slipway-$$-$(date +%s).pack"
fi
pack=.git/$pack
[ -f "$pack" ] || say failed 'the pack is gone'
if words=$({ index_pack && take; } 2>&1); then say ready; fi
case $words in
*'ermission denied'*) ;;
*)
  # There is no repository yet, or it is damaged, or has branches that are in the way: it is made anew around the pack.
  find .git -mindepth 1 -maxdepth 1 ! -name 'slipway*' -exec rm -rf {} +
  if words=$({ git init -q && index_pack && take; } 2>&1); then say ready; fi
  ;;
esac
rm -f .git/slipway-*.pack .git/slipway.idx
fail "$words"
