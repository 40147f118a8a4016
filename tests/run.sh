#!/usr/bin/env bash
#
# run.sh PROGRAM...: runs test programs, two at a time, and says in one line per test what held.
#
# A program speaks TAP: "1..N", then "ok 1 - sentence", "not ok 2 - sentence", "ok 3 - sentence # SKIP reason". It also
# fails as a whole when it crashes, hangs, stops short of its plan or runs no test. Output is shown for programs that
# failed, and kept for all in $BUILD/tests/log. The last line is "N passed, N failed", with ", N skipped" if any were.
#
# Environment: BUILD    the build folder (absolute); programs get it, with TOP, CC and SANITIZE
#              RUNNER   put in front of compiled programs, as "valgrind -q --error-exitcode=9"
#              TIMEOUT  seconds per program, 300;  JOBS  programs at a time, 2
#
set -uo pipefail
: "${BUILD:?}" "${TIMEOUT:=300}" "${JOBS:=2}"
export CMOCKA_MESSAGE_OUTPUT=TAP
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS-}"

# The user's own settings of the library are none of the tests' business.
for variable in $(compgen -e COUNTER_ || true); do
    [[ $variable == COUNTER_TEST_* ]] || unset "$variable"
done

logs=$BUILD/tests/log
rm -rf "$logs"
mkdir -p "$logs"
passed=0 failed=0 skipped=0

name_of() {         # build/tests/unit/test_zone -> unit/zone, tests/integration/test_x.sh -> integration/x
    local folder=${1%/*} name=${1##*/}
    name=${name#test_}
    echo "${folder##*/}/${name%.sh}"
}

log_of() {
    local name
    name=$(name_of "$1")
    echo "$logs/${name/\//-}"
}

# Background jobs of a shell ignore SIGINT; tests that interrupt their children must find the default. `timeout` passes
# a signal on to all the program started.
run() {
    local log runner=() child
    log=$(log_of "$1")
    [[ $1 == *.sh ]] || read -ra runner <<<"${RUNNER-}"
    env --default-signal=INT,QUIT timeout -k 10 "$TIMEOUT" ${runner[@]+"${runner[@]}"} "$1" >"$log.log" 2>&1 </dev/null &
    child=$!
    trap 'kill "$child"; exit 143' TERM
    wait "$child"
    echo $? >"$log.status.new"
    mv "$log.status.new" "$log.status"
}

ended() {           # how a program ended, where that is a failure of its own
    case $1 in
    124) echo "took longer than $TIMEOUT seconds" ;;
    137) echo "was killed (SIGKILL)" ;;
    1[3-6][0-9]) echo "crashed (SIG$(kill -l $(($1 - 128)) 2>/dev/null || echo " $1"))" ;;
    *) echo "ended with status $1" ;;
    esac
}

line() {            # a test named by its function becomes a sentence
    [[ $2 == *' '* ]] || set -- "$1" "${2//_/ }"
    printf '  %-5s %s\n' "$1" "$2"
}

# Reads one program's log, counts and prints its tests.
report() {
    local log status plan='' good=0 bad=0 left=0 last='' text
    local result='^[[:space:]]*(ok|not ok)([[:space:]]+[0-9]+)?([[:space:]]+-?[[:space:]]*(.*))?$'
    local skip='^(.*[^[:space:]])?[[:space:]]*#[[:space:]]*(SKIP|skip)[[:space:]]*(.*)$'
    log=$(log_of "$1")
    status=$(<"$log.status")
    name_of "$1"
    while IFS= read -r text; do
        if [[ $text =~ ^1\.\.([0-9]+) ]]; then
            plan=${BASH_REMATCH[1]}
            [[ $plan == 0 ]] && left=1 && line skip "everything: ${text#*SKIP }"
        elif [[ $text =~ $result ]]; then
            local verdict=${BASH_REMATCH[1]} sentence=${BASH_REMATCH[4]-}
            last=$sentence
            if [[ $sentence =~ $skip ]]; then
                left=$((left + 1))
                line skip "${BASH_REMATCH[1]}${BASH_REMATCH[1]:+: }${BASH_REMATCH[3]}"
            elif [[ $verdict == ok ]]; then
                good=$((good + 1))
                line ok "$sentence"
            else
                bad=$((bad + 1))
                line FAIL "$sentence"
            fi
        fi
    done <"$log.log"
    local ran=$((good + bad + left)) reason=''
    if [[ $status != 0 ]] && ((bad == 0 || status >= 124)); then
        reason="the program $(ended "$status")${last:+ after \"$last\"}"
    elif [[ -n $plan ]] && ((plan > ran)); then
        reason="the program ran $ran of $plan tests"
    elif ((ran == 0)); then
        reason="the program ran no test"
    fi
    [[ -z $reason ]] || { bad=$((bad + 1)) && line FAIL "$reason"; }
    ((bad == 0)) || tail -n 200 "$log.log" | sed 's/^/        | /'
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left))
}

# Results are printed in the order of the arguments, each as soon as those before it are done.
programs=("$@") next=0
report_finished() {
    while ((next < ${#programs[@]})) && [[ -e $(log_of "${programs[next]}").status ]]; do
        report "${programs[next]}"
        next=$((next + 1))
    done
}

stop() {
    trap - INT TERM
    # shellcheck disable=SC2046  # one word per process
    kill $(jobs -p) 2>/dev/null
    wait
    exit 130
}
trap stop INT TERM

for program in "$@"; do
    run "$program" 2>/dev/null &
    while (($(jobs -rp | wc -l) >= JOBS)); do
        wait -n
    done
    report_finished
done
wait
report_finished

echo
((passed + failed + skipped > 0)) || echo "no test ran"
echo "$passed passed, $failed failed$( ((skipped == 0)) || echo ", $skipped skipped")"
((failed == 0 && passed + skipped > 0))
