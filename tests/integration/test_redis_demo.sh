#!/usr/bin/env bash
#
# The demonstration with its counts on a Redis, as `make demo STORE=...` runs it: the box counts, restarts forget nothing,
# the server's password is seen by nobody, and without the server the page comes with dashes.
#
set -uo pipefail
cd "${TOP:?}" || exit 1
: "${BUILD:?}"
export PATH="$PATH:/usr/sbin:/sbin"

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}
for program in redis-server lighttpd curl; do
    command -v "$program" >/dev/null || skip_all "needs $program"
done
for variable in $(compgen -e COUNTER_ || true); do
    unset "$variable"
done
[[ $("$BUILD/counter" --store redis://127.0.0.1:1 sites 2>&1) != *REDIS=no* ]] || skip_all "this build has no Redis store"

work=$(mktemp -d) || exit 1
server='' demo=''
finish() {
    [[ -z $demo ]] || kill "$demo" 2>/dev/null
    if [[ -n $server ]]; then
        kill -CONT "$server" 2>/dev/null
        kill "$server" 2>/dev/null
    fi
    wait 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export TMPDIR=$work

echo 1..6
n=0
check() {
    n=$((n + 1))
    local sentence=$1
    shift
    if "$@"; then
        echo "ok $n - $sentence"
    else
        echo "not ok $n - $sentence"
        sed 's/^/# /' "$work/demo.out"
    fi
}
same() {
    [[ $1 == "$2" ]] || { echo "# \"$1\", not \"$2\"" && false; }
}

# ---- Server and demonstration ---------------------------------------------------------------------------------------

start_server() {    # its password comes through its standard input
    redis-server - >"$work/server.log" 2>&1 <<END &
port 0
unixsocket $work/socket
unixsocketperm 700
dir $work
save ""
appendonly no
requirepass s3cret
END
    server=$!
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        [[ ! -S $work/socket ]] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    sed 's/^/# /' "$work/server.log"
    return 1
}
start_server || { echo "Bail out! redis-server does not start" && exit 1; }
(umask 077 && echo s3cret >"$work/password")

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}
port=$(free_port)

start_demo() {
    local tries
    : >"$work/demo.out"
    PORT=$port STORE=redis+unix://$work/socket COUNTER_STORE_PASSWORD_FILE=$work/password \
        examples/portal/demo.sh >"$work/demo.out" 2>&1 &
    demo=$!
    for ((tries = 0; tries < 200; tries++)); do
        ! grep -q 'http://' "$work/demo.out" || return 0
        kill -0 "$demo" 2>/dev/null || break
        sleep 0.05
    done
    return 1
}
stop_demo() {
    kill "$demo"
    wait "$demo"
    local status=$?
    demo=''
    same "$status" 0
}

get() {             # the page as a browser of that name gets it
    curl -sS --max-time 10 -A "$1" "http://127.0.0.1:$port${2-/portal/}"
}
numbers() {         # what a reader sees of the box: "2 / 2 / 2 / 2"
    grep -o '<b class="counter-value">[^<]*' <<<"$1" | sed 's/.*>//; $!s|$| /|' | paste -sd' '
}
shows() {           # the box's numbers, agent
    same "$(numbers "$(get "$2")")" "$1"
}

# ---- What is seen ---------------------------------------------------------------------------------------------------

starts() {
    start_demo && grep -qF "Its counts are in redis+unix://$work/socket" "$work/demo.out"
}
check "the demonstration starts and says where its counts are" starts

two() {
    shows '1 / 1 / 1 / 1' desktop && shows '2 / 2 / 2 / 2' phone && shows '2 / 2 / 2 / 2' desktop
}
check "two browsers are two visitors of today" two

hits() {
    grep -qF '"online":2,"today":{"visitors":2,"visits":2,"hits":3,' <<<"$(get desktop /portal/box.json)"
}
check "every page was a hit" hits

restarts() {
    stop_demo && start_demo && shows '2 / 2 / 2 / 2' phone
}
check "the counts survive a restart" restarts

away() {            # deadline and page in far less than a reader's patience
    local page
    kill -STOP "$server"
    page=$(curl -sS --max-time 5 -A desktop "http://127.0.0.1:$port/portal/")
    local result=$?
    kill -CONT "$server"
    [[ $result == 0 ]] && same "$(numbers "$page")" '– / – / – / –' && shows '2 / 2 / 2 / 2' desktop
}
check "while the server is silent the page comes with dashes, and then with numbers again" away

quiet() {
    stop_demo && ! grep -n s3cret "$work/demo.out"
}
check "it ends, and has not told the password" quiet
