# Looks at the process of one generation. $1: id. Leaves `pid` and `alive` to the script that follows.
base=/var/tmp/slipway
cd "$base/$1" 2>/dev/null || {
  # Nothing started. Could it be? mkdir's words say why not. Every look probes under a name of its own, and clears away
  # what others have left: none of that is a failure.
  probe=$base/$1.probe.$$
  if message=$(mkdir -p -m 1777 "$base" 2>&1 && mkdir "$probe" 2>&1) || [ -d "$probe" ]; then
    rmdir "$base/$1".probe* 2>/dev/null
    echo not-started
  else
    echo failed
    printf '%s' "$message"
  fi
  exit 0
}
set -f
pid=
start=
# A start that has just made its directory writes its pid within moments; without this it would look dead.
[ -r pid ] || [ -r exit ] || sleep 1
[ -r pid ] && read -r pid start <pid
alive=
case $pid in
'' | *[!0-9]* | 0 | 1) ;;
*)
  if stat=$(cat "/proc/$pid/stat" 2>/dev/null); then
    set -- ${stat##*) }
    # A zombie has ended, another start time is another process, and a group that it does not lead is not ours.
    [ "$1" != Z ] && [ "$1" != X ] && [ "$3" = "$pid" ] && [ "${20}" = "$start" ] && alive=yes
  fi
  ;;
esac
