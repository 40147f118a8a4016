#!/usr/bin/env bash
#
# The commands of README.md that move a site, as they stand there: only the hosts and the folder are others, two servers
# and a cluster of this test's own. At the end of the chain the site is what it was at its beginning.
#
set -uo pipefail
cd "${TOP:?}" || exit 1
: "${BUILD:?}"
counter=$BUILD/counter

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}
for program in redis-server redis-cli; do
    command -v "$program" >/dev/null || skip_all "needs $program"
done
for variable in $(compgen -e COUNTER_ || true); do
    unset "$variable"
done
[[ $("$counter" --store redis://127.0.0.1:1 sites 2>&1) != *REDIS=no* ]] || skip_all "this build has no Redis store"

work=$(mktemp -d) || exit 1
servers=()
finish() {
    ((${#servers[@]} == 0)) || kill -KILL "${servers[@]}" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

export COUNTER_CONFIG='' COUNTER_DEADLINE=10000 HOME=$work LC_ALL=C
zone=Asia/Ho_Chi_Minh at=2026-03-09T10:15:00+07:00

echo 1..8
n=0 said=''
complain() {
    head -n 20 <<<"$said" | sed 's/^/# /'
}
check() {           # sentence, command...
    n=$((n + 1))
    local sentence=$1
    shift
    if "$@"; then
        echo "ok $n - $sentence"
    else
        echo "not ok $n - $sentence"
        complain
    fi
}

# ---- Servers --------------------------------------------------------------------------------------------------------

# A port that nobody listens at, as is the one 10000 above it, where the nodes of a cluster talk: below the range that
# the kernel gives to clients.
free_port() {
    local port
    while port=$((12000 + RANDOM % 10000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || (exec 3<>"/dev/tcp/127.0.0.1/$((port + 10000))") 2>/dev/null ||
            { echo "$port" && return; }
    done
}

answers() {
    [[ $(redis-cli -h 127.0.0.1 -p "$1" ping 2>/dev/null) == PONG ]]
}

# start NAME OPTION...: sets port. One that was free may be taken by now: then the server ends, and another is tried.
start() {
    local folder=$work/$1 tries again server
    shift
    mkdir "$folder"
    for ((again = 0; again < 5; again++)); do
        port=$(free_port)
        redis-server --bind 127.0.0.1 --port "$port" --dir "$folder" --save '' --appendonly no "$@" >"$folder/log" 2>&1 &
        server=$!
        for ((tries = 0; tries < 200; tries++)); do
            kill -0 "$server" 2>/dev/null || break
            if answers "$port"; then
                servers+=("$server")
                return 0
            fi
            sleep 0.05
        done
        kill -KILL "$server" 2>/dev/null
    done
    said=$(<"$folder/log")
    return 1
}

nodes=()
start_cluster() {
    local i tries
    for i in {1..6}; do
        start "node$i" --cluster-enabled yes --cluster-node-timeout 5000 || return
        nodes+=("127.0.0.1:$port")
    done
    said=$(timeout 60 redis-cli --cluster create "${nodes[@]}" --cluster-replicas 1 --cluster-yes 2>&1) || return
    for i in "${nodes[@]}"; do
        for ((tries = 0; tries < 200; tries++)); do
            said=$(redis-cli -h 127.0.0.1 -p "${i#*:}" cluster info 2>&1)
            [[ $said != *cluster_state:ok* ]] || continue 2
            sleep 0.05
        done
        return 1
    done
}

# ---- The commands ---------------------------------------------------------------------------------------------------

mapfile -t commands < <(sed -n '/<!-- copy -->/,/<!-- \/copy -->/p' README.md | sed -n 's/^    \(counter .*\)$/\1/p')

three() {
    said=$(printf '%s\n' "${commands[@]}")
    [[ ${#commands[@]} == 3 && ${commands[0]} == *' # backup' && ${commands[1]} == *' # restore'* &&
        ${commands[2]} == *' # and on to a cluster' ]]
}

# readme N STORE...: runs the Nth command, with these in place of what the README calls redis://cache.example and the
# cluster. Sets said.
readme() {
    local words word command=() cluster=redis+cluster://${nodes[0]-},${nodes[1]-}
    read -ra words <<<"${commands[$1]%% #*}"
    for word in "${words[@]}"; do
        case $word in
        counter) command+=("$counter") ;;
        redis://cache.example) command+=("$2") ;;
        file:/var/backups/counter) command+=("file:$work/backup") ;;
        redis+cluster://a.example,b.example) command+=("$cluster") ;;
        *example* | *://* | /*) said="$word: no stand-in for it" && return 1 ;;
        *) command+=("$word") ;;
        esac
    done
    said=$(timeout 60 "${command[@]}" 2>&1)
}

site_at() {         # every number of the site
    "$counter" stats --site portal --at "$at" --json --store "$1" &&
        "$counter" series --site portal --csv --store "$1" && "$counter" series --site portal --by hour --csv --store "$1"
}

is_there() {        # the site in a store is what it was at the beginning
    [[ $expected == *'"since":"2026-01-28"'* ]] && said=$(diff <(echo "$expected") <(site_at "$1" 2>&1))
}

fill() {            # 40 days over a change of month, visitors who come back, one who was erased, an older counter
    local day visitor
    export COUNTER_STORE=$first COUNTER_SITE=portal COUNTER_TIMEZONE=$zone
    for day in 2026-01-28 2026-02-20 2026-03-01 2026-03-08; do
        for visitor in a b "$day"; do
            said=$("$counter" hit --visitor "$visitor" --at "${day}T09:00:00+07:00" 2>&1) || return
        done
    done
    said=$("$counter" hit --visitor a --at 2026-03-09T10:14:00+07:00 2>&1) &&
        said=$("$counter" hit --visitor gone --at 2026-03-09T10:14:30+07:00 2>&1) &&
        said=$("$counter" erase --visitor gone 2>&1) &&
        said=$("$counter" baseline 1244255 2>&1)
    local result=$?
    unset COUNTER_STORE COUNTER_SITE COUNTER_TIMEZONE
    return "$result"
}

expected=''
start first || { complain && echo "Bail out! redis-server does not start" && exit 1; }
first=redis://127.0.0.1:$port
start second || { complain && echo "Bail out! redis-server does not start" && exit 1; }
second=redis://127.0.0.1:$port

check "README.md has a command for a backup, to restore it, and to move on to a cluster" three
counted() {
    fill && expected=$(site_at "$first" 2>&1) && said=$expected && [[ $expected == *'"today":{"visitors":2,"visits":2,'* ]]
}
check "a site is counted on a server" counted

backup() {
    readme 0 "$first" && is_there "file:$work/backup"
}
check "the backup holds every number" backup

again() {
    readme 0 "$first" && is_there "file:$work/backup"
}
check "a second backup into the same folder changes nothing" again

restore() {
    readme 1 "$second" && is_there "$second"
}
check "it is restored into a server that is empty" restore

restore_over() {
    readme 1 "$first" && is_there "$first"
}
check "restored into the server that has the site, it changes nothing" restore_over

check "a cluster starts" start_cluster

move() {
    readme 2 "$second" && is_there "redis+cluster://${nodes[5]}"
}
check "the site goes on to the cluster, and is the same there by whichever node one asks" move
