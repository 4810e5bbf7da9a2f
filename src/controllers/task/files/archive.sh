# Writes the named files as one archive to stdout. $1: the directory they are relative to.
cd -- "$1" || exit
shift
unset TAR_OPTIONS
# GNU tar takes a backslash in a name for an escape; others don't, and don't know the option.
if tar --no-unquote --version >/dev/null 2>&1; then exec tar --no-unquote -cf - -- "$@"; fi
exec tar -cf - -- "$@"
