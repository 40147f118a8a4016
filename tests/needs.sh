#!/usr/bin/env bash
#
# needs.sh GROUP: makes sure that the programs and libraries of a group are there.
#
#     build  what the library itself is built from        demo  build, and what the demonstration shows itself with
#     test   build, and what the tests use                ci    all of it, and the checking tools of .ci/run
#
# What is missing is listed and installed with apt-get, by root or a user whose sudo asks no password. Everybody else,
# and whoever says INSTALL=no, is told the command and stops here. No service is started or enabled: some of the
# packages (lighttpd, redis-server) bring a daemon that we only ever run ourselves, from a temporary folder.
#
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

# groups | how to look for it | Debian packages | "optional": without it some tests are skipped
needs="
build test demo ci | command ${CC:-cc}    | gcc libc6-dev
build test demo ci | header stdio.h      | gcc libc6-dev
build test demo ci | command objcopy     | binutils
build test demo ci | command pkg-config  | pkg-config
build test demo ci | library libsodium   | libsodium-dev
build test demo ci | hiredis hiredis     | libhiredis-dev
test ci            | library cmocka      | libcmocka-dev
test ci            | command curl        | curl
test ci            | command redis-server| redis-server         | optional
test ci            | command redis-sentinel| redis-sentinel     | optional
test demo ci       | command lighttpd    | lighttpd
test demo ci       | file /usr/share/zoneinfo/Asia/Ho_Chi_Minh | tzdata
ci                 | header openssl/ssl.h| libssl-dev
ci                 | command clang       | clang
ci                 | fuzzer clang        | libclang-rt-14-dev
ci                 | command clang-tidy  | clang-tidy
ci                 | command clang-format| clang-format
ci                 | command cppcheck    | cppcheck
ci                 | command shellcheck  | shellcheck
ci                 | command valgrind    | valgrind libc6-dbg
ci                 | command chromium    | chromium
"

found() {
    case $1 in
    command) command -v "${2%% *}" ;;
    file)    test -e "$2" ;;
    header)  ${CC:-cc} -E -x c - <<<"#include <$2>" ;;
    library) pkg-config --exists "$2" ;;
    hiredis) [[ ${REDIS:-yes} == no ]] || pkg-config --exists "$2" ;;
    fuzzer)  "$2" -fsanitize=fuzzer -x c -o /dev/null - <<<'int LLVMFuzzerTestOneInput(void) { return 0; }' ;;
    esac >/dev/null 2>&1
}

# Sets `missing` (for the reader) and `packages` (for apt-get); `required` counts those that nothing works without.
look() {
    missing=() packages=() required=0
    local groups how what package optional
    while IFS='|' read -r groups how package optional; do
        read -r how what <<<"$how"
        read -r optional <<<"$optional"
        [[ " $groups " == *" $1 "* ]] || continue
        found "$how" "$what" && continue
        missing+=("$what")
        for package in $package; do
            [[ " ${packages[*]-} " == *" $package "* ]] || packages+=("$package")
        done
        [[ $optional == optional ]] || required=$((required + 1))
    done <<<"$needs"
}

become_root() {
    if [[ $(id -u) == 0 ]]; then
        root=()
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        root=(sudo -n)
    else
        return 1
    fi
}

installed() {
    dpkg-query -W -f '${Package}\n' | sort
}

# A policy-rc.d that answers 101 keeps maintainer scripts from starting daemons (Debian's invoke-rc.d). One that the
# machine already has is left as it is.
policy=/usr/sbin/policy-rc.d
forbid_services() {
    [[ -e $policy ]] && return
    trap '"${root[@]}" rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM
    "${root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
}

# Nor shall the next boot start what the new packages brought.
disable_services() {
    local package path
    for package in "$@"; do
        dpkg -L "$package" | grep -E '^(/usr)?/lib/systemd/system/[^/]+\.(service|socket|timer|path)$|^/etc/init\.d/[^/]+$' || true
    done | while read -r path; do
        case $path in
        /etc/init.d/*) "${root[@]}" update-rc.d "${path##*/}" disable ;;
        *) ! command -v systemctl || "${root[@]}" systemctl disable "${path##*/}" ;;
        esac </dev/null >/dev/null 2>&1 || true
    done
}

install() {
    local before new
    before=$(installed)
    forbid_services
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null
    mapfile -t new < <(comm -13 <(echo "$before") <(installed))
    disable_services "${new[@]}"
}

group=${1:?usage: needs.sh build|test|demo|ci}
look "$group"
[[ ${#missing[@]} == 0 ]] && exit 0
echo "missing: ${missing[*]}"

command="apt-get install --no-install-recommends ${packages[*]}"
if [[ ${INSTALL:-yes} != no ]] && command -v apt-get >/dev/null && become_root; then
    echo "installing: ${packages[*]}"
    install "${packages[@]}"
    look "$group"
    [[ $required == 0 ]] && exit 0
    echo "still missing: ${missing[*]}" >&2
elif [[ $required == 0 ]]; then
    echo "going on without; to have it: $command"
    exit 0
elif [[ $(id -u) == 0 ]]; then
    echo "please run: $command" >&2
else
    echo "please run: sudo $command" >&2
fi
exit 1
