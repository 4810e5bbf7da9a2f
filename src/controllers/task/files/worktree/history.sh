# Says what the work tree $1 is a copy of. First line: `none` (no repository), `missing` (no git program), `broken` and git's
# words, `empty` (no commit), or `commits`: then the ids of at most $2 commits, newest first, an empty line, and the oldest
# there is.
cd -- "$1" 2>/dev/null || {
  if [ -e "$1" ] || [ -L "$1" ]; then exit 4; else exit 3; fi
}
if ! [ -e .git ] && ! [ -L .git ]; then echo none; exit 0; fi
# A directory of that name without a HEAD is no repository, for git neither.
if [ -d .git ] && ! [ -e .git/HEAD ] && ! [ -L .git/HEAD ]; then echo none; exit 0; fi
if [ -z "$git_program" ]; then echo missing; exit 0; fi
words=$(git rev-parse --git-dir 2>&1 >/dev/null) || { printf 'broken\n%s\n' "$words"; exit 0; }
if ! git rev-parse -q --verify 'HEAD^{commit}' >/dev/null; then
  words=$(git symbolic-ref -q HEAD 2>&1) || { printf 'broken\nHEAD leads to no commit\n'; exit 0; }
  if git show-ref -q --verify "$words"; then printf 'broken\n%s leads to no commit\n' "$words"; else echo empty; fi
  exit 0
fi
echo commits
git rev-list --topo-order --max-count="$2" HEAD | head -c 1000000
echo
git rev-list --max-parents=0 HEAD | head -c 1000000 | tail -n 1
