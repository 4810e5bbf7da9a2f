# Follows look.sh. $signal: its name. The group holds the command, its children and the shell that leads them.
if [ -n "$alive" ] && kill -s "$signal" -- "-$pid"; then echo sent; else echo not-running; fi
