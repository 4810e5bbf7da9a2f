# Makes the directory $1 and all in it belong to $2, who may then change every directory there.
mkdir -p -- "$1" && find "$1" -xdev ! -user "${2%:*}" -exec chown -h "$2" {} + &&
  find "$1" -xdev -type d ! -perm -u=rwx -exec chmod u+rwx {} +
