#!/usr/bin/env bash
#
# The demonstration in a real browser: a desktop and a phone are two visitors, and a restart forgets neither.
# Screenshots of the page go to $BUILD/screenshots.
#
set -uo pipefail
TOP=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$TOP" || exit 1
export BUILD=${BUILD:-$TOP/build}
export PATH="$PATH:/usr/sbin:/sbin"

for program in chromium lighttpd; do
    command -v "$program" >/dev/null || { echo "1..0 # SKIP needs $program" && exit 0; }
done
work=$(mktemp -d) || exit 1
demo=''
trap '[[ -z $demo ]] || kill "$demo" 2>/dev/null; wait; rm -rf "$work"' EXIT

echo 1..6
n=0
check() {
    n=$((n + 1))
    local sentence=$1
    shift
    if "$@"; then echo "ok $n - $sentence"; else echo "not ok $n - $sentence"; fi
}

desktop='Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
phone='Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36'
quiet=(--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update
    --disable-sync)

# The page as the browser has it after loading, in a profile of its own.
browse() {
    timeout 60 chromium "${quiet[@]}" --user-data-dir="$(mktemp -d "$work/profile.XXXXXX")" --user-agent="$1" \
        --dump-dom "$url" 2>/dev/null
}

# shows TEXT ONLINE TODAY: the box's first two numbers.
shows() {
    local numbers
    numbers=$(grep -o '<b class="counter-value">[^<]*' <<<"$1" | sed 's/.*>//' | head -n 2 | paste -sd' ')
    [[ $numbers == "$2 $3" ]] || { echo "# the box says \"$numbers\", not \"$2 $3\"" && false; }
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}

start() {
    : >"$work/demo.out"
    setsid env PORT="$port" STORE="$work/store" examples/portal/demo.sh >"$work/demo.out" 2>&1 &
    demo=$!
    for _ in {1..100}; do
        ! grep -q 'http://' "$work/demo.out" || return 0
        kill -0 "$demo" 2>/dev/null || break
        sleep 0.05
    done
    sed 's/^/# /' "$work/demo.out"
    return 1
}

stop() {
    local session=$demo
    kill "$demo"
    wait "$demo"
    demo=''
    for _ in {1..40}; do
        [[ -n $(processes_of "$session") ]] || return 0
        sleep 0.05
    done
    echo "# left: $(processes_of "$session" | paste -sd' ')"
    return 1
}

# setsid made the demonstration's process number that of a session.
processes_of() {
    local stat fields
    for stat in /proc/[0-9]*/stat; do
        read -r fields 2>/dev/null <"$stat" || continue
        read -ra fields <<<"${fields##*) }"     # state, parent, group, session
        [[ ${fields[3]-} != "$1" ]] || echo "${stat//[^0-9]/}"
    done
}

port=$(free_port)
url=http://127.0.0.1:$port/
start || { echo "Bail out! the demonstration did not start" && exit 1; }

page=$(browse "$desktop")
check "a desktop browser is the first visitor" shows "$page" 1 1
page=$(browse "$phone")
check "a phone is the second: 2 online, 2 today" shows "$page" 2 2
check "stopping leaves no process" stop
start
page=$(browse "$desktop")
check "after a restart they still are 2 and 2" shows "$page" 2 2

screenshots() {
    mkdir -p "$BUILD/screenshots" && node tests/browser/screenshots.mjs "$url" "$BUILD/screenshots" "$desktop" "$phone"
}
if command -v node >/dev/null; then
    check "desktop and phone, light and dark, show the page without scrolling sideways" screenshots
else
    n=$((n + 1))
    echo "ok $n - screenshots # SKIP needs node"
fi
check "stopping again leaves no process" stop
