# Writes the contents that difference.sh has found, as `git cat-file --batch` does. $1: the work tree. $2: the directory of
# difference.sh; the ids follow.
cd -- "$1" || exit
GIT_OBJECT_DIRECTORY=$2/objects
export GIT_OBJECT_DIRECTORY
shift 2
printf '%s\n' "$@" | git cat-file --batch
