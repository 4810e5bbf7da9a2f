# Checks the commit $2 out in the work tree $1 for $3, an attempt and its turn, under the branch's name $4, with $5 commits of
# history. $6: how `git clean` cleans. $7: the URL of origin. $8: the file in .git that the pack was brought to; empty at first.
# $9: the commits whose parents the pack leaves out. SLIPWAY_CHECKOUT, in the environment from the start: this run's name, a
# colon, and the work tree. First line of the answer: `ready`; `fetch`, then the file to bring the pack to; `busy`; `missing` (no
# git); `occupied`, then what lies there; `denied` and whose the tree should be, or `failed`, then what was said.
umask 022
tree=$1 commit=$2 purpose=$3 branch=$4 depth=$5 clean=$6 origin=$7 pack=$8 left_out=$9
say() {
  printf '%s\n' "$@"
  exit 0
}
fail() {
  case $1 in *'ermission denied'*) say "denied $(id -u):$(id -g)" "$1" ;; esac
  say failed "$1"
}
[ -n "$git_program" ] || say missing

# What another run has left at work, that of an operator that was stopped, say: two must never clean the same tree. By the
# environment, since a run ends with its last process, not with its shell.
for process in $(grep -l -F -e SLIPWAY_CHECKOUT= /proc/[0-9]*/environ 2>/dev/null); do
  run=$(tr '\0' '\n' <"$process" 2>/dev/null | sed -n 's/^SLIPWAY_CHECKOUT=//p')
  [ "${run#*:}" != "$tree" ] || [ "$run" = "$SLIPWAY_CHECKOUT" ] || say busy
done

marker=$tree/.git/slipway
mark() { printf '%s %s %s %s\n' "$1" "$commit" "$purpose" "$2" >"$marker.part" && mv -f -- "$marker.part" "$marker"; }
state= of= for= had=
if [ -f "$marker" ] && ! [ -L "$marker" ] && ! [ -L "$tree/.git" ]; then read -r state of for had <"$marker"; fi
[ "$state $of $for" != "ready $commit $purpose" ] || say ready
if [ -z "$state" ]; then
  words=$(mkdir -p -- "$tree" 2>&1) || fail "$words"
  others=$(ls -A -- "$tree" 2>&1) || fail "$others"
  if [ "$others" = .git ] && [ -d "$tree/.git" ] && ! [ -L "$tree/.git" ]; then
    # Made by a run that came no further.
    case $(ls -A -- "$tree/.git") in '' | slipway.part) others= ;; esac
  fi
  [ -z "$others" ] || say occupied "$(printf '%s\n' "$others" | head -n 4)"
  words=$({ mkdir -p -- "$tree/.git" && mark fetching 0; } 2>&1) || fail "$words"
fi
cd -- "$tree" || fail "$tree can't be entered"
GIT_LFS_SKIP_SMUDGE=1
export GIT_LFS_SKIP_SMUDGE

index_pack() {
  git rev-parse --git-dir >/dev/null && mkdir -p .git/objects/pack || return
  rm -f .git/slipway.idx
  name=pack-$(git index-pack -o .git/slipway.idx "$pack") || return
  if [ -n "$left_out" ]; then
    { cat .git/shallow 2>/dev/null; printf '%s\n' "$left_out"; } | sort -u >.git/slipway.shallow &&
      mv -f .git/slipway.shallow .git/shallow || return
  fi
  # Git sees a pack by its index, which therefore comes last.
  { ln -f -- "$pack" ".git/objects/pack/$name.pack" 2>/dev/null || cp -- "$pack" ".git/objects/pack/$name.pack"; } &&
    mv -f -- .git/slipway.idx ".git/objects/pack/$name.idx" && forget_shallow
}
# What was cut off before is there now, where more history has come.
forget_shallow() {
  [ -s .git/shallow ] || return 0
  while read -r id; do
    missing=
    for parent in $(git cat-file commit "$id" 2>/dev/null | sed -n '/^$/q; s/^parent //p'); do
      git cat-file -e "$parent^{commit}" 2>/dev/null || missing=yes
    done
    case $left_out in *"$id"*) missing=yes ;; esac
    [ -z "$missing" ] || echo "$id"
  done <.git/shallow >.git/slipway.shallow
  if [ -s .git/slipway.shallow ]; then mv -f .git/slipway.shallow .git/shallow; else rm -f .git/slipway.shallow .git/shallow; fi
}
# What commands may have left in the way.
mend() {
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
}
take() {
  git symbolic-ref HEAD "refs/heads/$branch" &&
    printf 'option no-deref\nupdate %s %s\n' "refs/heads/$branch" "$commit" refs/slipway/base "$commit" |
    git update-ref --stdin &&
    git -c checkout.workers=0 reset -q --hard "$commit" &&
    git clean -q "$clean" &&
    git config remote.origin.url "$origin" &&
    git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*' &&
    rm -f .git/slipway-*.pack && mark ready "$depth"
}

if [ -z "$pack" ]; then
  # Of a commit that is there, less history may be than is wanted by now.
  if [ "$state" = ready ] && [ "${had:-0}" -ge "$depth" ] && git cat-file -e "$commit^{commit}" 2>/dev/null; then
    if words=$({ mend; take; } 2>&1); then say ready; fi
    case $words in *'ermission denied'*) fail "$words" ;; esac
  fi
  rm -f .git/slipway-*.pack
  words=$(mark fetching 0 2>&1) || fail "$words"
  say fetch "slipway-$$-$(date +%s).pack"
fi
pack=.git/$pack
[ -f "$pack" ] || say failed 'the pack is gone'
words=
if [ -e .git/HEAD ] && words=$({ index_pack && { mend; take; }; } 2>&1); then say ready; fi
case $words in
*'ermission denied'*) ;;
*)
  # There is no repository yet, or it is damaged, or has branches that are in the way: it is made anew around the pack.
  find .git -mindepth 1 -maxdepth 1 ! -name 'slipway*' -exec rm -rf {} +
  if words=$({ git init -q && index_pack && take; } 2>&1); then say ready; fi
  rm -f .git/slipway-*.pack .git/slipway.idx
  ;;
esac
fail "$words"
