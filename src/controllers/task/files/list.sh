# Lists everything below $1 that is no directory. First line: whether there is a tar. Then, per batch: the number of
# entries, a line of mode (hex) and size for each, and their names, each ended by NUL.
cd -- "$1" 2>/dev/null || {
  if [ -e "$1" ] || [ -L "$1" ]; then exit 4; else exit 3; fi
}
if command -v tar >/dev/null 2>&1; then echo tar; else echo none; fi
exec find . -name .git -prune -o ! -type d -exec /bin/sh -c '
  printf "%s\n" "$#"
  stat -c "%f %s" -- "$@" && printf "%s\0" "$@"
' slipway {} +
