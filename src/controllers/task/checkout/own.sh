# Makes the directory $1 and all in it belong to $2, who may then change every directory there; as root. Only what the checkout
# has made, or may make its own: else 3.
tree=$1 owner=$2
if [ -e "$tree" ] || [ -L "$tree" ]; then
  [ -d "$tree" ] && ! [ -L "$tree/.git" ] || exit 3
  if ! [ -f "$tree/.git/slipway" ] || [ -L "$tree/.git/slipway" ]; then
    others=$(ls -A -- "$tree") || exit 3
    case $others in
    '') ;;
    .git)
      [ -d "$tree/.git" ] || exit 3
      case $(ls -A -- "$tree/.git") in '' | slipway.part) ;; *) exit 3 ;; esac
      ;;
    *) exit 3 ;;
    esac
  fi
fi
# A file with a second name somewhere else stays whose it is.
mkdir -p -- "$tree" && find "$tree" -xdev ! -user "${owner%:*}" \( -type d -o -links 1 \) -exec chown -h "$owner" {} + &&
  find "$tree" -xdev -type d ! -perm -u=rwx -exec chmod u+rwx {} +
