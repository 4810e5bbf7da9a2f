#!/usr/bin/env bash
# Makes images of the whole-cluster test from what cargo has built in a directory:
#
#   tests/e2e/images.sh DIRECTORY BUILT TAG IMAGE...      IMAGE: slipway, slipway-simulator or pause
#
# Writes DIRECTORY/IMAGE-TAG.tar for each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
image=tests/node/image.sh
directory="$1" built="$2" tag="$3"
shift 3

# What runs in a sandbox: a shell, git and the usual small programs, as in E2B's templates. GitHub's side of git is git's own.
userland=(git "$(git --exec-path)/git-http-backend" sh base64 basename cat chmod chown cp cut date dirname env false find grep head id kill ln ls mkdir mknod mktemp mount mv
  nice nsenter od printf ps readlink rm rmdir sed setsid sleep sort stat tail tar test touch tr true uname unshare wc)

for name in "$@"; do
  archive="$directory/$name-$tag.tar"
  case "$name" in
    slipway) "$image" "slipway:$tag" "$archive" 65532 /usr/bin/slipway "$built/slipway=/usr/bin/slipway" ;;
    slipway-simulator)
      "$image" "slipway-simulator:$tag" "$archive" 0 /usr/bin/slipway-simulator \
        "$built/slipway-simulator=/usr/bin/slipway-simulator" "${userland[@]}"
      ;;
    pause) "$image" "pause:$tag" "$archive" 65535 "/usr/bin/sleep infinity" sleep ;;
    *) echo "images: no image is called $name" >&2; exit 2 ;;
  esac
done
