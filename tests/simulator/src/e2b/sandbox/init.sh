# The first process of a sandbox: mounts what is private to it, then reaps orphans until its stdin closes.
# $1: the sandbox's directory on the host. $2: names of commands that this sandbox must not have.
set -e
# The host's /proc is still there: this is our pid as the host sees it.
read -r pid _ </proc/self/stat
# From here on all sources are relative: the mounts below may hide the directory's absolute path.
cd "$1"
for directory in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    # A link is the directory of another turn.
    if [ -L "$directory" ]; then continue; fi
    for name in $2; do
        if [ -e "$directory/$name" ]; then
            mkdir -p "hidden$directory"
            # A whiteout: in an overlay the name is gone.
            mknod "hidden$directory/$name" c 0 0
        fi
    done
    if [ -d "hidden$directory" ]; then
        mount -t overlay overlay -o "lowerdir=$PWD/hidden$directory:$directory" "$directory"
    fi
done
mount --no-canonicalize --bind ./passwd /etc/passwd
mount --no-canonicalize --bind ./group /etc/group
mount --no-canonicalize --bind ./home /home
mount --no-canonicalize --bind ./root /root
mount --no-canonicalize --bind ./var-tmp /var/tmp
mount --no-canonicalize --bind ./tmp /tmp
mount -t proc proc /proc
mount -o remount,bind,ro /
cd /
exec 3<&0
cat <&3 >/dev/null 2>&1 &
echo "$pid $!"
exec >/dev/null 2>&1 3<&-
wait $!
