#!/usr/bin/env bash
#
# The portal program, first run by hand as a CGI program, then behind the demonstration's own web server.
#
set -uo pipefail
cd "${TOP:?}" || exit 1
: "${BUILD:?}"
export PATH="$PATH:/usr/sbin:/sbin"
work=$(mktemp -d) || exit 1
demo=''
trap '[[ -z $demo ]] || kill "$demo" 2>/dev/null; wait; rm -rf "$work"' EXIT

echo 1..29
n=0
check() {
    n=$((n + 1))
    local sentence=$1
    shift
    if "$@"; then echo "ok $n - $sentence"; else echo "not ok $n - $sentence"; fi
}
skip() {
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

# ---- By hand --------------------------------------------------------------------------------------------------------

# cgi NAME=value...: one request from 192.0.2.1 into $head, $body (without its last line end) and $log.
cgi() {
    env -i PATH="$PATH" ${ASAN_OPTIONS+"ASAN_OPTIONS=$ASAN_OPTIONS"} COUNTER_CONFIG="$work/counter.conf" \
        COUNTER_STORE="file:$work/store" REQUEST_METHOD=GET REMOTE_ADDR=192.0.2.1 HTTP_USER_AGENT=desktop "$@" \
        "$BUILD/portal.cgi" >"$work/out" 2>"$work/log" </dev/null
    status=$?
    head=$(sed '/^\r$/,$d' "$work/out" | tr -d '\r')
    body=$(sed '1,/^\r$/d' "$work/out")
    log=$(<"$work/log")
}

settings() {
    printf '%s\n' 'site = portal' 'timezone = Asia/Ho_Chi_Minh' "$@" >"$work/counter.conf"
}

# What a reader sees of the box: "6 / 617 / 12 766 / 1257021".
numbers() {
    grep -o '<b class="counter-value">[^<]*' <<<"${1-$body}" | sed 's/.*>//; $!s|$| /|' | paste -sd' '
}

hits() {
    cgi PATH_INFO=/box.json
    sed -n 's/.*"today":{"visitors":[0-9]*,"visits":[0-9]*,"hits":\([0-9]*\).*/\1/p' <<<"$body"
}

has() {
    grep -qF -- "$2" <<<"$1" || { echo "# no \"$2\" in: $1" && false; }
}

lacks() {
    ! grep -qiF -- "$2" <<<"$1" || { echo "# \"$2\" in: $1" && false; }
}

same() {
    [[ $1 == "$2" ]] || { echo "# \"$1\", not \"$2\"" && false; }
}

settings 'portal.rows = online; today; this_week; all_time'
mkdir -m 700 "$work/store"

nobody_yet() {
    cgi PATH_INFO=/box.json && same "$log" '' && has "$body" '"online":0,"today":{"visitors":0,'
}
check "a site without hits shows zeros, and showing counts nothing" nobody_yet

first() {
    cgi PATH_INFO=/box.html && same "$(numbers)" '1 / 1 / 1 / 1' && same "$log" '' && same "$status" 0 &&
        same "${body%%$'\n'*}" '<section class="counter" lang="vi" aria-label="Thống kê truy cập">'
}
check "the first reader of box.html is in the numbers that come with it" first

headers() {
    local length=${head#*Content-Length: }
    length=${length%%$'\n'*}
    has "$head" 'Content-Type: text/html; charset=utf-8' && has "$head" 'Cache-Control: no-store' &&
        has "$head" 'X-Content-Type-Options: nosniff' && has "$head" "Content-Security-Policy: default-src 'none'" &&
        has "$head" 'Referrer-Policy: ' && lacks "$head" 'Set-Cookie' &&
        same "$length" "$(sed '1,/^\r$/d' "$work/out" | wc -c)"
}
check "the answer has its length, type and safety headers, and no cookie" headers

second() {
    cgi PATH_INFO=/box.html HTTP_USER_AGENT=phone && same "$(numbers)" '2 / 2 / 2 / 2' &&
        cgi PATH_INFO=/box.html && same "$(numbers)" '2 / 2 / 2 / 2'
}
check "another browser at the same address is another visitor, the first one again is not" second

json() {
    cgi PATH_INFO=/box.json && has "$head" 'Content-Type: application/json' && has "$head" 'max-age=5' &&
        has "$body" '{"online":2,"today":{"visitors":2,"visits":2,"hits":3,"error":0},' && same "$(hits)" 3
}
check "box.json shows and does not count" json

not_counted() {
    local before name
    before=$(hits)
    for name in "$@"; do
        cgi PATH_INFO=/ "$name"
        [[ $name == REQUEST_METHOD=* ]] || same "$(numbers)" '2 / 2 / 2 / 2' || return
        same "$(hits)" "$before" || return
    done
}
check "HEAD, OPTIONS and POST are not counted" \
    not_counted REQUEST_METHOD=HEAD REQUEST_METHOD=OPTIONS REQUEST_METHOD=POST REQUEST_METHOD=get
check "pages fetched in advance are answered and not counted" \
    not_counted HTTP_SEC_PURPOSE=prefetch HTTP_PURPOSE=prefetch HTTP_X_MOZ=prefetch

methods() {
    cgi PATH_INFO=/ REQUEST_METHOD=HEAD && has "$head" 'Status: 200 OK' && same "$body" '' &&
        has "$head" 'Content-Length: ' && cgi PATH_INFO=/ REQUEST_METHOD=POST && has "$head" 'Status: 405' &&
        has "$head" 'Allow: GET, HEAD' && cgi PATH_INFO=/ REQUEST_METHOD=OPTIONS && has "$head" 'Allow: GET, HEAD'
}
check "HEAD gets the header alone, other methods a list of the allowed ones" methods

unknown() {
    local path
    for path in /nothing /box /en /boxXhtml "/$(printf 'x%.0s' {1..9000})" '/<script>'; do
        cgi PATH_INFO="$path" && has "$head" 'Status: 404' && lacks "$body$head$log" '<script' || return
    done
}
check "unknown and endless paths are not found" unknown

echoes_nothing() {
    local evil=$'<script>alert(1)</script>"\'\r\nSet-Cookie: x=y'
    settings 'portal.pages = /nowhere'
    cgi PATH_INFO=/ HTTP_USER_AGENT="$evil" HTTP_X_FORWARDED_FOR="$evil" QUERY_STRING="$evil" \
        HTTP_HOST="$evil" HTTP_REFERER="$evil" REQUEST_URI="$evil" HTTP_PROXY="$evil"
    has "$head" 'Status: 200' && lacks "$head$body$log" '<script' && lacks "$head" 'set-cookie' &&
        same "$(wc -l <"$work/log")" 1
}
check "nothing of a request comes back in header, page or log" echoes_nothing

sample_rows() {
    settings 'portal.rows = all_time visits "Lượt & <khách>" space; online'
    cgi PATH_INFO=/box.html && has "$body" 'Lượt &amp; &lt;khách&gt;:</span>' && has "$body" 'title="lượt truy cập"' &&
        settings 'portal.rows = today' 'portal.rows.en = today "Seen today"' && cgi PATH_INFO=/en/box.html &&
        has "$body" 'Seen today:' && cgi PATH_INFO=/vi/box.html && has "$body" 'Hôm nay:'
}
check "counter.conf decides on rows, units and labels, by language" sample_rows

# ---- The page -------------------------------------------------------------------------------------------------------

templates() {
    mkdir -p "$work/pages"
    printf 'before <!--#box--> behind' >"$work/pages/page.vi.html"
    printf 'first <!--#box--> last' >"$work/pages/page.en.html"
    settings 'portal.pages = pages' 'portal.language = en'
    cgi PATH_INFO=/vi/ && same "${body%%<*}|${body##*>}" "before |"$'\n'" behind" &&
        has "$head" 'Content-Language: vi' && cgi && has "$body" 'first <section class="counter" lang="en"'
}
check "the page is its template with the box in it, found beside counter.conf" templates

policy() {
    has "$head" "style-src 'self'" && settings "portal.policy = default-src *" && cgi && has "$head" 'Policy: default-src *'
}
check "the page's content security policy can be set" policy

plain_page() {
    settings 'portal.pages = missing' && cgi && has "$log" '/missing/page.vi.html: No such file' &&
        same "$(wc -l <"$work/log")" 1 && has "$head" '200' && [[ -n $(numbers) ]] && has "$body" '<!doctype html>' &&
        settings 'portal.pages = pages' && head -c 262145 /dev/zero >"$work/pages/page.vi.html" && cgi &&
        has "$log" 'larger than 256 KiB' && [[ -n $(numbers) ]] && rm "$work/pages/page.vi.html" &&
        mkfifo "$work/pages/page.vi.html" && cgi && has "$log" 'not a regular file' && [[ -n $(numbers) ]]
}
check "without a readable template there is a plain page with the box" plain_page

wrong_keys() {
    settings 'portal.rows = tody' 'portal.colour = red' 'portal.language = fr'
    cgi PATH_INFO=/box.html && has "$log" 'counter.conf:3: portal.rows = tody: rows: row 1, "tody"' &&
        has "$log" 'portal.colour = red: no such key' && has "$log" 'portal.language = fr: not vi or en' && [[ -n $(numbers) ]]
}
check "wrong keys are named in the log by file and line, and the box comes" wrong_keys

# ---- When the store fails -------------------------------------------------------------------------------------------

dashes() {
    same "$(numbers)" '– / – / – / –' && has "$head" 'Status: 200' && same "$status" 0 &&
        [[ -n $log ]] && same "$(wc -l <"$work/log")" 1
}
store_away() {
    settings && echo >"$work/file" && cgi PATH_INFO=/ COUNTER_STORE="file:$work/file/store" && dashes
}
check "without its store the page comes with dashes, and the log has the reason once" store_away

settings_broken() {
    printf 'sote = memory:\n' >"$work/counter.conf" && cgi PATH_INFO=/ && dashes && has "$log" 'sote'
    local result=$?
    settings
    return $result
}
check "with a broken counter.conf likewise" settings_broken

store_cut() {
    cgi && [[ -n $(numbers) ]] && truncate -s 5000 "$work"/store/*.counter && cgi PATH_INFO=/ && dashes
    local result=$?
    rm -rf "$work/store" && mkdir -m 700 "$work/store"
    return $result
}
check "with a store file that was cut likewise" store_cut

no_address() {
    cgi PATH_INFO=/ REMOTE_ADDR= && dashes
}
check "with no client address likewise" no_address

# ---- Who is counted -------------------------------------------------------------------------------------------------

proxies() {
    cgi PATH_INFO=/box.html HTTP_X_FORWARDED_FOR=203.0.113.1 &&
        cgi PATH_INFO=/box.html HTTP_X_FORWARDED_FOR=203.0.113.2 && same "$(numbers)" '1 / 1 / 1 / 1' &&
        cgi PATH_INFO=/box.html COUNTER_TRUSTED_PROXIES=192.0.2.1 HTTP_X_FORWARDED_FOR=203.0.113.1 &&
        cgi PATH_INFO=/box.html COUNTER_TRUSTED_PROXIES=192.0.2.1 HTTP_X_FORWARDED_FOR='6.6.6.6, 203.0.113.2' &&
        cgi PATH_INFO=/box.html COUNTER_TRUSTED_PROXIES=192.0.2.1 HTTP_FORWARDED='for=203.0.113.2' &&
        same "$(numbers)" '3 / 3 / 3 / 3'
}
check "a forwarded address counts if it comes from a trusted proxy, and only then" proxies

signals() {
    local before
    before=$(hits)
    cgi HTTP_SEC_GPC=1 COUNTER_PRIVACY_SIGNAL=skip && same "$(hits)" "$before" &&
        cgi HTTP_DNT=1 COUNTER_PRIVACY_SIGNAL=skip && same "$(hits)" "$before" &&
        cgi HTTP_DNT=0 COUNTER_PRIVACY_SIGNAL=skip && same "$(hits)" $((before + 1))
}
check "Sec-GPC and DNT are passed on" signals

by_hand() {
    ! env -i "$BUILD/portal.cgi" >"$work/out" 2>&1 && has "$(<"$work/out")" 'CGI program'
}
check "run from a terminal the program says what it is" by_hand

# ---- The demonstration ----------------------------------------------------------------------------------------------

if ! command -v lighttpd >/dev/null || ! command -v curl >/dev/null; then
    while ((n < 29)); do skip "the demonstration" "needs lighttpd and curl"; done
    exit 0
fi

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}

port=$(free_port)
export TMPDIR=$work/run
mkdir -p "$TMPDIR"

start_demo() {
    : >"$work/demo.out"
    setsid env --default-signal=INT PORT="$port" STORE="$work/demo" examples/portal/demo.sh >"$work/demo.out" 2>&1 &
    demo=$!
    for _ in {1..100}; do
        ! grep -q 'http://' "$work/demo.out" || return 0
        kill -0 "$demo" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/demo.out"
    return 1
}

# Processes of the demonstration's session: setsid made its process number the session's.
left_behind() {
    local stat rest=()
    for stat in /proc/[0-9]*/stat; do
        read -r rest 2>/dev/null <"$stat" || continue
        read -ra rest <<<"${rest##*) }"     # state, parent, group, session
        [[ ${rest[3]-} != "$1" ]] || return 0
    done
    return 1
}

stop_demo() {
    local session=$demo
    kill -"${1:-TERM}" "$demo"
    wait "$demo"
    status=$?
    demo=''
    for _ in {1..40}; do
        left_behind "$session" || return 0
        sleep 0.05
    done
    echo "# a process is left"
    return 1
}

get() {
    curl -sS --max-time 10 -A "$1" "http://127.0.0.1:$port$2"
}

demo_shows() {
    start_demo && same "$(numbers "$(get desktop /)")" '1 / 1 / 1 / 1' && same "$(numbers "$(get phone /en/)")" '2 / 2 / 2 / 2'
}
check "the demonstration's page holds the box as served, in both languages" demo_shows

parts() {
    local page part
    page=$(get desktop /)
    for part in masthead 'class="card story"' 'class="card news"' 'class="counter"' 'class="card apps"' 'class="card map"' \
        'Chịu trách nhiệm' 'Trụ sở' 'Điện thoại' 'Fax' 'mailto:'; do
        has "$page" "$part" || return
    done
    lacks "$page" '<script' && lacks "$page" '<!--#box-->'
}
check "the page has all parts of a portal and no script" parts

addresses() {
    local page path
    page=$(get desktop /)$(get desktop /en/)
    lacks "$(grep -oE '(href|src)="[^"]*"' <<<"$page")" 'http://' || return
    for path in $(grep -oE '(href|src)="/[^"]*"' <<<"$page" | cut -d'"' -f2 | sort -u) /portal/box.html /portal/box.json; do
        same "$(curl -sS -A desktop -o "$work/part" -w '%{http_code}' "http://127.0.0.1:$port$path")" 200 || return
        if [[ ! -s $work/part || $path =~ count|hit|stat|track|visit|analytics|banner|/ad ]]; then
            echo "# $path"
            return 1
        fi
    done
}
check "every address on the page answers, and none holds a word that block lists look for" addresses

port_in_use() {
    PORT=$port STORE=$work/other examples/portal/demo.sh >"$work/other.out" 2>&1
    same $? 1 && has "$(<"$work/other.out")" "127.0.0.1:$port in use" && lacks "$(<"$work/other.out")" 'portal is at'
}
check "a port in use is a clear error" port_in_use

ends() {
    stop_demo TERM && same "$status" 0 && same "$(ls "$TMPDIR")" ''
}
check "SIGTERM ends it, with no process and no folder left" ends

restarts() {
    start_demo && has "$(get desktop /portal/box.json)" '"online":2,"today":{"visitors":2,'
}
check "the counts survive a restart" restarts
check "Ctrl-C ends it likewise" stop_demo INT
