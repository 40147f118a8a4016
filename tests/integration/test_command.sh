#!/usr/bin/env bash
#
# The command `counter`: every command, its exit codes, what it prints and what it says is wrong.
#
# Hits are of November 2020, so that every number is known: windows are those of --at, not of the day of the test.
#
set -uo pipefail
: "${BUILD:?}"
counter=$BUILD/counter
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

for variable in $(compgen -e COUNTER_ || true); do
    unset "$variable"
done
export COUNTER_CONFIG='' COUNTER_STORE=file:$work/store HOME=$work XDG_STATE_HOME=$work/state LC_ALL=C
zone=Asia/Ho_Chi_Minh
at=2020-11-23T10:15:00+07:00

n=0
check() {           # sentence, command...
    n=$((n + 1))
    local sentence=$1
    shift
    if "$@"; then
        echo "ok $n - $sentence"
    else
        echo "not ok $n - $sentence"
        printf '%s\n' "code ${code-}" "out: ${out-}" "err: ${err-}" | sed 's/^/# /'
    fi
}
skip() {
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

run() {             # sets out, err, code
    out=$("$counter" "$@" 2>"$work/err")
    code=$?
    err=$(<"$work/err")
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
row() {             # the line of the last output that begins with $1, blanks made single
    sed -n "s/  */ /g; s/^$1 //p" <<<"$out"
}

# ---- Help -----------------------------------------------------------------------------------------------------------

all_commands=(hit stats series baseline explain check copy key erase reset config sites help)

helps() {
    local command
    shows "usage: counter COMMAND" help && [[ -n $(row ' hit') && -n $(row ' sites') ]] || return
    local overview=$out
    says "$overview" --help && says "$overview" -h || return
    for command in "${all_commands[@]}"; do
        [[ $overview == *$'\n'"  $command "* ]] && shows "usage: counter $command" help "$command" || return
        local text=$out
        says "$text" "$command" --help && says "$text" -h "$command" || return
    done
    shows "--accept-clock" help check && shows "'NAME: VALUE'" help explain
}
check "help lists the commands, and describes each" helps

version() {
    local number
    number=$(awk '$2 ~ /^COUNTER_VERSION_(MAJOR|MINOR|PATCH)$/ { print $3 }' "${TOP:?}/include/counter.h" | paste -sd .)
    says "counter $number" --version && says "counter $number" hit --version
}
check "--version says the header's version" version

wrong_words() {
    fails 2 'no command was given' && fails 2 'unknown command "frobnicate"; "counter help"' frobnicate &&
        fails 2 'unknown command "x"' help x && fails 2 'one word too many: "z"' help hit z &&
        fails 2 'what is "5"?' stats 5 && fails 2 'unknown command ""' ''
}
check "an unknown command or word is named" wrong_words

wrong_options() {
    fails 2 'unknown option --frob; "counter help' stats --frob &&
        fails 2 'unknown option --frob;' --frob=1 stats &&
        fails 2 'unknown option --sit;' stats --sit portal &&
        fails 2 'unknown option -x' stats -x && fails 2 'unknown option --;' stats --=x &&
        fails 2 '--site needs a value: --site SITE' stats --site &&
        fails 2 '--site: an empty value' stats --site= && fails 2 '--store: an empty value' --store '' sites &&
        fails 2 '--json takes no value, so what is "1"?' stats --json=1
}
check "an unknown, valueless or empty option is named" wrong_options

foreign_options() {
    fails 2 'stats does not know --csv; "counter help stats"' stats --csv &&
        fails 2 'hit does not know --yes' hit --site s --visitor v --yes &&
        fails 2 'sites does not know --site' --site portal sites &&
        fails 2 'explain does not know --visitor' explain --visitor v
}
check "an option of another command is refused" foreign_options

quiet_errors() {    # escape, C1 control as UTF-8, a byte that is no UTF-8, and letters that are
    fails 2 'unknown command "\x1b[31m\x0a\xc2\x9b\xffHôm 😀"' $'\e[31m\n\xc2\x9b\xffHôm 😀' &&
        fails 2 '"\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80\xe2"' $'\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80\xe2'
}
check "control characters and broken UTF-8 reach no terminal" quiet_errors

# ---- hit ------------------------------------------------------------------------------------------------------------

empty_store() {
    says "" sites && fails 3 'the store has no site yet' stats && fails 3 'no site' series && fails 3 'no site' check &&
        fails 3 'no site' baseline && fails 3 'no site' reset --yes && fails 3 'no site' erase --visitor v &&
        fails 2 'name it with --site' hit --visitor v && fails 2 'name it with --site' baseline 5 &&
        [[ ! -e $work/store ]]
}
check "a store that does not exist has no sites, and asking does not make it" empty_store

hit() {             # visitor, time
    says counted hit --visitor "$1" --at "$2"
}
counts() {
    says counted --timezone "$zone" hit --site portal --visitor a --at 2020-10-25T12:00:00+07:00 && says portal sites &&
        hit b 2020-11-20T07:00:00+07:00 && hit b 2020-11-20T08:00:00+07:00 && hit a 2020-11-20T09:00:00+07:00 &&
        hit a 2020-11-22T20:00:00+07:00 && hit a 2020-11-23T02:00:00Z &&
        says counted hit --address 203.0.113.7 --agent 'Mozilla/5.0' --at 1606101240 &&
        says counted hit --address=203.0.113.7 --agent='Mozilla/5.0' --at="$at"
}
check "hits are counted, and the only site needs no name" counts

hit_needs() {
    fails 2 'hit needs --address, --visitor or both' hit --site portal &&
        fails 2 'hit needs --address' hit --site portal --agent x &&
        fails 2 '--visitor: an empty value' hit --site portal --visitor '' &&
        fails 2 '"300.0.0.1"' hit --site portal --address 300.0.0.1 &&
        fails 2 '"a/b"' hit --site a/b --visitor v && fails 2 '"..x"' hit --site ..x --visitor v &&
        says portal sites
}
check "a hit by nobody, from nowhere or to an impossible site is refused" hit_needs

own_address() {
    COUNTER_EXCLUDE="10.0.0.0/8 2001:db8::/32" says "not counted: own address" hit --address 10.1.2.3 --at "$at" &&
        COUNTER_EXCLUDE="10.0.0.0/8 2001:db8::/32" says "not counted: own address" hit --address 2001:db8::1 --at "$at"
}
check "a hit from an excluded address is not counted, which is no failure" own_address

hit_times() {
    fails 1 'older than the days that are kept' hit --visitor v --at 2015-01-01T00:00:00Z &&
        fails 1 'in the future' hit --visitor v --at 2067-01-01T00:00:00Z &&
        fails 1 'only 2000-01-02 to 2067-12-30' hit --site other --visitor v --at 1999-12-31T00:00:00Z
}
check "a hit of an impossible time is refused" hit_times
"$counter" reset --site other --yes >/dev/null 2>&1

# ---- stats ----------------------------------------------------------------------------------------------------------

json='{"site":"portal","at":"2020-11-23T10:15:00+07:00","timezone":"Asia/Ho_Chi_Minh","week_start":"monday",'
json+='"since":"2020-10-25","online":1,"late":0,'
json+='"today":{"visitors":2,"visits":2,"hits":3,"error":0},'
json+='"yesterday":{"visitors":1,"visits":1,"hits":1,"error":0},'
json+='"this_week":{"visitors":2,"visits":2,"hits":3,"error":0},'
json+='"last_week":{"visitors":2,"visits":4,"hits":4,"error":0},'
json+='"this_month":{"visitors":3,"visits":6,"hits":7,"error":0},'
json+='"last_month":{"visitors":1,"visits":1,"hits":1,"error":0},'
json+='"this_year":{"visitors":3,"visits":7,"hits":8,"error":0},'
json+='"last_year":{"visitors":0,"visits":0,"hits":0,"error":0},'
json+='"all_time":{"visitors":3,"visits":7,"hits":8,"error":0},'
json+='"baseline":{"visitors":0,"visits":0,"hits":0}}'

stats_json() {
    says "$json" stats --site portal --at "$at" --json && [[ $(grep -c . <<<"$out") == 1 ]] || return
    ! command -v python3 >/dev/null || python3 -m json.tool <<<"$out" >/dev/null
}
check "stats --json prints every window, to the letter" stats_json

anywhere() {
    says "$json" --json --at "$at" stats --site portal && says "$json" --site=portal stats --json --at="$at" &&
        says "$json" stats --at 5 --json --at "$at" --store "$COUNTER_STORE" &&
        says "$json" --json --at "$at" -- stats &&
        COUNTER_STORE=file:/nonexistent/x says "$json" stats --json --at "$at" --store="file:$work/store"
}
check "options may stand before or behind the command, and the last one counts" anywhere

stats_table() {
    run stats --at "$at"
    [[ $code == 0 && ${out%%$'\n'*} == "portal  $at  $zone, weeks from monday" ]] &&
        [[ $(row online) == 1 && $(row today) == "2 2 3" && $(row yesterday) == "1 1 1" ]] &&
        [[ $(row 'last week') == "2 4 4" && $(row 'all time') == "3 7 8" && $(row since) == 2020-10-25 ]] &&
        [[ $out != *late* && $out != *"older counter"* && $(grep -c ' $' <<<"$out") == 0 ]]
}
check "stats prints a table for people" stats_table

aligned() {         # in every row the numbers of a column end in the same place
    run stats --at "$at"
    local ends
    ends=$(sed -n '3p; /^today/p; /^last year/p; /^all time/p' <<<"$out" | awk '{ print length($0) }' | uniq -c)
    [[ $ends == *4*34 ]]
}
check "the table's columns are aligned" aligned

moments() {         # the moment that stats says it is, for each way to write it
    local text
    for text in 2020-11-23T03:15:30Z 2020-11-23t03:15:30z '2020-11-23 03:15:30Z' 2020-11-23T03:15:30.999Z \
        2020-11-22T22:15:30-05:00 2020-11-23T03:15:30-00:00 2020-11-24T03:14:30.0+23:59 1606101330 001606101330; do
        shows '"at":"2020-11-23T10:15:30+07:00"' stats --json --at "$text" || return
    done
    shows '"at":"2020-12-01T07:00:00+07:00"' stats --json --at 2020-11-30T23:59:60Z &&
        shows '"at":"2020-12-01T07:00:00+07:00"' stats --json --at 2020-12-01T06:59:60+07:00 &&
        shows '"at":"2024-02-29T07:00:00+07:00"' stats --json --at 2024-02-29T00:00:00Z
}
check "a moment may be written in any form of RFC 3339, or in seconds" moments

no_moments() {
    local text
    for text in now 2020-11-23 2020-11-23T10:15 2020-11-23T10:15:00 2020-11-23T10:15:00+07 2020-11-23T10:15:00+0700 \
        2020-11-23T10:15:00+7:00 2020-11-23T10:15:00+07:60 2020-11-23T10:15:00+24:00 2020-13-01T00:00:00Z \
        2020-00-01T00:00:00Z 2020-11-31T00:00:00Z 2021-02-29T00:00:00Z 2100-02-29T00:00:00Z 2020-11-00T00:00:00Z \
        2020-11-23T24:00:00Z 2020-11-23T10:60:00Z 2020-11-23T10:15:61Z 2020-11-23T10:15:60Z 2020-11-30T23:59:60+07:00 \
        2020-11-23T10:15:00.Z 2020-11-23T10:15:00,5Z 2020-11-23T10:15:00Zx 2020-11-23x10:15:00Z 20-11-23T10:15:00Z \
        12020-11-23T10:15:00Z 2020-1-23T10:15:00Z +2020-11-23T10:15:00Z 1970-01-01T00:00:00Z 1969-12-31T23:59:59Z \
        0000-01-01T00:00:00Z 0 -5 +5 1e9 0x5f 1606101330.5 ' 1606101330' 9999999999999999999999 253402300800; do
        fails 2 "--at \"$text\": neither RFC 3339" stats --at "$text" || return
    done
    fails 2 '--at: an empty value' stats --at '' && fails 2 '--at "2020-11-23\x0a"' stats --at $'2020-11-23\n' &&
        fails 2 '--at "now"' hit --visitor v --at now
}
check "what is no moment is named, and refused" no_moments

past() {
    fails 1 "more than 60 s before the newest hit of site portal, $at" stats --at 2020-11-23T10:13:59+07:00 &&
        shows '"online":1' stats --json --at 2020-11-23T10:14:00+07:00
}
check "the past beyond a minute is not shown" past

conflict() {
    fails 1 "$zone" stats --timezone UTC && [[ $err == *UTC* ]] && fails 1 "$zone" --timezone UTC hit --visitor v &&
        [[ $err == *UTC* ]] && fails 1 monday stats --week-start sunday && [[ $err == *sunday* ]] &&
        COUNTER_TIMEZONE=Europe/Paris fails 1 Europe/Paris stats &&
        says "$json" stats --json --at "$at" --timezone "$zone" &&
        fails 2 '--week-start "tuesday": monday, sunday or saturday' stats --week-start tuesday
}
check "another time zone or week start than the site's is refused, naming both" conflict

week_starts() {
    local day
    for day in monday sunday saturday; do
        says counted hit --site "$day" --visitor v --week-start "$day" --timezone +07:00 --at "$at" &&
            shows "\"week_start\":\"$day\"" stats --site "$day" --at "$at" --json &&
            shows "weeks from $day" stats --site "$day" --at "$at" || return
    done
}
check "weeks may begin on monday, sunday or saturday" week_starts

which_site() {
    fails 2 'the store has 4 sites: say which with --site' stats && says $'monday\nportal\nsaturday\nsunday' sites &&
        COUNTER_SITE=portal says "$json" stats --json --at "$at" &&
        COUNTER_SITE=sunday says "$json" stats --json --at "$at" --site portal &&
        COUNTER_SITE=none fails 3 none stats && fails 3 none check --site none
}
check "the site comes from --site, the settings, or is the only one" which_site
for site in monday sunday saturday; do
    "$counter" reset --site "$site" --yes >/dev/null
done

# ---- series ---------------------------------------------------------------------------------------------------------

days=(--from 2020-11-20 --to 2020-11-23)

series_csv() {
    says $'date,visitors,visits,hits\n2020-11-20,2,3,3\n2020-11-21,0,0,0\n2020-11-22,1,1,1\n2020-11-23,2,2,3' \
        series "${days[@]}" --csv
}
check "series --csv prints the days" series_csv

series_json() {
    local expected='[{"date":"2020-11-22","visitors":1,"visits":1,"hits":1,"error":0},'
    expected+=$'\n {"date":"2020-11-23","visitors":2,"visits":2,"hits":3,"error":0}]'
    says "$expected" series --from 2020-11-22 --json
}
check "series --json prints the days" series_json

series_table() {
    shows "date        visitors  visits  hits" series "${days[@]}" &&
        [[ $(row 2020-11-20) == "2 3 3" && $(row 2020-11-21) == "0 0 0" ]] &&
        [[ $(grep -c . <<<"$out") == 5 && $out != *'#'* ]]
}
check "series prints a table, without bars into a file" series_table

series_hours() {
    run series --by hour --from 2020-11-23 --to 2020-11-23 --csv
    [[ $code == 0 && $(grep -c . <<<"$out") == 25 ]] &&
        [[ $(grep -v ',0$' <<<"$out") == $'hour,hits\n2020-11-23T09,1\n2020-11-23T10,2' ]] &&
        shows '{"hour":"2020-11-23T09","hits":1}' series --by=hour --from 2020-11-23 --json &&
        shows $'2020-11-23T10     2\n' series --by hour --from 2020-11-23
}
check "series --by hour prints the hours" series_hours

series_all() {      # from the oldest hit's day to the newest's
    run series --csv
    [[ $code == 0 && $(grep -c . <<<"$out") == 31 && $out == *$'hits\n2020-10-25,1,1,1\n'*$'\n2020-11-23,2,2,3' ]]
}
check "series without a range prints all days" series_all

series_wrong() {
    fails 2 '--json or --csv, not both' series --json --csv && fails 2 '--by "week": day or hour' series --by week &&
        fails 2 2020-11-31 series --from 2020-11-31 && fails 2 yesterday series --to yesterday --json &&
        fails 2 2020-11-23 series --from 2020-11-23 --to 2020-11-20 --csv && fails 3 none series --site none --csv
}
check "a range that is none is refused, and nothing printed" series_wrong

bars() {
    local half='################'
    out=$(script -qec "'$counter' series --from 2020-11-21" /dev/null </dev/null 2>&1 | tr -d '\r')
    [[ $(row 2020-11-21) == "0 0 0" && $(row 2020-11-22) == "1 1 1 $half" && $(row 2020-11-23) == "2 2 3 $half$half" ]]
}
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    check "a terminal gets bars, the longest for the most visitors" bars
else
    skip "a terminal gets bars, the longest for the most visitors" "no script(1), or no pseudo-terminal to be had"
fi

# A hit older than its visitor's last: whether the visitor was new on that day is not known.
uncertain() {
    local late=(--store "file:$work/late")
    says counted "${late[@]}" hit --site s --visitor v --at "$at" --timezone "$zone" &&
        says counted "${late[@]}" hit --visitor v --at 2020-11-17T10:15:00+07:00 &&
        shows '"late":1,' "${late[@]}" stats --json --at "$at" &&
        shows 'late hits: 1 (' "${late[@]}" stats --at "$at" &&
        shows '"hits":1,"error":1}' "${late[@]}" series --to 2020-11-17 --json &&
        shows ' +-100.0 % ' "${late[@]}" series --to 2020-11-17 &&
        LC_ALL=C.UTF-8 shows ' ±100.0 % ' "${late[@]}" series --to 2020-11-17
}
check "an uncertain number says how far it may be off, in the terminal's characters" uncertain

# ---- baseline -------------------------------------------------------------------------------------------------------

old_totals() {
    "$counter" stats --json --at "$at" | sed -n 's/.*"all_time":{\([^}]*\)}.*"baseline":{\([^}]*\)}}/\1 \2/p'
}
baseline() {
    local old='"visitors":1257021,"visits":1257021,"hits":1257021'
    shows $'before:\n' baseline 1257021 && [[ $out == *$'All time:   3\n\nafter:\n'*$'All time:   1,257,024\n'* ]] &&
        [[ $out == *$'\nbaseline: 1,257,021 visitors, 1,257,021 visits, 1,257,021 hits' ]] &&
        [[ $(old_totals) == '"visitors":1257024,"visits":1257028,"hits":1257029,"error":0 '$old ]] &&
        shows 'all time includes an older counter'"'"'s 1,257,021 visitors' stats --at "$at" &&
        [[ $out == *$'\nall time    1,257,024  1,257,028  1,257,029\n'* ]]
}
check "a baseline of one number sets all three, and shows the box before and after" baseline

baseline_parts() {
    shows 'baseline: 10 visitors, 20 visits, 30 hits' baseline --visitors 10 --visits=20 --hits 30 &&
        shows 'baseline: 10 visitors, 25 visits, 30 hits' baseline --visits 25 &&
        shows 'baseline: 10 visitors, 25 visits, 30 hits' baseline && [[ $out != *before* ]] &&
        shows 'baseline: 10 visitors' baseline --visitors 0010 &&
        shows 'baseline: 0 visitors, 0 visits, 0 hits' baseline 0
}
check "a baseline may be set in parts, shown, and taken back" baseline_parts

baseline_wrong() {
    fails 2 '"-5": a baseline cannot be negative' baseline -5 && fails 2 '--hits "-1": a baseline' baseline --hits -1 &&
        fails 2 '--visits "-1"' baseline --visits=-1 && fails 2 '"1.5": a whole number' baseline 1.5 &&
        fails 2 '"1e6"' baseline 1e6 && fails 2 '"1 257 021"' baseline '1 257 021' &&
        fails 2 'baseline ""' baseline '' &&
        fails 2 '"1000000000000001": at most 1000000000000000' baseline 1000000000000001 &&
        fails 2 '"99999999999999999999999999"' baseline --visitors 99999999999999999999999999 &&
        fails 2 'one number for all, or' baseline 5 --hits 6 && fails 3 none baseline --site none &&
        shows 'baseline: 0 visitors, 0 visits, 0 hits' baseline &&
        shows 'baseline: 1,000,000,000,000,000 visitors' baseline 1000000000000000 && shows 'baseline: 0' baseline 0
}
check "a baseline that is negative, too large or no number is refused, and named" baseline_wrong

baseline_new() {
    shows 'All time:   500' baseline --site fresh 500 &&
        shows '"since":null,"online":0' stats --site fresh --json && shows 'baseline: 500' baseline --site fresh &&
        shows 'deleted site fresh: 500 hits' reset --site fresh --yes && [[ $out != *since* ]]
}
check "a baseline may come before the first hit" baseline_new

baseline_language() {
    box() {
        out=$(env -u LC_MESSAGES "$@" "$counter" baseline)
    }
    box LC_ALL= LANG=vi_VN.UTF-8 && [[ $out == *'Tất cả:'* ]] && box LC_ALL='vi' && [[ $out == *'Tất cả:'* ]] &&
        box LC_ALL=en_GB.UTF-8 LANG=vi_VN.UTF-8 && [[ $out == *'All time:'* ]] && box LC_ALL= LANG= &&
        [[ $out == *'All time:'* ]] &&
        box LC_ALL= LC_MESSAGES=vi_VN LANG=de_DE && [[ $out == *'Tất cả:'* ]]
}
check "the box is Vietnamese where the user is" baseline_language

# ---- explain --------------------------------------------------------------------------------------------------------

explain() {
    shows "counted" explain --address 203.0.113.7 &&
        [[ $(row client) == "203.0.113.7 "* && $(row identity) == "address and agent "* ]] &&
        [[ $(row decision) == "counted ("*")" && $out != *WARNING* ]] &&
        shows /64 explain --address 2001:db8::1 --agent x &&
        COUNTER_EXCLUDE=203.0.113.0/24 shows "203.0.113.0/24" explain --address 203.0.113.7 &&
        [[ $(row decision) == own_address* ]]
}
check "explain says who it is, whether that counts, and why" explain

behind_proxy() {    # the client that is found, headers
    local client=$1 header arguments=()
    shift
    for header in "$@"; do
        arguments+=(--header "$header")
    done
    COUNTER_TRUSTED_PROXIES=private shows decision explain --address 10.0.0.1 "${arguments[@]}" &&
        [[ $(row client) == "$client (forwarded"* ]]
}
proxies() {
    shows WARNING explain --address 10.0.0.1 --header 'X-Forwarded-For: 198.51.100.9' &&
        [[ $(row client) == "10.0.0.1 WARNING ("* ]] &&
        behind_proxy 198.51.100.9 'X-Forwarded-For: 198.51.100.9' &&
        behind_proxy 198.51.100.2 'x-FORWARDED-for:  198.51.100.1 ,198.51.100.2 ' 'X-Forwarded-For: 10.0.0.5' &&
        behind_proxy 2001:db8::7 'Forwarded: for="[2001:db8::7]:8080"' &&
        behind_proxy 198.51.100.2 'Forwarded: for=198.51.100.1' 'X-Forwarded-For: 198.51.100.2' &&
        [[ $(row Forwarded) == "ignored (X-Forwarded-For"* ]]
}
check "forwarded headers are joined in order, whatever the case of their names" proxies

signals() {
    local header
    for header in 'DNT: 1' 'Sec-GPC: 1' 'sec-gpc:1' 'dnt:	1 '; do
        COUNTER_PRIVACY_SIGNAL=skip shows privacy_signal explain --address 203.0.113.7 --header "$header" &&
            shows counted explain --address 203.0.113.7 --header "$header" || return
    done
    COUNTER_PRIVACY_SIGNAL=skip shows "counted" explain --address 203.0.113.7 --header 'DNT: 0' &&
        [[ $(row decision) == counted* && $(row DNT) == "ignored (only"* ]]
}
check "a privacy signal has the say that the settings give it" signals

other_headers() {
    shows ignored explain --address ::1 --header 'User-Agent: Mozilla/5.0' --header 'Cookie: a=b' --header X-Empty: &&
        [[ $(row Cookie) == "ignored ("* && $(row X-Empty) == "ignored ("* && $out != *User-Agent* && $out != *a=b* ]]
}
check "a header that has no say is passed over with a note" other_headers

wrong_headers() {
    local header many=()
    for header in {1..65}; do
        many+=(--header "A: $header")
    done
    for header in Cookie 'Bad Name: x' ': x' ' DNT: 1' 'DNT : 1' 'Ä: x' $'A: \x7f' \
        $'X-Forwarded-For: 1.2.3.4\r\nDNT: 1'; do
        run explain --address 203.0.113.7 --header "$header"
        [[ $code == 2 && -z $out && $err == 'counter: --header "'*"not of the form 'Name: value'" ]] || return
    done
    fails 2 'explain needs --address' explain && fails 2 '"nowhere"' explain --address nowhere &&
        fails 2 'the User-Agent was given twice' explain --address ::1 --agent x --header 'user-agent: y' &&
        fails 2 'more than 64' explain --address ::1 "${many[@]}"
}
check "a malformed header is named" wrong_headers

# ---- check ----------------------------------------------------------------------------------------------------------

# A site whose newest hit is of today has no old clock to be warned of.
check_well() {
    says counted hit --site now --visitor v --timezone "$zone" && shows "$work/store/now.counter" check --site now &&
        [[ $(row timezone) == "$zone "* && $(row today) == 20*T00:00:00+07:00* && $(row forgotten_until) == never* ]] &&
        [[ $(row owner) == *"mode 0600" && -n $(row fill) && -n $(row table) && $(row result) == well ]]
}
check "check says how a site is: well" check_well

check_json() {
    local fact='{"name":"site","value":"now","level":"fact","why":""}'
    shows '{"site":"now","level":"well","facts":['"$fact," check --site now --json &&
        [[ $out == *'"}]}' && $(grep -c . <<<"$out") == 1 ]] || return
    ! command -v python3 >/dev/null || python3 -m json.tool <<<"$out" >/dev/null
}
check "check --json prints the same" check_json

check_quoted() {    # a folder with a quotation mark, a backslash and a byte that is no UTF-8
    local store=$work/'a"b\c'$'\xff'
    says counted --store "file:$store" hit --site s --visitor v &&
        shows '/a\"b\\c\ufffd/s.counter",' --store "file:$store" check --json &&
        shows '/a"b\c\xff/s.counter' --store "file:$store" check
}
check "names are escaped in JSON and in text" check_quoted

check_warns() {
    chmod 644 "$work/store/now.counter"
    run check --site now
    [[ $code == 1 && -z $err && $(row result) == warnings ]] &&
        [[ $(row owner) == *"mode 0644 WARNING (others may read"*")" ]] || return
    run check --site now --json
    [[ $code == 1 && $out == *'"level":"warnings"'*'"level":"warning","why":"others may read'* ]] || return
    chmod 600 "$work/store/now.counter"
    shows well check --site now
}
check "a warning is marked, and the exit code 1" check_warns

check_broken() {
    cp -r "$work/store" "$work/broken"
    head -c 100 /dev/zero | dd of="$work/broken/now.counter" conv=notrunc status=none
    fails 2 now.counter --store "file:$work/broken" check --site now &&
        fails 2 now check --store "file:$work/broken" --site now --json &&
        fails 1 now.counter --store "file:$work/broken" stats --site now
}
check "a broken site is exit code 2, and no JSON" check_broken

old_clock() {
    run check --site portal
    [[ $code == 1 && $(row clock) == *"days after the newest hit WARNING ("*--accept-clock* ]] &&
        fails 1 --accept-clock hit --site portal --visitor v || return
    cp -r "$work/store" "$work/later"
    shows well check --store "file:$work/later" --site portal --accept-clock &&
        says counted hit --store "file:$work/later" --site portal --visitor v
}
check "after a long silence hits are refused until the clock is accepted" old_clock
"$counter" reset --site now --yes >/dev/null

# ---- copy and key ---------------------------------------------------------------------------------------------------

other=file:$work/copies

copies() {
    says "copied site portal to $other: 8 hits ever (before: 0), 0 visitors today (before: 0)" copy --to "$other" &&
        says "$json" stats --json --at "$at" --store "$other" && says portal --store "$other" sites &&
        says "$("$counter" series --by hour --csv)" series --by hour --csv --store "$other" &&
        says "$json" stats --json --at "$at"
}
check "copy carries a whole site over, and leaves the source as it is" copies

copies_again() {
    local before='8 hits ever (before: 8), 0 visitors today (before: 0)'
    says "copied site portal to $other: $before" copy --site portal --from "$COUNTER_STORE" --to "$other" &&
        says "copied site portal to $COUNTER_STORE: $before" copy --from="$other" &&
        says "copied site portal to $COUNTER_STORE: $before" copy --store x: --from "$other" --to "$COUNTER_STORE" &&
        says "$json" stats --json --at "$at" && says "$json" stats --json --at "$at" --store "$other"
}
check "a second copy, or one back, adds nothing" copies_again

copies_today() {    # the larger number wins, and a visitor of both is one
    local one=file:$work/one two=file:$work/two
    says counted hit --store "$one" --site s --visitor a --timezone +07:00 &&
        says "the key was taken over" key --from "$one" --to "$two" &&
        says counted hit --store "$two" --site s --visitor a --timezone +07:00 &&
        says counted hit --store "$two" --site s --visitor b &&
        says "copied site s to $one: 2 hits ever (before: 1), 2 visitors today (before: 1)" \
            copy --from "$two" --to "$one"
}
check "stores that share a key can be merged" copies_today

copy_wrong() {
    ln -s "$work/store" "$work/link"
    fails 2 'copy needs --from, --to or both' copy && fails 2 'copy needs' copy --site portal --store "$other" &&
        fails 2 "--from and --to are the same store, \"$COUNTER_STORE\"" copy --to "$COUNTER_STORE" &&
        fails 2 'are the same store' copy --from "$other" --to "$other" &&
        fails 2 'are the same store' copy --from "file:$work/link/" --to "$COUNTER_STORE" &&
        fails 2 '"redos:"' copy --to redos: && fails 2 '"a/b"' copy --site a/b --to "$other" &&
        fails 3 none copy --site none --to "$other" && fails 3 'no site yet' copy --from "file:$work/empty" &&
        fails 3 'no site yet' copy --from memory: && fails 2 'stats does not know --from' stats --from "$other" &&
        fails 2 'what is "portal"?' copy portal --to "$other" && [[ ! -e $work/empty ]] &&
        says portal --store "$other" sites
}
check "copy must know from where, to where and what" copy_wrong

other_key() {
    says counted hit --store "file:$work/third" --site portal --visitor v --timezone "$zone" --at "$at" &&
        fails 1 '' copy --from "file:$work/third" && fails 1 '' copy --to "file:$work/third" &&
        says "$json" stats --json --at "$at" && fails 1 '' key --from "file:$work/third"
}
check "a site of a store with another key is not mixed with ours" other_key

keys() {
    says "the key was taken over" key --from "$COUNTER_STORE" --to "file:$work/fourth" &&
        says "both have the same key already" key --from "$COUNTER_STORE" --to "file:$work/fourth" &&
        says "both have the same key already" key --from "$other" && says '' --store "file:$work/fourth" sites &&
        says counted hit --store "file:$work/fourth" --site portal --visitor a --timezone "$zone" --at "$at" &&
        shows 'copied site portal' copy --to "file:$work/fourth"
}
check "key takes a key over, once" keys

key_wrong() {
    fails 2 'key needs --from' key && fails 2 'key needs --from' key --to "$other" &&
        fails 2 'are the same store' key --from "$COUNTER_STORE" &&
        fails 2 'key does not know --site' key --site portal &&
        fails 3 '' key --from "file:$work/empty" && [[ ! -e $work/empty ]]
}
check "key must know whose" key_wrong

# ---- erase and reset ------------------------------------------------------------------------------------------------

erase() {
    says forgotten erase --address 203.0.113.7 --agent 'Mozilla/5.0' &&
        says 'not known' erase --address 203.0.113.7 --agent 'Mozilla/5.0' &&
        says forgotten erase --visitor b && says 'not known' erase --visitor b --site portal &&
        says 'not known' erase --address 203.0.113.7 --agent '' &&
        shows '"all_time":{"visitors":' stats --json --at "$at" &&
        [[ $out == *'"hits":8,"error"'* ]]
}
check "erase forgets one visitor, and counts stay" erase

erase_wrong() {
    fails 2 'erase needs --visitor, or --address and --agent' erase &&
        fails 2 'erase needs' erase --address 203.0.113.7 &&
        fails 2 'erase needs' erase --agent x && fails 2 'not both' erase --visitor v --address 203.0.113.7 &&
        fails 3 none erase --site none --visitor v
}
check "erase must know whom" erase_wrong

reset() {
    fails 2 "this would delete, for good, site portal: 8 hits since 2020-10-25T12:00:00+07:00; with --yes" reset &&
        says portal sites && fails 3 none reset --site none --yes &&
        says "deleted site portal: 8 hits since 2020-10-25T12:00:00+07:00" reset --site portal --yes &&
        says "" sites && fails 3 portal stats --site portal && [[ -z $(find "$work/store" -name 'portal*') ]]
}
check "reset deletes a site, but not without --yes" reset

# ---- Settings -------------------------------------------------------------------------------------------------------

config_file() {
    printf '%s\n' "# a store" "store = file:$work/other" "site = portal # ours" "timezone = $zone" \
        'portal.rows = online; all_time "Tất cả"' $'portal.c1 = \xc2\x9b31m' >"$work/counter.conf"
    unset COUNTER_STORE
    COUNTER_CONFIG=$work/counter.conf
    shows "" config &&
        [[ $(row store) == "file:$work/other ($work/counter.conf:2)" ]] &&
        [[ $(row site) == "portal ($work/counter.conf:3)" ]] &&
        [[ $(row week_start) == "monday (default)" && $(row portal.rows) == 'online; all_time "Tất cả" ('* ]] &&
        [[ $(row portal.c1) == '\xc2\x9b31m ('* && $(row config) == "$work/counter.conf (COUNTER_CONFIG)" ]]
}
check "config prints what is in force, and where it comes from" config_file

config_order() {
    COUNTER_SITE=environment shows "" config && [[ $(row site) == "environment (COUNTER_SITE)" ]] &&
        COUNTER_STORE=memory: shows "" config --store file:/x --timezone +07:00 --week-start sunday &&
        [[ $(row store) == "file:/x (option)" && $(row timezone) == "+07:00 (option)" ]] &&
        [[ $(row week_start) == "sunday (option)" ]]
}
check "options go before the environment, and that before the file" config_order

config_used() {
    says counted hit --visitor v --at "$at" && shows '"site":"portal"' stats --json --at "$at" &&
        [[ -e $work/other/portal.counter ]] &&
        says counted hit --site second --visitor v --at "$at" && shows '"site":"portal"' stats --json --at "$at" &&
        says $'portal\nsecond' sites
}
check "the commands use the configured store, site and zone" config_used

config_wrong() {
    echo 'sight = portal' >>"$work/counter.conf"
    fails 2 "counter.conf:7" config && [[ $err == *sight* ]] && fails 2 sight stats && fails 2 sight sites &&
        COUNTER_CONFIG=$work/missing.conf fails 2 missing.conf config &&
        COUNTER_CONFIG='' fails 2 '"redos:"' --store redos: sites
}
check "a wrong setting is named with its file and line" config_wrong

default_store() {
    export COUNTER_CONFIG=''
    says counted hit --site portal --visitor v --at "$at" && [[ -e $work/state/counter/portal.counter ]] &&
        shows "" config && [[ $(row store) == "file:$work/state/counter (default)" ]]
}
check "without a setting the store is in the XDG state folder" default_store

memory_store() {
    says counted --store memory: hit --site portal --visitor v && fails 3 'no site' --store memory: stats
}
check "a store in memory ends with the command" memory_store

# ---- Passwords -------------------------------------------------------------------------------------------------------

quiet() {           # a pattern of codes, arguments: the word s3cret comes out nowhere
    local expected=$1
    shift
    run "$@"
    # shellcheck disable=SC2053  # a pattern
    [[ $code == $expected && $out$err == *?* && $out$err != *s3cret* ]]
}
quiet_words() {
    local url=redis://user:s3cret@127.0.0.1:1/0
    quiet 2 "$url" && quiet 2 stats "$url" && quiet 2 help stats "$url" && quiet 2 "--$url" && quiet 2 "-$url" &&
        quiet 2 stats --json="$url" && quiet 2 help "$url" && quiet 2 -- "$url" stats &&
        quiet 2 series --site portal --from "$url" && quiet 2 series --site portal --to="$url" &&
        quiet 2 redis://:s3cret && quiet 2 redis://s3cret@h && quiet 2 redis://h,u:s3cret@x:1 &&
        quiet 1 copy --from "$url" --to redis://other:s3cret2@127.0.0.1:1 && quiet 2 copy --from "$url" --to "$url"
}
check "a password in a URL is quoted by no error about words and options" quiet_words

quiet_settings() {
    local url
    for url in redis://u:s3cret@127.0.0.1:1/x redis://u:s3cret/@h redis://u:s3cret redos://u:s3cret@h \
        $'redis://u:s3cret@h\n' rediss://s3cret@h/-1 'redis+unix://u:s3cret@x/p'; do
        quiet '[12]' --store "$url" stats --site portal && quiet '[12]' --store="$url" sites &&
            quiet '[12]' copy --site s --from "$url" && COUNTER_STORE=$url quiet '[12]' sites || return
    done
    shows 'redis://u:***@h/1' config --store redis://u:s3cret@h/1 && [[ $out != *s3cret* ]] &&
        COUNTER_STORE_PASSWORD=s3cret shows '(set)' config && [[ $out != *s3cret* ]] &&
        COUNTER_STORE_PASSWORD=$'s3cret\n' quiet 2 config && echo 'store_password s3cret' >"$work/secret.conf" &&
        COUNTER_CONFIG=$work/secret.conf quiet 2 config
}
check "settings and errors about them show no password" quiet_settings

# The output goes into a pipe that is full, so that the command stays and can be looked at.
quiet_processes() {
    local tries words='' process
    mkfifo "$work/full" && exec 8<>"$work/full" &&
        { dd if=/dev/zero of="$work/full" bs=4096 count=4096 oflag=nonblock 2>/dev/null; :; } || return
    "$counter" copy --help --store redis://u:s3cret@h --from='redis+unix://:s3cret@/x?db=1' --to file:/y \
        --to redis://s3cret@z >&8 &
    process=$!
    for ((tries = 0; tries < 100; tries++)); do
        words=$(tr '\0' '\n' 2>/dev/null <"/proc/$process/cmdline")
        [[ $words != *'redis://***@z'* ]] || break
        sleep 0.05
    done
    kill "$process"
    wait "$process" 2>/dev/null
    exec 8>&-
    out=$words
    [[ $words == *'redis://u:***@h'* && $words == *'--from=redis+unix://:***@/x?db=1'* && $words == *'file:/y'* ]] &&
        [[ $words == *'redis://***@z'* && $words != *s3cret* ]]
}
check "a password in a URL is overwritten in the list of processes" quiet_processes

# ---- Output that does not arrive ------------------------------------------------------------------------------------

unwritten() {       # the exit code and what is said
    code=$? err=$(<"$work/err") out=''
    [[ $code == 1 && $err == "counter: cannot write the output"*"$1" ]]
}
disk_full() {
    "$counter" stats --at "$at" --json 2>"$work/err" >/dev/full
    unwritten "No space left on device" || return
    "$counter" series --by hour --from 2000-01-01 --to 2019-12-31 --csv 2>"$work/err" >/dev/full
    unwritten "No space left on device"
}
check "a full disk is an error" disk_full

closed_pipe() {     # a pipe whose only reader is gone
    mkfifo "$work/pipe" && exec 7<>"$work/pipe" && exec 8>"$work/pipe" 7>&- || return
    "$counter" help 2>"$work/err" >&8
    unwritten "Broken pipe" && exec 8>&-
}
check "a closed pipe is an error, not a silent death" closed_pipe

closed_stdout() {
    "$counter" hit --site portal --visitor v --at "$at" 2>"$work/err" <&- >&-
    unwritten "" && { "$counter" check --site portal >/dev/null; [[ $? == 1 ]]; } &&
        ! grep -aq "^counted" "$work"/state/counter/*
}
check "without a stdout nothing is written into the store's files instead" closed_stdout

echo "1..$n"
