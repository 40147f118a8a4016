#!/usr/bin/env bash
#
# debian13.sh [--keep FOLDER] [--commit REVISION] [STAGE...] [NAME=VALUE...]: builds and tests on Debian 13 (trixie),
# with its hiredis 1.2, Redis 8 and Valkey, whatever Debian this machine has.
#
#     test     make test
#     valkey   the tests of Redis once more, with valkey-server in the place of redis-server
#     tls      built with TLS=yes, and the tests of Redis with that
#
# All three unless some are named. NAME=VALUE goes to make, as T=test_zone or REDIS=no.
#
# --keep    where Debian 13 is made by debootstrap; one made before is used again. Otherwise a temporary folder, removed
#           at the end. A folder that is kept takes 1 GB.
# --commit  tests that revision; otherwise the working tree with its new files.
#
# Wants root, debootstrap and the machine's own Debian mirror, with apt's own settings of proxies and passwords; MIRROR
# names another. Mounts are seen by this script alone (a mount namespace of its own), so none outlives it.
#
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
suite=trixie
inside=/tree                    # where the source lies in the folder
valkey=/opt/valkey              # there, programs named as those of Redis
mounts=(proc dev dev/pts)

fail() {
    echo "debian13: $*" >&2
    exit 1
}

# ---- What is asked for -----------------------------------------------------------------------------------------------

folder='' revision='' stages=() settings=()
read_words() {
    while (($# > 0)); do
        case $1 in
        --keep)   folder=${2:?--keep FOLDER} && shift ;;
        --commit) revision=${2:?--commit REVISION} && shift ;;
        test | valkey | tls) stages+=("$1") ;;
        *=*) settings+=("$1") ;;
        *) fail "what is \"$1\"? usage: [--keep FOLDER] [--commit REVISION] [test] [valkey] [tls] [NAME=VALUE...]" ;;
        esac
        shift
    done
    ((${#stages[@]} > 0)) || stages=(test valkey tls)
}

# ---- The folder ------------------------------------------------------------------------------------------------------

# Nothing is removed beyond a mount that would not go.
temporary=''
# shellcheck disable=SC2317  # called by the trap
finish() {
    local i
    for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do
        mountpoint -q "$folder/${mounts[i]}" || continue
        umount "$folder/${mounts[i]}" 2>/dev/null || umount --lazy "$folder/${mounts[i]}"
    done
    [[ -z $temporary ]] || rm -rf --one-file-system "$temporary" "$temporary.log"
}

# The first main archive of this machine's own release.
find_mirror() {
    local name
    name=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016  # apt-get replaces them
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v name="$name" '($2 == name || $2 ~ /^(stable|testing|unstable|sid)$/) && $3 == "main" { print $1; exit }'
}

# debootstrap fetches by wget, which does not know apt's proxies.
use_proxies() {
    local http='' https=''
    eval "$(apt-config shell http Acquire::http::Proxy https Acquire::https::Proxy)"
    [[ -z $http || $http == DIRECT ]] || export http_proxy=$http
    [[ -z $https || $https == DIRECT ]] || export https_proxy=$https
}

make_debian() {
    [[ -x $folder/usr/bin/apt-get && ! -e $folder/debootstrap ]] && return
    [[ -z $(ls -A "$folder") ]] || fail "$folder is neither empty nor a finished Debian"
    command -v debootstrap >/dev/null || fail "needs debootstrap: apt-get install debootstrap"
    local mirror=${MIRROR:-$(find_mirror)}
    [[ -n $mirror ]] || fail "apt knows no Debian mirror; say MIRROR=http://..."
    echo "making Debian 13 in $folder"
    (use_proxies && debootstrap --variant=minbase --include=ca-certificates "$suite" "$folder" "$mirror") \
        >"$folder.log" 2>&1 || { tail -n 20 "$folder.log" >&2 && fail "debootstrap failed"; }
    rm -f "$folder.log"
}

# How this machine reaches its mirror: proxies, passwords, retries. Nothing that says what apt does after an update.
copy_apt_settings() {
    local file
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/* /etc/apt/auth.conf /etc/apt/auth.conf.d/*; do
        [[ -f $file ]] || continue
        [[ $file == /etc/apt/auth* ]] || grep -qE '^[[:space:]]*Acquire(::|[[:space:]]*\{)' "$file" || continue
        mkdir -p "$folder${file%/*}"
        cp -p "$file" "$folder$file"
    done
    [[ ! -e /etc/resolv.conf ]] || cp --remove-destination -L /etc/resolv.conf "$folder/etc/resolv.conf"
}

mount_all() {
    mount -t proc proc "$folder/proc"
    mount --bind /dev "$folder/dev"
    mount --bind /dev/pts "$folder/dev/pts"
}

# Runs a command there, in the source.
there() {
    # shellcheck disable=SC2016  # expanded there
    chroot "$folder" /usr/bin/env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH="${path-}$standard" \
        ${COUNTER_TEST_SCALE+COUNTER_TEST_SCALE="$COUNTER_TEST_SCALE"} ${data:+COUNTER_TEST_DATA="$data"} \
        /bin/sh -c 'cd "$0" && exec "$@"' "$inside" "$@"
}
standard=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
data='' path=''

# ---- What goes into it -----------------------------------------------------------------------------------------------

# Files that git knows or would take up, as they are; those that were removed are listed too, and left out.
working_tree() {
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        [[ ! -e $file && ! -L $file ]] || printf '%s\0' "$file"
    done | tar --create --null --files-from=-
}

copy_source() {
    rm -rf --one-file-system "$folder$inside" "$folder/data"
    mkdir -p "$folder$inside"
    if [[ -n $revision ]]; then
        git archive "$revision"
    else
        working_tree
    fi | tar --extract --no-same-owner --directory="$folder$inside"
    if [[ -n ${COUNTER_TEST_DATA-} ]]; then
        cp -r "$COUNTER_TEST_DATA" "$folder/data"
        data=/data
    fi
}

# tests/needs.sh knows what tests want; the rest is for the stages here. No daemon starts (invoke-rc.d asks first).
install_packages() {
    local more=(make openssl libssl-dev valkey-server valkey-sentinel) program
    printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
    chmod 755 "$folder/usr/sbin/policy-rc.d"
    there dpkg-query -W "${more[@]}" >/dev/null 2>&1 || {
        there apt-get update -qq
        there apt-get install -y -qq --no-install-recommends "${more[@]}"
    }
    there tests/needs.sh test
    mkdir -p "$folder$valkey"
    for program in server sentinel cli benchmark check-aof check-rdb; do
        ln -sfn "/usr/bin/valkey-$program" "$folder$valkey/redis-$program"
    done
}

show_versions() {
    # shellcheck disable=SC2016  # expanded there
    there sh -c '
        echo "Debian $(cat /etc/debian_version), $(gcc --version | head -n 1)"
        for program in redis-server valkey-server; do $program --version || true; done
        for library in libsodium hiredis hiredis_ssl openssl cmocka; do
            echo "$library $(pkg-config --modversion "$library" 2>/dev/null || echo "is missing")"
        done'
}

# ---- Stages ----------------------------------------------------------------------------------------------------------

stage_test() {
    there make -j2 test "${settings[@]}"
}

stage_valkey() {
    path=$valkey: there sh -c 'redis-server --version | grep -i valkey' || return
    path=$valkey: there make -j2 test T=redis "${settings[@]}"
}

stage_tls() {
    there make -j2 TLS=yes BUILD=build-tls tests "${settings[@]}" &&
        there make TLS=yes BUILD=build-tls test T=redis "${settings[@]}"
}

# ---- All of it -------------------------------------------------------------------------------------------------------

read_words "$@"
[[ $(id -u) == 0 ]] || fail "wants to be root, for debootstrap and chroot"
[[ -n ${COUNTER_MOUNTS_OWN-} ]] || exec env COUNTER_MOUNTS_OWN=yes unshare --mount "$BASH" "$0" "$@"

[[ -z $folder ]] || folder=$(mkdir -p "$folder" && cd "$folder" && pwd)
cd "$(dirname "$0")/.."
[[ -n $folder ]] || temporary=$(mktemp -d /var/tmp/debian13.XXXXXX)
folder=${folder:-$temporary}
trap finish EXIT
trap 'exit 130' INT TERM HUP

make_debian
copy_apt_settings
mount_all
copy_source
install_packages
show_versions

failed=()
for stage in "${stages[@]}"; do
    printf '\n==== Debian 13: %s\n\n' "$stage"
    "stage_$stage" || failed+=("$stage")
done
((${#failed[@]} == 0)) || fail "failed: ${failed[*]}"
echo "Debian 13: all is well"
