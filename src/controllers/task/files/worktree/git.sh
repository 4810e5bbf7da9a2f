# How the other scripts call git in the work tree $1: its own settings hold, but nothing of ours runs hooks, listens to a
# file monitor, asks anybody or writes into the repository.
LC_ALL=C
export LC_ALL
for name in $(env | sed -n 's/^\(GIT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
# The settings of whoever owns the work tree: filters and ignored files often stand there. Others may not read them.
if [ "$(id -u)" = 0 ]; then
  owner=$(stat -c %u -- "$1" 2>/dev/null)
  home=$(getent passwd "${owner:-0}" 2>/dev/null | cut -d: -f6)
  if [ -n "$home" ]; then HOME=$home; fi
fi
# By its name, so that git does not ask who owns it.
GIT_DIR=$1/.git GIT_WORK_TREE=$1
GIT_NO_REPLACE_OBJECTS=1 GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_NO_LAZY_FETCH=1 GIT_ADVICE=0
# GitHub's kind of ids, and files that each git reads, whatever its settings make of a new repository.
GIT_DEFAULT_HASH=sha1 GIT_DEFAULT_REF_FORMAT=files
export HOME GIT_DIR GIT_WORK_TREE GIT_NO_REPLACE_OBJECTS GIT_OPTIONAL_LOCKS GIT_TERMINAL_PROMPT GIT_NO_LAZY_FETCH GIT_ADVICE
export GIT_DEFAULT_HASH GIT_DEFAULT_REF_FORMAT
# The function below hides whether there is a program.
git_program=$(command -v git 2>/dev/null)
# The sandbox tells a.ts from A.ts, even where a setting comes from a machine that does not. A split index would leave a part of
# ours in the repository.
git() {
  command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.untrackedCache=false -c core.safecrlf=false \
    -c core.ignoreCase=false -c core.splitIndex=false -c core.compression=0 -c gc.auto=0 -c protocol.allow=never \
    -c diff.ignoreSubmodules=none "$@"
}
