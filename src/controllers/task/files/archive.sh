# Writes the named files as one archive to stdout. $1: the directory they are relative to.
cd -- "$1" || exit
shift
unset TAR_OPTIONS
exec tar -cf - -- "$@"
