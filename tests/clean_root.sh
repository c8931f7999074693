#!/bin/sh
# clean_root.sh: the README's two commands on a machine that has nothing: a bare Debian 12 root made by debootstrap, for
# a user without sudo, for one with it, and for root. No part of `./jv test`: it needs root, debootstrap, the network,
# 4 GB of disk and up to an hour.
#
#     sudo tests/clean_root.sh FOLDER [BASE.tar]
#
# FOLDER/root is made anew each time; FOLDER/NAME.log has the output of each check. BASE.tar, where given, keeps the bare
# root from one run to the next. What is tested is the last commit. The way to the packages (sources, proxies,
# certificates, settings of apt and pip) is the machine's own affair and taken over from it.
set -eu

if [ $# -lt 1 ] || [ "$(id -u)" != 0 ]; then
    echo "usage, as root: tests/clean_root.sh FOLDER [BASE.tar]" >&2
    exit 2
fi
repository=$(cd -- "$(dirname -- "$0")/.." && pwd)
mkdir -p -- "$1"
folder=$(cd -- "$1" && pwd)
root=$folder/root
base=${2:-}
failed=0

unmount() {
    for at in dev/shm dev/pts dev sys proc; do
        if mountpoint -q "$root/$at"; then umount "$root/$at" || umount --lazy "$root/$at"; fi
    done
}
trap unmount EXIT
trap 'exit 130' HUP INT TERM

# shellcheck disable=SC2016 # $(ORIGIN) and the like are apt's
# Debian's own archives as this machine's apt knows them: ADDRESS SUITE COMPONENT.
debian_archives() {
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        sed -n 's/^Debian //p' | grep bookworm | sort -u
}

bare_root() {
    mkdir "$root"
    if [ -f "$base" ]; then
        tar -C "$root" -xf "$base"
        return
    fi
    debootstrap --variant=minbase bookworm "$root" "$(debian_archives | awk '$2 == "bookworm" { print $1; exit }')" \
        >"$folder/debootstrap.log"
    if [ -n "$base" ]; then tar -C "$root" -cf "$base" .; fi
}

# Copies what exists of these files and folders to the same place in the root.
take() {
    for path in "$@"; do
        if [ ! -e "$path" ]; then continue; fi
        mkdir -p "$root${path%/*}"
        cp -RLp --no-target-directory "$path" "$root$path"
    done
}

take_settings() {
    rm -rf "$root/etc/apt/sources.list.d"
    debian_archives | sed 's/^/deb /' >"$root/etc/apt/sources.list"
    grep -lsE '^ *Acquire' /etc/apt/apt.conf /etc/apt/apt.conf.d/* | while read -r conf; do take "$conf"; done
    take /etc/apt/auth.conf /etc/apt/auth.conf.d /etc/apt/keyrings /etc/resolv.conf /etc/hosts /etc/pip.conf \
        /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates
}

# A root with nothing but git, a repository to clone from and a user.
make_root() {
    unmount
    rm -rf --one-file-system "$root"
    bare_root
    take_settings
    mount -t proc proc "$root/proc"
    mount -t sysfs sys "$root/sys"
    mount --bind /dev "$root/dev"
    mkdir -p "$root/dev/pts" "$root/dev/shm"
    mount -t devpts devpts "$root/dev/pts"
    mount -t tmpfs shm "$root/dev/shm"
    git clone --quiet --bare -- "$repository" "$root/srv/jevons.git"
    inside root 'apt-get -qq update && apt-get -qq install --no-install-recommends git && useradd --create-home jo &&
        git config --system --add safe.directory /srv/jevons.git' >"$folder/git.log" 2>&1
}

# inside USER COMMAND: in the root, with an empty environment but for what pip goes by, and nothing to read from.
inside() {
    user=$1
    command=$2
    set -- PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 CI=true
    for setting in $(env | sed -nE 's/^(PIP_[A-Z_]+|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|[a-z]+_proxy|[A-Z]+_PROXY)=.*/\1/p'); do
        set -- "$@" "$setting=$(printenv "$setting")"
    done
    env -i "$@" DEBIAN_FRONTEND=noninteractive \
        chroot "$root" runuser -u "$user" -- sh -euc "cd; HOME=\$PWD; export HOME; $command" </dev/null
}

# check NAME COMMAND...: runs it, says how it went.
check() {
    name=$1
    shift
    began=$(date +%s)
    if "$@" >"$folder/$name.log" 2>&1; then
        verdict=PASS
    else
        verdict=FAIL
        failed=1
    fi
    printf '%s %s (%d s)\n' "$verdict" "$name" $(($(date +%s) - began))
    [ $verdict = PASS ] || tail -n 30 "$folder/$name.log" | sed 's/^/    /'
}

clone='git clone --quiet /srv/jevons.git jevons && cd jevons'

# shellcheck disable=SC2317 # called by way of `check`
refuses_without_sudo() {
    inside jo "$clone && { ./jv demo && exit 9 || [ \$? = 1 ]; }" &&
        grep -q 'apt-get update && apt-get install .*meson' "$folder/no-sudo.log"
}

echo "== a user, without sudo and then with it"
make_root
check no-sudo refuses_without_sudo
check install-sudo inside root 'apt-get -qq install --no-install-recommends sudo && echo "jo ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/jo'
check user-demo inside jo "rm -rf jevons && $clone && ./jv demo"
check user-test inside jo 'cd jevons && ./jv test'

echo "== root"
make_root
check root-demo inside root "$clone && ./jv demo"
check root-test inside root 'cd jevons && .ci/run'
check root-demo-offline inside root 'cd jevons && unshare --net ./jv demo'
exit $failed
