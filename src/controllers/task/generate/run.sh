# Leads the process group of one generation. $1: working directory, $2…: command. Runs in the generation's directory.
# A handler, not "ignore": the command must not inherit an ignored signal, and this shell has to live to write `exit`.
trap : TERM INT HUP
# Fields 5 and 22 of stat, the group and the start time; the latter tells this process from a later one of the same pid.
set -f
_slipway_stat=$(cat "/proc/$$/stat") || exit 1
_slipway_stat=$(set -- ${_slipway_stat##*) }; echo "$3 ${20}")
if [ "${_slipway_stat% *}" != "$$" ]; then
  echo 'the sandbox has no setsid: install util-linux or busybox in the template' >stderr
  echo 126 >exit.part && mv exit.part exit
  exit
fi
echo "$$ ${_slipway_stat#* }" >pid.part && mv pid.part pid || exit 1
set +f
(
  _slipway_directory=$1
  shift
  mkdir -p -- "$_slipway_directory" && cd -- "$_slipway_directory" && exec "$@"
) </dev/null >stdout 2>stderr
echo $? >exit.part && mv exit.part exit
