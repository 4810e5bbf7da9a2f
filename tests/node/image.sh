#!/usr/bin/env bash
# Makes a container image from programs of this machine, without docker:
#
#   tests/node/image.sh NAME:TAG FILE.tar USER COMMAND PROGRAM[=PATH]...
#
# Each PROGRAM (a path, or a name found on PATH) comes with the shared objects that it is linked to, at PATH or where it is
# here. The image runs COMMAND (words without quotes) as USER (a number). The format is that of `docker save`, which `ctr image import` and
# `kind load image-archive` both take.
set -euo pipefail

name="$1" archive="$2" user="$3" command="$4"
shift 4
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# The layout of today's distributions: /bin and /lib are links.
mkdir -p "$work/root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc,root,home,tmp,var/tmp,proc,sys,dev,run}
for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$work/root/$directory"; done
chmod 1777 "$work/root/tmp" "$work/root/var/tmp"
printf 'root:x:0:0::/root:/bin/sh\nnonroot:x:65532:65532::/home:/sbin/nologin\n' >"$work/root/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$work/root/etc/group"

# Copies file $1 to $2, with links followed.
put() {
  mkdir -p "$work/root$(dirname "$2")"
  cp --dereference --preserve=mode "$1" "$work/root$2"
}

for program in "$@"; do
  source="$(type -P "${program%%=*}")" || { echo "image: no program ${program%%=*} here" >&2; exit 1; }
  put "$source" "$([[ "$program" == *=* ]] && echo "${program#*=}" || echo "$source")"
  # A static program has none: ldd says so and fails.
  { ldd "$source" 2>/dev/null || true; } | grep --only-matching '/[^ )]*' | while read -r object; do put "$object" "$object"; done
done

# Clients of HTTPS don't start without any.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
  [[ -r "$bundle" ]] || continue
  put "$bundle" /etc/ssl/certs/ca-certificates.crt
  break
done

# Without dates and names, so that the same files make the same image.
tar --create --file "$work/layer.tar" --directory "$work/root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
layer="$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)"
case "$(uname -m)" in
  x86_64) architecture=amd64 ;;
  aarch64) architecture=arm64 ;;
  *) architecture="$(uname -m)" ;;
esac
cat >"$work/config.json" <<END
{"architecture": "$architecture", "os": "linux",
 "config": {"User": "$user", "Entrypoint": ["${command// /\", \"}"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}, "history": [{"created_by": "tests/node/image.sh"}]}
END
echo "[{\"Config\": \"config.json\", \"RepoTags\": [\"$name\"], \"Layers\": [\"layer.tar\"]}]" >"$work/manifest.json"
mkdir -p "$(dirname "$archive")"
tar --create --file "$archive" --directory "$work" manifest.json config.json layer.tar
