# Writes the SHA-256 of each named file, a line each, empty where it can't be read. $1: the directory they are relative to.
cd -- "$1" || exit
shift
for file; do
  sum=
  if [ -f "$file" ] && ! [ -L "$file" ]; then sum=$(sha256sum <"$file"); fi
  printf '%s\n' "${sum%% *}"
done
