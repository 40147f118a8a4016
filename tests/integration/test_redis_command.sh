#!/usr/bin/env bash
#
# The command `counter` with a Redis of its own: what it counts and shows is what it would with a folder, sites move
# from one to the other and back, and the server's password gets in by three ways and out by none.
#
set -uo pipefail
: "${BUILD:?}"
counter=$BUILD/counter

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}
command -v redis-server >/dev/null || skip_all "needs redis-server"
for variable in $(compgen -e COUNTER_ || true); do
    unset "$variable"
done
[[ $("$counter" --store redis://127.0.0.1:1 sites 2>&1) != *REDIS=no* ]] || skip_all "this build has no Redis store"

work=$(mktemp -d) || exit 1
server=''
finish() {
    if [[ -n $server ]]; then
        kill -CONT "$server" 2>/dev/null
        kill "$server" 2>/dev/null
        wait "$server" 2>/dev/null
    fi
    rm -rf "$work"
}
trap finish EXIT
cd "$work" || exit 1

password='s3cret @:/?#%' encoded='s3cret%20%40%3A%2F%3F%23%25'
redis=redis+unix://$work/socket
with_password=redis+unix://:$encoded@$work/socket
files=file:$work/files
zone=Asia/Ho_Chi_Minh
at=2020-11-23T10:15:00+07:00
export COUNTER_CONFIG='' COUNTER_STORE=$redis COUNTER_DEADLINE=10000 HOME=$work LC_ALL=C

# The server's own password comes through its standard input: nothing on this machine shows it but files in $work.
start_server() {
    redis-server - >"$work/server.log" 2>&1 <<END &
port 0
unixsocket $work/socket
unixsocketperm 700
dir $work
save ""
appendonly no
requirepass "$password"
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
start_server || { echo "Bail out! redis-server does not start"; exit 1; }

n=0
check() {           # sentence, command...
    n=$((n + 1))
    local sentence=$1
    shift
    if "$@"; then
        echo "ok $n - $sentence"
    else
        echo "not ok $n - $sentence"
        printf '%s\n' "code ${code-}" "out: ${out-}" "err: ${err-}" | sed "s/^/# /; s/s3cret/(the password)/g"
    fi
}

run() {             # sets out, err, code; keeps all that was ever said
    out=$(timeout 60 "$counter" "$@" 2>"$work/err")
    code=$?
    err=$(<"$work/err")
    printf '%s\n' "$out" "$err" >>"$work/said"
}
says() {            # what is printed to the letter, arguments
    local expected=$1
    shift
    run "$@"
    [[ $code == 0 && $out == "$expected" && -z $err ]]
}
shows() {           # a part of what is printed, arguments
    local expected=$1
    shift
    run "$@"
    [[ $code == 0 && $out == *"$expected"* && -z $err ]]
}
fails() {           # code, a part of the error, arguments
    local expected=$1 text=$2
    shift 2
    run "$@"
    [[ $code == "$expected" && -z $out && $err == "counter: "*"$text"* && $(wc -l <"$work/err") == 1 ]]
}
same() {            # two stores, arguments of a command that shows the same in both
    local one=$1 two=$2
    shift 2
    run "$@" --store "$one"
    local expected=$out
    [[ $code == 0 && -n $expected ]] && says "$expected" "$@" --store "$two"
}
same_site() {       # two stores
    same "$@" stats --site portal --at "$at" --json && same "$@" series --site portal --csv &&
        same "$@" series --site portal --by hour --csv
}

# ---- The password gets in -------------------------------------------------------------------------------------------

closed() {
    fails 1 '' sites && COUNTER_STORE_PASSWORD=s3cret-wrong fails 1 '' sites &&
        COUNTER_STORE=redis+unix://:s3cret-wrong@$work/socket fails 1 '' sites &&
        COUNTER_STORE_PASSWORD=$password COUNTER_STORE=redis+unix://:s3cret-wrong@$work/socket fails 1 '' sites
}
check "without the password, or with another, the server says no" closed

by_environment() {
    COUNTER_STORE_PASSWORD=$password says '' sites
}
check "the password comes from the environment" by_environment

by_file() {
    (umask 077 && printf '%s\n' "$password" >"$work/password")
    COUNTER_STORE_PASSWORD_FILE=$work/password says '' sites &&
        printf '%s\n' "store = $redis" "store_password_file = $work/password" >"$work/file.conf" &&
        COUNTER_STORE='' COUNTER_CONFIG=$work/file.conf says '' sites || return
    chmod 644 "$work/password"
    COUNTER_STORE_PASSWORD_FILE=$work/password fails 1 "chmod o-r $work/password" sites &&
        COUNTER_STORE_PASSWORD_FILE=$work/none fails 2 "$work/none" sites
}
check "the password comes from the first line of a file, which not everybody may read" by_file

by_url() {
    says '' sites --store "$with_password" && COUNTER_STORE=$with_password says '' sites &&
        COUNTER_STORE=$with_password COUNTER_STORE_PASSWORD=s3cret-wrong says '' sites &&
        says '' sites --store="redis+unix://default:$encoded@$work/socket?db=1"
}
check "the password comes from the URL, before all other places" by_url

# ---- The commands ---------------------------------------------------------------------------------------------------

export COUNTER_STORE_PASSWORD=$password

hit() {             # store, visitor, time
    says counted hit --store "$1" --site portal --visitor "$2" --at "$3" --timezone "$zone"
}
hits() {
    local store
    for store in "$redis" "$files"; do
        hit "$store" a 2020-10-25T12:00:00+07:00 && hit "$store" b 2020-11-20T07:00:00+07:00 &&
            hit "$store" b 2020-11-20T08:00:00+07:00 && hit "$store" a 2020-11-22T20:00:00+07:00 &&
            hit "$store" a 2020-11-23T02:00:00Z && hit "$store" c 2020-11-23T10:14:00+07:00 &&
            hit "$store" c "$at" || return
    done
    says portal sites
}
check "hits are counted" hits

check "stats and series show what they would of a folder" same_site "$files" "$redis"

conflict() {
    fails 1 "$zone" stats --timezone UTC && fails 3 none stats --site none &&
        fails 1 'in the future' hit --visitor v --at 2067-01-01T00:00:00Z &&
        fails 1 'older than the days that are kept' hit --visitor v --at 2015-01-01T00:00:00Z
}
check "what is refused of a folder is refused here" conflict

baseline() {
    shows 'baseline: 5 visitors, 5 visits, 5 hits' baseline 5 &&
        shows 'baseline: 5 visitors, 5 visits, 5 hits' baseline 5 --store "$files" && same_site "$files" "$redis"
}
check "a baseline is added to all time" baseline

checks() {          # a server without persistence is worth a warning
    run check
    [[ $code == [01] && -z $err && $out == *"$zone"* ]] || return
    run check --json
    [[ $code == [01] && -z $err && $out == '{"site":"portal","level":'*']}' ]] || return
    ! command -v python3 >/dev/null || python3 -m json.tool <<<"$out" >/dev/null
}
check "check says how a site is" checks

erases() {
    says counted hit --visitor erased --at "$at" && says forgotten erase --visitor erased &&
        says 'not known' erase --visitor erased && says counted hit --store "$files" --visitor erased --at "$at" &&
        says forgotten erase --visitor erased --store "$files" && same_site "$files" "$redis"
}
check "erase forgets one visitor, and counts stay" erases

prefixes() {
    COUNTER_PREFIX=other says '' sites && COUNTER_PREFIX=other hit "$redis" z "$at" &&
        COUNTER_PREFIX=other says portal sites && same_site "$files" "$redis" &&
        COUNTER_PREFIX=other shows 'deleted site portal: 1 hits' reset --yes && same_site "$files" "$redis"
}
check "another prefix is another store in the same server" prefixes

# ---- copy and key ---------------------------------------------------------------------------------------------------

database="$redis?db=3"

round_trip() {
    says "copied site portal to $database: 13 hits ever (before: 0), 0 visitors today (before: 0)" \
        copy --from "$files" --to "$database" && same_site "$files" "$database" &&
        says "copied site portal to file:$work/back: 13 hits ever (before: 0), 0 visitors today (before: 0)" \
            copy --from "$database" --to "file:$work/back" && same_site "$files" "file:$work/back"
}
check "a site goes from a folder to the server and back, and is the same" round_trip

copies_again() {
    says "copied site portal to $database: 13 hits ever (before: 13), 0 visitors today (before: 0)" \
        copy --from "file:$work/back" --to "$database" && same_site "$files" "$database"
}
check "a second copy adds nothing" copies_again

copies_inside() {
    shows 'copied site portal to ' copy --from "$database" --to "$redis?db=4" && same_site "$files" "$redis?db=4" &&
        fails 2 'are the same store' copy --from "$database" --to "$database" &&
        fails 2 'are the same store' copy --to "$redis"
}
check "a site is copied from one database to another" copies_inside

goes_on() {         # the key went along, so that a visitor is the same in the target
    local store
    for store in "$files" "$database" "file:$work/back"; do
        says counted hit --store "$store" --visitor c --at "$at" || return
    done
    same_site "$files" "$database" && same_site "$files" "file:$work/back"
}
check "visitors are the same ones after a copy" goes_on

other_key() {
    fails 1 '' copy --from "$files" --to "$redis" && fails 1 '' key --from "$files" && same_site "$files" "$database"
}
check "a store with another key is not mixed with ours" other_key

keys() {
    says "the key was taken over" key --from "$redis" --to "file:$work/shared" &&
        says "both have the same key already" key --from "$redis" --to "file:$work/shared" &&
        says "the key was taken over" key --from "file:$work/shared" --to "$redis?db=5" &&
        says "both have the same key already" key --from "$redis?db=5" &&
        hit "file:$work/shared" c "$at" && shows 'copied site portal' copy --from "file:$work/shared"
}
check "the key is taken over from the server, and by it" keys

resets() {
    fails 2 'with --yes it does' reset && shows 'deleted site portal' reset --yes && says '' sites &&
        fails 3 portal stats --site portal && same_site "$files" "$database"
}
check "reset deletes a site, and no other" resets

# ---- The password gets out nowhere ----------------------------------------------------------------------------------

shown() {
    local url=redis+unix://user:s3cret@$work/socket
    shows "redis+unix://user:***@$work/socket " config --store "$url" && shows '(set)' config &&
        fails 2 "redis+unix://user:***@$work/socket" copy --from "$url" --to "$url" &&
        fails 1 '' stats --site portal --store "$url" &&
        fails 1 '' stats --site portal --store "redis+unix://:s3cret@$work/none" &&
        fails 2 '' stats --site portal --store "$url?database=1" && fails 2 '' sites --store "redis://:$password@h"
}
check "settings and errors show stars in its place" shown

# A server that is stopped answers nothing: the command stays and can be looked at, and ends well once it goes on.
processes() {
    local tries words=''
    kill -STOP "$server"
    "$counter" hit --site portal --visitor v --store "$with_password" >"$work/out" 2>"$work/err" &
    local process=$!
    for ((tries = 0; tries < 100; tries++)); do
        words=$(tr '\0' '\n' 2>/dev/null <"/proc/$process/cmdline")
        [[ $words != *'***'* ]] || break
        sleep 0.05
    done
    kill -CONT "$server"
    wait "$process"
    code=$? out=$(<"$work/out") err="$(<"$work/err") $words"
    [[ $code == 0 && $out == counted && $words == *"redis+unix://:***@$work/socket"* && $words != *s3cret* ]]
}
check "the list of processes shows stars, while the command goes on with the password" processes

deadline() {
    kill -STOP "$server"
    COUNTER_DEADLINE=100 fails 1 '' stats --site portal
    local result=$?
    kill -CONT "$server"
    return "$result"
}
check "a server that does not answer is given up at the deadline" deadline

quiet() {
    [[ $(wc -l <"$work/said") -gt 100 ]] && ! grep -n s3cret "$work/said" && ! grep -rqas s3cret files back
}
check "no output of this test held the password" quiet

echo "1..$n"
