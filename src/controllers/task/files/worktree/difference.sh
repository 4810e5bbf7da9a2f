# Writes what the work tree $1 has changed since the commit $3, into files of the directory $2, and then those to stdout:
# for each a line of its name and size, then itself. The index and the objects are our own. $4: `-f` to take ignored files
# too. $5: patterns whose new files nobody wants. $6: a reference that stands at the commit unless the repository has been
# damaged or replaced; 5 then.
if [ -n "$6" ] && [ "$(git rev-parse -q --verify "$6^{commit}" 2>/dev/null)" != "$3" ]; then exit 5; fi
cd -- "$1" || exit
rm -rf -- "$2"
mkdir -p -- "$2/objects/info" || exit
fail() { printf '%s\n' "$*" >&2; exit 1; }
objects=$(cd -- "$(git rev-parse --git-path objects)" && pwd -P) || exit
printf '%s\n' "$objects" >"$2/objects/info/alternates" || exit
# Its own index knows what is tracked, what is not checked out, and which files are as they were: by times, that of the
# index among them, so it keeps that.
cp -p -- "$(git rev-parse --git-path index)" "$2/index" 2>/dev/null
patterns=$(git config --path core.excludesFile) || patterns=${XDG_CONFIG_HOME:-$HOME/.config}/git/ignore
{ cat -- "$patterns" 2>/dev/null; printf '\n%s\n' "$5"; } >"$2/exclude"
GIT_INDEX_FILE=$2/index GIT_OBJECT_DIRECTORY=$2/objects
export GIT_INDEX_FILE GIT_OBJECT_DIRECTORY
git rev-parse -q --verify "$3^{tree}" >/dev/null || fail "the commit $3 is not there"
if ! git ls-files >/dev/null 2>&1; then rm -f -- "$2/index"; git read-tree "$3" || exit; fi

directory=$2 base=$3 force=$4
# Nothing is read that is longer than this, so nothing longer is written either.
most=16777217
nul() { tr '\n\0' '\0\n'; }
section() {
  name=$1
  shift
  { "$@"; echo $? >"$directory/status"; } | head -c "$most" >"$directory/$name"
  read -r code <"$directory/status"
  # Cut short, its writer has failed for it.
  [ "$code" = 0 ] || [ "$(wc -c <"$directory/$name")" -eq "$most" ] || fail "git failed to tell $name"
}
tracked_links() { git ls-files -s -z | nul | sed -n 's/^160000 \([0-9a-f]*\) [0-9]	/\1 /p'; }
count_files() { git ls-tree -r -z --name-only "$base" | tr -dc '\0' | wc -c; }
raw_difference() { git diff-index --cached -r -z --raw --no-renames --ignore-submodules=none "$base"; }
filters() { nul <"$directory/changes" | sed -n 'n;p' | nul | git check-attr -z --stdin filter; }
drivers() { git config -z --name-only --get-regexp '^filter\..*\.(clean|process)$' || :; }
sizes() {
  nul <"$directory/changes" | sed -n 's/^:[0-7]* 1[0-27-9][0-7]* [0-9a-f]* \([0-9a-f]*\) [A-Z]$/\1/p' |
    git cat-file --batch-check
}
lfs_server() {
  if [ -f .lfsconfig ] && ! [ -L .lfsconfig ]; then git config -f .lfsconfig lfs.url || :; fi
}
submodules() {
  if [ -f .gitmodules ] && ! [ -L .gitmodules ]; then
    git config -z -f .gitmodules --get-regexp '^submodule\..*\.path$' || :
  fi
}

section count count_files
section links tracked_links
: >"$directory/moved"
: >"$directory/embedded"
set -- .
# Submodules are left as they are: a checkout whose .git leads nowhere makes git fail, and what they hold is not ours.
while read -r id path; do
  if [ -d "$path" ]; then
    set -- "$@" ":(exclude,literal)$path"
    if [ -e "$path/.git" ]; then
      head=$(GIT_DIR=$path/.git GIT_WORK_TREE=$path command git rev-parse -q --verify HEAD 2>/dev/null) || head=$id
    else
      head=$(ls -A -- "$path" | head -n 1)
    fi
    if [ -n "$head" ] && [ "$head" != "$id" ]; then printf '%s\0' "$path" >>"$directory/moved"; fi
  fi
done <"$directory/links"
sparse=
if git add -h 2>&1 | grep -q -e --sparse; then sparse=--sparse; fi
tries=0
while :; do
  { git -c core.excludesFile="$directory/exclude" add -A $sparse $force -- "$@" 2>&1; echo $? >"$directory/status"; } |
    { head -c 65536; cat >/dev/null; } >"$directory/words"
  read -r code <"$directory/status"
  [ "$code" = 0 ] && break
  # A repository inside that has no commit: git can't even make a link of it.
  path=$(sed -n "s|^error: '\(.*\)/' does not have a commit checked out\$|\1|p" "$directory/words" | head -n 1)
  tries=$((tries + 1))
  if [ -z "$path" ] || [ $tries -gt 100 ]; then fail "$(head -c 4096 "$directory/words")"; fi
  printf '%s\0' "$path" >>"$directory/embedded"
  set -- "$@" ":(exclude,literal)$path"
done
section changing git diff-files -z --name-only --ignore-submodules=all
section tree git write-tree --missing-ok
section changes raw_difference
section filters filters
section drivers drivers
section sizes sizes
section submodules submodules
section lfs lfs_server
for name in changing embedded moved tree count submodules lfs drivers filters sizes changes; do
  printf '%s %s\n' "$name" "$(($(wc -c <"$directory/$name")))"
  cat -- "$directory/$name" || exit
done
