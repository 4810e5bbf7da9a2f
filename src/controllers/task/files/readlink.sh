# Writes where the named links lead, each ended by a line feed and NUL. $1: the directory they are relative to.
cd -- "$1" || exit
shift
for link; do
  readlink -- "$link" && printf '\0' || exit 1
done
