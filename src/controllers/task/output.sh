# Writes what a command has left in the directory $1: for each file $2 with its longest length $3, $4 with $5, … a line, empty
# where there is none, else `=` and its beginning in base64.
directory=$1
shift
while [ $# -gt 1 ]; do
  if [ -f "$directory/$1" ] && [ -r "$directory/$1" ]; then
    printf '='
    head -c "$(($2 + 1))" <"$directory/$1" | base64 | tr -d '\n'
  fi
  echo
  shift 2
done
