# Checks the commit $2 out in the work tree $1 for $3, an attempt and its turn, under the branch's name $4, with $5 commits of
# history. $6: how `git clean` cleans. $7: the URL of origin. $8: whether a pack may be brought now. SLIPWAY_CHECKOUT, in the
# environment from the start: this run's name, which begins with its time, a colon, and the work tree. What it says: `ready`;
# `busy`, and the name of the run that is at work, if there is one; `missing` (no git);
# `occupied`, then what lies there; `denied` and whose the tree should be, or `failed`, then what was said. Or `fetch`, then a
# file of .git: if a pack may be brought, the run goes on, and says one of the others in the end. The pack comes beside that file
# in pieces, .1, .2 and so on, each begun when the one before is whole; its first line names the commits whose parents it leaves
# out. Git takes it as it comes. With .end that was all; without the file itself nothing more is waited for.
umask 022
tree=$1 commit=$2 purpose=$3 branch=$4 depth=$5 clean=$6 origin=$7 brings=$8
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
others() {
  for process in $(grep -l -F -e SLIPWAY_CHECKOUT= /proc/[0-9]*/environ 2>/dev/null | xargs grep -L -F -e "$SLIPWAY_CHECKOUT" 2>/dev/null); do
    # A line of another variable, a Task's description say, is none of it.
    run=$(tr '\n\0' ' \n' <"$process" 2>/dev/null | sed -n 's/^SLIPWAY_CHECKOUT=//p')
    [ "${run#*:}" = "$tree" ] || continue
    # Of two that see each other the newer one stays: somebody hears it.
    [ "${run%%.*}" -gt "${SLIPWAY_CHECKOUT%%.*}" ] 2>/dev/null && say "busy ${run%%:*}"
    return 0
  done
  return 1
}
patience=20
while others; do
  [ "$patience" -gt 0 ] || say "busy ${run%%:*}"
  # One that only waits for its pack ends by this; one that is at work on the tree is left alone.
  [ -L "$tree/.git" ] || rm -f -- "$tree"/.git/slipway-*.pack*
  patience=$((patience - 1))
  sleep 0.1 2>/dev/null || sleep 1
done

marker=$tree/.git/slipway
mark() { printf '%s %s %s %s\n' "$1" "$commit" "$purpose" "$2" >"$marker.part" && mv -f -- "$marker.part" "$marker"; }
state= of= for= had=
if [ -f "$marker" ] && ! [ -L "$marker" ] && ! [ -L "$tree/.git" ]; then read -r state of for had <"$marker"; fi
[ "$state $of $for" != "ready $commit $purpose" ] || say ready
new=
if [ -z "$state" ]; then
  lies=
  if [ -e "$tree" ] || [ -L "$tree" ]; then lies=$(ls -A -- "$tree/" 2>&1) || fail "$lies"; fi
  if [ "$lies" = .git ] && [ -d "$tree/.git" ] && ! [ -L "$tree/.git" ]; then
    # Made by a run that came no further.
    case $(ls -A -- "$tree/.git") in '' | slipway.part) lies= ;; esac
  fi
  [ -z "$lies" ] || say occupied "$(printf '%s\n' "$lies" | head -n 4)"
  words=$({ mkdir -p -- "$tree/.git" && mark fetching 0; } 2>&1) || fail "$words"
  new=yes
fi
cd -- "$tree" || fail "$tree can't be entered"
GIT_LFS_SKIP_SMUDGE=1
export GIT_LFS_SKIP_SMUDGE
incoming=.git/slipway.in

# Prints the pack as it comes into the pieces beside $1. Waits a quarter of an hour, which is longer than an operator stays.
follow() {
  number=1 left=45000
  while [ -e "$1" ] && ! [ -s "$1.1" ]; do pause; done
  exec 3<"$1.1"
  line=
  # Whatever part of it comes: read would drop a blank at the end of a part, and two ids become one.
  until IFS= read -r rest <&3; do
    line=$line$rest
    [ -e "$1" ] || return
    pause
  done
  for id in $line$rest; do
    # Git reads as many digits as it needs, and would lose what stands behind them.
    is_id "$id" || { : >"$incoming/odd"; return; }
    echo "$id"
  done >"$incoming/shallow"
  while [ -e "$1" ]; do
    cat <&3
    if [ -e "$1.$((number + 1))" ]; then
      # It has come to its end since, perhaps after that.
      cat <&3
      rm -f -- "$1.$number"
      number=$((number + 1))
      exec 3<"$1.$number"
    elif [ -e "$1.end" ]; then
      cat <&3
      return
    else
      pause
    fi
  done
}
is_id() {
  case $1 in *[!0-9a-f]*) return 1 ;; esac
  [ ${#1} = 40 ] || [ ${#1} = 64 ]
}
pause() {
  left=$((left - 1))
  [ "$left" -gt 0 ] || exit
  sleep 0.02 2>/dev/null || { sleep 1 && left=$((left - 50)); }
}
# Puts the pack that was taken in among the others. Git sees a pack by its index, which therefore comes last.
install() {
  { [ -d .git/objects/pack ] || mkdir -p .git/objects/pack; } &&
    if [ -s "$incoming/shallow" ]; then
      { cat .git/shallow 2>/dev/null; cat "$incoming/shallow"; } | sort -u >.git/slipway.shallow &&
        mv -f .git/slipway.shallow .git/shallow
    fi &&
    mv -f "$incoming/objects/pack/$name.pack" "$incoming/objects/pack/$name.idx" .git/objects/pack/ &&
    forget_shallow && mark packed "$depth"
}
# What was cut off before is there now, where more history has come.
forget_shallow() {
  [ -z "$new" ] && [ -s .git/shallow ] || return 0
  while read -r id; do
    missing=
    for parent in $(git cat-file commit "$id" 2>/dev/null | sed -n '/^$/q; s/^parent //p'); do
      git cat-file -e "$parent^{commit}" 2>/dev/null || missing=yes
    done
    ! grep -q -F -x -e "$id" "$incoming/shallow" || missing=yes
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
  # They are named to git here, and a command that is started without that would find no work tree.
  for setting in core.sparseCheckout core.bare core.worktree; do
    git config -f .git/config --unset-all "$setting"
    git config -f .git/config.worktree --unset-all "$setting"
  done
  for flag in assume-unchanged skip-worktree; do
    git ls-files -v -z | tr '\n\0' '\0\n' | sed -n 's/^[a-zS] //p' | tr '\n\0' '\0\n' |
      git update-index -z "--no-$flag" --stdin
  done
}
# All of a repository but its commits.
prepare() {
  git symbolic-ref HEAD "refs/heads/$branch" &&
    git config remote.origin.url "$origin" &&
    git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
}
take() {
  printf 'option no-deref\nupdate %s %s\n' "refs/heads/$branch" "$commit" refs/slipway/base "$commit" |
    git update-ref --stdin &&
    git -c checkout.workers=0 reset -q --hard "$commit" &&
    { [ -n "$new" ] || git clean -q "$clean"; } &&
    rm -rf "$incoming" .git/slipway-*.pack* && mark ready "$depth"
}
# Takes the pack in, apart from what lies in .git, then checks out.
finish() {
  if ! words=$(git --git-dir="$incoming" -c pack.writeReverseIndex=false index-pack --stdin 2>&1 >"$incoming/name"); then
    stopped=yes
    [ ! -e "$pack" ] || stopped=
    [ ! -e "$incoming/odd" ] || words='the pack came with odd names of the commits that end its history'
    rm -rf "$incoming" "$pack" "$pack".*
    [ -z "$stopped" ] || say busy
    fail "$words"
  fi
  rm -f "$pack" "$pack".*
  read -r kind name <"$incoming/name"
  name=pack-$name
  if [ -n "$sound" ] && words=$({ install && { [ -n "$new" ] || { mend; prepare; }; } && take; } 2>&1); then say ready; fi
  case $new$words in
  yes* | *'ermission denied'*) ;;
  *)
    # The repository is damaged, or has branches that are in the way: it is made anew around the pack.
    [ -f "$incoming/objects/pack/$name.pack" ] || mv -f ".git/objects/pack/$name.pack" "$incoming/objects/pack/"
    [ -f "$incoming/objects/pack/$name.idx" ] || mv -f ".git/objects/pack/$name.idx" "$incoming/objects/pack/"
    find .git -mindepth 1 -maxdepth 1 ! -name 'slipway*' -exec rm -rf {} +
    if words=$({ git init -q && install && prepare && take; } 2>&1); then say ready; fi
    ;;
  esac
  rm -rf "$incoming"
  fail "$words"
}

# Of a commit that is there, less history may be than is wanted by now.
case $state in ready | packed)
  if [ "${had:-0}" -ge "$depth" ] && git cat-file -e "$commit^{commit}" 2>/dev/null; then
    if words=$({ mend; prepare && take; } 2>&1); then say ready; fi
    case $words in *'ermission denied'*) fail "$words" ;; esac
  fi
  ;;
esac
pack=.git/slipway-${SLIPWAY_CHECKOUT%%:*}.pack
words=$(
  {
    { [ -n "$new" ] || { rm -rf .git/slipway-*.pack* "$incoming" && mark fetching 0; }; } &&
      { [ -z "$brings" ] || : >"$pack"; }
  } 2>&1
) || fail "$words"
printf 'fetch\n%s\n' "${pack#.git/}"
[ -n "$brings" ] || exit 0
sound=yes words=
if [ -n "$new" ]; then
  words=$({ git init -q && prepare; } 2>&1) || fail "$words"
else
  git rev-parse --git-dir >/dev/null 2>&1 || sound=
fi
words=$({ mkdir -p "$incoming/objects/pack" "$incoming/refs" && echo 'ref: refs/heads/none' >"$incoming/HEAD"; } 2>&1) || fail "$words"
follow "$pack" 2>/dev/null | finish
