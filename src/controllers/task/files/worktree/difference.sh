# Writes what the work tree $1 has changed since the commit $3, into files of the directory $2, and then those to stdout:
# for each a line of its name and size, then itself. The index and the objects are our own. $4: `-f` to take ignored files
# too. $5: patterns whose new files nobody wants.
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
nul() { tr '\n\0' '\0\n'; }
git ls-tree -r -z --name-only "$base" | tr -dc '\0' | wc -c >"$directory/count"
git ls-files -s -z | nul | sed -n 's/^160000 \([0-9a-f]*\) [0-9]	/\1 /p' >"$directory/links"
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
until words=$(git -c core.excludesFile="$directory/exclude" add -A $sparse $force -- "$@" 2>&1); do
  # A repository inside that has no commit: git can't even make a link of it.
  path=$(printf '%s\n' "$words" | sed -n "s|^error: '\(.*\)/' does not have a commit checked out\$|\1|p" | head -n 1)
  tries=$((tries + 1))
  if [ -z "$path" ] || [ $tries -gt 100 ]; then fail "$words"; fi
  printf '%s\0' "$path" >>"$directory/embedded"
  set -- "$@" ":(exclude,literal)$path"
done
git diff-files -z --name-only --ignore-submodules=all >"$directory/changing" || exit
git write-tree --missing-ok >"$directory/tree" || exit
git diff-index --cached -r -z --raw --no-renames --ignore-submodules=none "$base" >"$directory/changes" || exit
git diff-index --cached -r -z --name-only --no-renames --diff-filter=AMT "$base" |
  git check-attr -z --stdin filter >"$directory/filters" || exit
git config -z --name-only --get-regexp '^filter\..*\.(clean|process)$' >"$directory/drivers"
nul <"$directory/changes" | sed -n 's/^:[0-7]* 1[0-27-9][0-7]* [0-9a-f]* \([0-9a-f]*\) [A-Z]$/\1/p' |
  git cat-file --batch-check >"$directory/sizes" || exit
: >"$directory/submodules"
if [ -f .gitmodules ] && ! [ -L .gitmodules ]; then
  git config -z -f .gitmodules --get-regexp '^submodule\..*\.path$' >"$directory/submodules"
fi
for name in changing embedded moved tree count submodules drivers filters sizes changes; do
  printf '%s %s\n' "$name" "$(($(wc -c <"$directory/$name")))"
  cat -- "$directory/$name" || exit
done
