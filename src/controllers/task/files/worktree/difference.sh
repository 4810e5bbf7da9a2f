# Writes what the work tree $1 has changed since the commit $3, into files of the directory $2, and then those to stdout:
# for each a line of its name and size, then itself. The index and the objects are our own. $4: `-f` to take ignored files
# too. $5: patterns whose new files nobody wants. $6: a reference that stands at the commit unless the repository has been
# damaged or replaced; 5 then. $7: how such directories of the same Task begin. $8: more new files than these are too many,
# if it is said; 7 then. 6: git can't add the files, and its last words say why. $9, a line each: what a disk without room is told
# by; ${10}: words of a failure that may pass.
if [ -n "$6" ] && [ "$(git rev-parse -q --verify "$6^{commit}" 2>/dev/null)" != "$3" ]; then exit 5; fi
cd -- "$1" || exit
# With those that were left when nobody could remove them.
rm -rf -- "$2" "${7:?}"*.git
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
# Without one, what .gitignore names would count as gone.
if ! [ -f "$2/index" ] || ! git ls-files >/dev/null 2>&1; then rm -f -- "$2/index"; git read-tree "$3" || exit; fi

directory=$2 base=$3 force=$4 unwanted=$5 witness=$6 most_new=$8 no_room=$9 passing=${10}
# Nothing is read that is longer than this, so nothing longer is written either.
most=16777217
last_words() { tail -n 3 "$directory/words" | tail -c 1024; }
give_up() { last_words >&2; exit 6; }
nul() { tr '\n\0' '\0\n'; }
section() {
  name=$1
  shift
  { "$@"; echo $? >"$directory/status"; } | head -c "$most" >"$directory/$name"
  read -r code <"$directory/status"
  # Cut short, its writer has failed for it.
  [ "$code" = 0 ] || [ "$(wc -c <"$directory/$name")" -eq "$most" ] || fail "git failed to tell $name"
}
# Whatever writes an index or compares files with it may filter them again: a filter that has failed must not end that. git-lfs
# would leave files of root's in the repository, which are in the way of whoever works there next.
filtering() { git -c lfs.storage="$directory/lfs.storage" -c include.path="$directory/lenient" "$@"; }
tracked_links() { git ls-files -s -z | nul | sed -n 's/^160000 \([0-9a-f]*\) [0-9]	/\1 /p'; }
count_files() { git ls-tree -r -z --name-only "$base" | tr -dc '\0' | wc -c; }
# Without -z: git quotes odd names, and reads them back so.
staged() { git diff-index --cached -r --raw --no-renames --ignore-submodules=all "$base" | head -c "$most"; }
# Gives files back the content that the commit has, where the work tree has the very bytes of it: a file that was committed
# before an attribute named line ends or a filter for it is made anew by whoever adds it, touched or not. What the agent has
# staged so itself stays.
keep_unchanged() {
  staged | sort "$directory/staged" "$directory/staged" - | uniq -u |
    sed -n 's/^:100[0-7]* \(100[0-7]*\) \([0-9a-f]*\) [0-9a-f]* M	/\1 \2	/p' >"$directory/modified"
  cut -f 2- "$directory/modified" | git hash-object --no-filters --stdin-paths 2>/dev/null | head -c "$most" |
    paste -d ' ' - "$directory/modified" | sed -n 's/^\([0-9a-f]\{40\}\) \(100[0-7]* \1	\)/\2/p' |
    filtering update-index --index-info
}
raw_difference() { git diff-index --cached -r -z --raw --no-renames --ignore-submodules=none "$base"; }
filters() { nul <"$directory/changes" | sed -n 'n;p' | nul | git check-attr -z --stdin filter; }
drivers() { git config -z --name-only --get-regexp '^filter\..*\.(clean|process)$' || :; }
sizes() {
  nul <"$directory/changes" | sed -n 's/^:[0-7]* 1[0-27-9][0-7]* [0-9a-f]* \([0-9a-f]*\) [A-Z]$/\1/p' |
    git cat-file --batch-check
}
lfs_servers() {
  if [ -f .lfsconfig ] && ! [ -L .lfsconfig ]; then
    git config -z -f .lfsconfig --get-regexp '^(lfs\.(push)?url|remote\..*\.lfs(push)?url)$' || :
  fi
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
: >"$directory/refused"
: >"$directory/config"
: >"$directory/lenient"
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
    if [ -n "$head" ] && { [ "$head" != "$id" ] || is_edited "$path"; }; then printf '%s\0' "$path" >>"$directory/moved"; fi
  fi
done <"$directory/links"
# Where a merge, a rebase or a stash stopped, and nobody has taken its marks out. A name with a line feed hides them.
git ls-files -u -z | head -c "$most" | nul | sed -n 's/^100[0-7]* [^	]*	//p' | uniq | while IFS= read -r path; do
  [ -f "$path" ] && ! [ -L "$path" ] || continue
  if grep -q -e '^<<<<<<<' -- "$path" && grep -q -e '^>>>>>>>' -- "$path"; then printf '%s\0' "$path"; fi
done >"$directory/conflicts"
sparse=
if git add -h 2>&1 | grep -q -e --sparse; then sparse=--sparse; fi
# Counted before git reads and copies them all.
count_new() {
  standard=--exclude-standard
  [ -z "$force" ] || standard=
  set --
  # Those of the caller come before .gitignore files: for it they are out whatever these say.
  while IFS= read -r pattern; do [ -z "$pattern" ] || set -- "$@" -x "$pattern"; done <<END
$unwanted
END
  git -c core.excludesFile="$directory/exclude" ls-files -o -z $standard "$@" | tr -dc '\0' | wc -c
}
if [ -n "$most_new" ] && [ "$(count_new)" -gt "$most_new" ]; then exit 7; fi
staged >"$directory/staged" || exit
section drivers drivers
# A filter that fails would leave the raw file, of which it was to take something out. What git LFS leaves raw becomes a pointer
# all the same.
nul <"$directory/drivers" | sed -n 's/^filter\.\(.*\)\.[a-z]*$/\1/p' | sort -u | while IFS= read -r driver; do
  required=true
  [ "$driver" != lfs ] || required=false
  git config -f "$directory/config" "filter.$driver.required" "$required" &&
    git config -f "$directory/lenient" "filter.$driver.required" false || exit
done || exit
add() {
  filtering -c core.excludesFile="$directory/exclude" -c include.path="$directory/config" add -A $sparse $force -- "$@" 2>&1
}
# The file that git can't take, by what it said.
named() { sed -n "s/^$1\$/\\1/p" "$directory/words" | head -n 1; }
# Files that have a filter, but the very bytes of the index: no filter need tell that they are unchanged. What is set aside
# git passes over.
set_aside() {
  git ls-files -s | sed -n 's/^\(100[0-7]* [0-9a-f]*\) 0	/\1	/p' >"$directory/tracked"
  git ls-files -d >"$directory/gone"
  cut -f 2- "$directory/tracked" | git check-attr --stdin filter | sed 's/^.*: filter: //' | paste - "$directory/tracked" |
    grep -v -e '^unspecified	' -e '^unset	' -e '^set	' -e '^lfs	' | cut -f 2- >"$directory/filtered"
  cut -f 2- "$directory/filtered" | sort - "$directory/gone" "$directory/gone" | uniq -u >"$directory/there"
  git hash-object --no-filters --stdin-paths <"$directory/there" 2>/dev/null | paste - "$directory/there" |
    sed 's/^/100644 /; p; s/^100644/100755/' | sort - "$directory/filtered" | uniq -d >"$directory/aside"
  pass_over "$directory/aside"
}
# Without their times nothing compares them when an index is written.
pass_over() {
  filtering update-index --index-info <"$1" && cut -f 2- "$1" | filtering update-index --assume-unchanged --stdin
}
tries=0 aside=
while :; do
  { add "$@"; echo $? >"$directory/status"; } | tail -c 65536 >"$directory/words"
  read -r code <"$directory/status"
  [ "$code" != 0 ] || break
  tries=$((tries + 1))
  if grep -q -F -e "$no_room" "$directory/words" || [ $tries -gt 100 ]; then give_up; fi
  # A repository inside that has no commit: git can't even make a link of it.
  path=$(named "error: '\(.*\)\/' does not have a commit checked out")
  if [ -n "$path" ]; then
    printf '%s\0' "$path" >>"$directory/embedded"
  else
    path=$(named "fatal: \(.*\): clean filter '.*' failed")
    if [ -n "$path" ] && [ -z "$aside" ]; then
      aside=yes
      set_aside || give_up
      continue
    fi
    [ -n "$path" ] || path=$(named "error: invalid path '\(.*\)'")
    [ -n "$path" ] || path=$(named "fatal: failed to encode '\(.*\)' from .*")
    [ -n "$path" ] || path=$(named "fatal: BOM is .* in '\(.*\)' if encoded as .*")
    if [ -z "$path" ]; then
      if grep -q -F -e "$passing" "$directory/words"; then give_up; fi
      path=$(named "error: unable to index file '\(.*\)'")
      [ -n "$path" ] || path=$(named "error: \(.*\): can only add regular files, .*")
    fi
    [ -n "$path" ] || give_up
    # Whoever asks for the difference may not want it.
    printf '%s\0%s\0' "$path" "$(last_words)" >>"$directory/refused"
    git ls-files -s -- ":(literal)$path" | sed -n 's/^\(100[0-7]* [0-9a-f]*\) 0	/\1	/p' >"$directory/aside"
    pass_over "$directory/aside" || give_up
  fi
  set -- "$@" ":(exclude,literal)$path"
done
section changing filtering diff-files -z --name-only --ignore-submodules=all
keep_unchanged || fail "git failed to keep what is unchanged"
section tree filtering write-tree --missing-ok
section elsewhere elsewhere "$base" "$(cat -- "$directory/tree")"
: >"$directory/taken"
# Only what the operator has checked out stands on the commit that it is compared with.
if [ -n "$witness" ]; then section taken taken_in "$base" "$(cat -- "$directory/tree")"; fi
section changes raw_difference
section filters filters
section sizes sizes
section submodules submodules
section lfs lfs_servers
for name in changing embedded refused conflicts moved elsewhere taken tree count submodules lfs drivers filters sizes changes; do
  printf '%s %s\n' "$name" "$(($(wc -c <"$directory/$name")))"
  cat -- "$directory/$name" || exit
done
