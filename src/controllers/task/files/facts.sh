# What stat says of the named files, a line each. $1: the directory they are relative to.
cd -- "$1" || exit
shift
exec stat -c '%i %f %s %y %z' -- "$@"
