# Makes the directory $1 and all in it belong to $2, so that the sandbox's user can work there.
mkdir -p -- "$1" && find "$1" -xdev ! -user "${2%:*}" -exec chown -h "$2" {} +
