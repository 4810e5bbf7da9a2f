# Follows look.sh. $signal: its name. The group holds the command, its children and the shell that leads them.
# Who looks later has to know that the end was asked for, whatever code the command makes of it. The name alone takes no room on
# a full disk; a run of an older release has made none that could be moved.
if [ -n "$alive" ] && [ ! -e exit ] && ! mv signalled.part signalled 2>/dev/null; then
  # Not ":", at whose redirection dash would end, and nothing be signalled.
  true >>signalled
fi
# `--` before the group is what busybox's kill refuses, `-s` what dash's then needs it for.
if [ -n "$alive" ] && kill "-$signal" "-$pid"; then echo sent; else echo not-running; fi
