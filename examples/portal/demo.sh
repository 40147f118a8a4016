#!/usr/bin/env bash
#
# demo.sh: the portal page on a private web server, until Ctrl-C or SIGTERM.
#
# Environment: BUILD  where portal.cgi was built (build)
#              PORT   on 127.0.0.1, 8080 unless set
#              STORE  where the counts are kept: a folder, "file:FOLDER" or a Redis, "redis+unix:///run/redis/socket".
#                     The default outlives `make clean`: $XDG_STATE_HOME/counter-demo, that is
#                     ~/.local/state/counter-demo
#              COUNTER_STORE_PASSWORD, COUNTER_STORE_PASSWORD_FILE, COUNTER_STORE_CA
#                     as in counter.conf(5): in STORE a password would be seen in the process list
#
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

fail() {
    echo "demo: $*" >&2
    exit 1
}

DEMO_SOURCE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
build=${BUILD:-$DEMO_SOURCE/../../build}
DEMO_PROGRAM=$(cd -- "$build" 2>/dev/null && pwd)/portal.cgi
DEMO_PORT=${PORT:-8080}
store=${STORE:-${XDG_STATE_HOME:-$HOME/.local/state}/counter-demo}
[[ $store == *:* ]] || store=file:$store

[[ -x $DEMO_PROGRAM ]] || fail "there is no $DEMO_PROGRAM: run make first"
[[ $DEMO_PORT =~ ^[1-9][0-9]{0,4}$ && $DEMO_PORT -le 65535 ]] || fail "PORT=$DEMO_PORT: not a number from 1 to 65535"
command -v lighttpd >/dev/null || fail "needs the web server lighttpd: apt-get install lighttpd"
[[ $store != file:* ]] || (umask 077 && mkdir -p -- "${store#file:}") || fail "STORE=$store: cannot make the folder"

COUNTER_CONFIG=$DEMO_SOURCE/counter.conf COUNTER_STORE=$store
COUNTER_STORE_PASSWORD=${COUNTER_STORE_PASSWORD-}
COUNTER_STORE_PASSWORD_FILE=${COUNTER_STORE_PASSWORD_FILE:+$(realpath -- "$COUNTER_STORE_PASSWORD_FILE")}
COUNTER_STORE_CA=${COUNTER_STORE_CA:+$(realpath -- "$COUNTER_STORE_CA")}
export COUNTER_CONFIG COUNTER_STORE COUNTER_STORE_PASSWORD COUNTER_STORE_PASSWORD_FILE COUNTER_STORE_CA
# The command shows a URL without its password.
settings=$("${DEMO_PROGRAM%/*}/counter" config) || fail "these settings cannot be used"
shown=$(sed -n 's/^store  *\(.*[^ ]\)  *(COUNTER_STORE)$/\1/p' <<<"$settings")

DEMO_RUN=$(mktemp -d "${TMPDIR:-/tmp}/demo.XXXXXX")
mkdir "$DEMO_RUN/empty"
export DEMO_SOURCE DEMO_PROGRAM DEMO_PORT DEMO_RUN

server=''
# shellcheck disable=SC2317  # called by the traps
stop() {
    trap - INT TERM HUP EXIT
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf -- "$DEMO_RUN"
}
trap stop EXIT
trap 'stop; exit 0' INT TERM HUP

# The server's log is our standard error: what the program has to say shows up here.
lighttpd -D -f "$DEMO_SOURCE/lighttpd.conf" &
server=$!

# It writes its number down once it listens.
for ((tries = 0; tries < 100; tries++)); do
    [[ ! -s $DEMO_RUN/pid ]] || break
    if ! kill -0 "$server" 2>/dev/null; then
        wait "$server" || true
        server=''
        fail "the web server did not start. Is 127.0.0.1:$DEMO_PORT in use? Another one: make demo PORT=8081"
    fi
    sleep 0.05
done
[[ -s $DEMO_RUN/pid ]] || fail "the web server did not start within 5 seconds"

echo "The portal is at  http://127.0.0.1:$DEMO_PORT/"
echo "Its counts are in ${shown#file:} and survive a restart. Ctrl-C ends it."
wait "$server" || true
server=''
fail "the web server ended"
