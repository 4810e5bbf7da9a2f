# Follows look.sh. $signal: its name. The group holds the command, its children and the shell that leads them.
# Who looks later has to know that the end was asked for, whatever code the command makes of it. The name alone takes no room on
# a full disk; a run of an older release has made none that could be moved, and one that has `ended` has moved it itself.
if [ -n "$alive" ] && [ ! -e exit ] && ! mv signalled.part signalled 2>/dev/null && [ ! -e ended ]; then
  # Not ":", at whose redirection dash would end, and nothing be signalled.
  true >>signalled
fi
# `--` before the group is what busybox's kill refuses, `-s` what dash's then needs it for.
# Where the command has ended, its shell is ending the rest: that needs no TERM, which would be taken for the end's cause.
if [ -n "$alive" ] && { [ "$signal" = KILL ] || [ ! -e ended ]; } && kill "-$signal" "-$pid"; then
  echo sent
else
  echo not-running
fi
