# Follows look.sh. $signal: its name. The group holds the command, its children and the shell that leads them.
# `--` before the group is what busybox's kill refuses, `-s` what dash's then needs it for.
if [ -n "$alive" ] && kill "-$signal" "-$pid"; then echo sent; else echo not-running; fi
