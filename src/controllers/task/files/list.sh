# Lists what is no directory below $1; with $2…, directories below it: all that lies in these, not deeper. First line:
# whether there is a tar. Then, per batch: the number of entries, a line of mode (hex) and size for each, and their
# names, each ended by NUL.
cd -- "$1" 2>/dev/null || {
  if [ -e "$1" ] || [ -L "$1" ]; then exit 4; else exit 3; fi
}
shift
if command -v tar >/dev/null 2>&1; then echo tar; else echo none; fi
facts='printf "%s\n" "$#"; stat -c "%f %s" -- "$@" && printf "%s\0" "$@"'
if [ $# -eq 0 ]; then exec find . -name .git -prune -o ! -type d -exec /bin/sh -c "$facts" slipway {} +; fi
exec find "$@" -mindepth 1 -maxdepth 1 ! -name .git -exec /bin/sh -c "$facts" slipway {} +
