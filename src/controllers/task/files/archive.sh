# Writes the named files as one archive to stdout. $1: the directory they are relative to. On stderr: what stat says of
# them, a line each, before and after, where the two differ; then tar's words.
cd -- "$1" || exit
shift
unset TAR_OPTIONS
exec 3>&1
facts() { stat -c '%i %f %s %y %z' -- "$@" 2>/dev/null; }
pack() {
  # GNU tar takes a backslash in a name for an escape; others don't, and don't know the option.
  if tar --no-unquote --version >/dev/null 2>&1; then tar --no-unquote -cf - -- "$@"; else tar -cf - -- "$@"; fi
}
before=$(facts "$@")
words=$(pack "$@" 2>&1 >&3)
code=$?
after=$(facts "$@")
[ "$before" = "$after" ] || printf 'before\n%s\nafter\n%s\n' "$before" "$after" >&2
printf 'words\n%s\n' "$words" >&2
exit "$code"
