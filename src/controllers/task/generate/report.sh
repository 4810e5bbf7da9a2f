# Follows look.sh. `exit` is read after the process was looked at: one that ended in between has written it by now.
code=
if [ -r exit ] && read -r code <exit; then
  if [ -e signalled ]; then echo "exited $code signalled"; else echo "exited $code"; fi
elif [ -n "$alive" ]; then
  echo "running $pid"
  exit 0
fi
# A full disk keeps a run from writing down how it ended. The shell's own echo would not say why it can't write.
full=$(LC_ALL=C env echo 2>&1 >"full.$$") && full=
rm -f "full.$$"
case $full in *'No space left'* | *'quota exceeded'*) ;; *) full= ;; esac
if [ -z "$code" ]; then
  if [ -n "$full" ]; then printf 'failed\n%s' "$full"; else echo dead; fi
  [ -z "$full" ] || exit 0
fi
# Far more than is shown: secrets are masked before the end is cut to size.
for file in stdout stderr; do
  [ -s "$file" ] || continue
  tail -c 16384 "$file"
  # The last line of one must not run into the first of the other.
  [ -z "$(tail -c 1 "$file")" ] || echo
done
[ -z "$full" ] || echo "nothing more can be written to the sandbox's disk: $full"
exit 0
