#!/usr/bin/env bash
# Makes the images of the whole-cluster test from what cargo has built in target/debug:
#
#   tests/e2e/images.sh DIRECTORY IMAGE...      IMAGE: slipway, slipway-simulator or pause
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
image=tests/node/image.sh
directory="$1"
shift

# What runs in a sandbox: a shell and the usual small programs, as in E2B's templates.
userland=(sh base64 basename cat chmod chown cp cut date dirname env false find grep head id kill ln ls mkdir mknod mktemp mount mv
  nice nsenter od printf ps readlink rm rmdir sed setsid sleep sort stat tail tar test touch tr true uname unshare wc)

for name in "$@"; do
  archive="$directory/$name.tar"
  case "$name" in
    slipway) "$image" slipway:e2e "$archive" 65532 /usr/bin/slipway target/debug/slipway=/usr/bin/slipway ;;
    slipway-simulator)
      "$image" slipway-simulator:e2e "$archive" 0 /usr/bin/slipway-simulator \
        target/debug/slipway-simulator=/usr/bin/slipway-simulator "${userland[@]}"
      ;;
    pause) "$image" pause:e2e "$archive" 65535 "/usr/bin/sleep infinity" sleep ;;
    *) echo "images: no image is called $name" >&2; exit 2 ;;
  esac
done
