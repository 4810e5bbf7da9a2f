# Starts one generation, once, in a session of its own. $1: id, $2: runner script, $3: working directory, $4…: command.
# Names begin with _slipway: the command's own environment must pass through unchanged, but for the mark.
umask 022
_slipway_id=$1
_slipway_runner=$2
shift 2
# A checkout that an operator which was stopped has left at work would clean away what the command makes. Not started now is
# started again.
# Of its own variable: its name may stand in the text of another, in a Task's description say.
for _slipway_process in $(grep -l -F -e SLIPWAY_CHECKOUT= /proc/[0-9]*/environ 2>/dev/null); do
  if tr '\n\0' ' \n' <"$_slipway_process" 2>/dev/null | grep -q '^SLIPWAY_CHECKOUT='; then exit 0; fi
done
# World-writable like /tmp: other users of the sandbox may come here too.
mkdir -p -m 1777 /var/tmp/slipway
# Only one start gets the directory; every other ends here without a trace.
mkdir "/var/tmp/slipway/$_slipway_id" || exit 0
cd "/var/tmp/slipway/$_slipway_id" || exit 0
# The mark by which whatever the command leaves running is found again.
export SLIPWAY_RUN="/var/tmp/slipway/$_slipway_id/"
if command -v setsid >/dev/null 2>&1; then
  exec setsid /bin/sh -c "$_slipway_runner" slipway-generate "$@"
elif command -v busybox >/dev/null 2>&1; then
  exec busybox setsid /bin/sh -c "$_slipway_runner" slipway-generate "$@"
fi
# Where job control works without a terminal (bash), a background job leads a group of its own.
exec </dev/null >/dev/null 2>&1
set -m
/bin/sh -c "$_slipway_runner" slipway-generate "$@" &
