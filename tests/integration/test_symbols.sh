#!/usr/bin/env bash
#
# The library shows the world the functions of counter.h and nothing else, in both its forms.
#
set -uo pipefail
cd "${TOP:?}" || exit 1
: "${BUILD:?}" "${CC:=cc}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

if [[ -n ${SANITIZE-} ]]; then
    echo "1..0 # SKIP a sanitizer adds symbols of its own"
    exit 0
fi
echo 1..5

n=0
check() {
    n=$((n + 1))
    local sentence=$1
    shift
    if "$@"; then echo "ok $n - $sentence"; else echo "not ok $n - $sentence"; fi
}

# What the header declares, from what the preprocessor makes of it: the comments are gone, the mark remains.
sed 's/^#define COUNTER_API.*/#define COUNTER_API EXPORTED/' include/counter.h >"$work/marked.h"
$CC -E -P "$work/marked.h" | tr '\n' ' ' | grep -oE 'EXPORTED [^;(]*\(' | grep -oE '[a-z_0-9]+\($' | tr -d '(' | sort >"$work/declared"
nm -D --defined-only "$BUILD"/libcounter.so | awk '{ print $3 }' | sort >"$work/shared"
nm -g --defined-only "$BUILD/libcounter.a" | awk 'NF == 3 { print $3 }' | sort >"$work/static"

declares_something() {
    (($(wc -l <"$work/declared") >= 10)) && ! grep -v '^counter_' "$work/declared"
}
check "every function of the header is called counter_something" declares_something
check "the shared library exports what the header declares" diff "$work/declared" "$work/shared"
check "the static library exports what the header declares" diff "$work/declared" "$work/static"

# soname: the major version only.
major=$(awk '$2 == "COUNTER_VERSION_MAJOR" { print $3 }' include/counter.h)
soname_is_major() {
    objdump -p "$BUILD/libcounter.so" | grep -E "SONAME +libcounter\.so\.$major\$"
}
check "the soname is the major version" soname_is_major

# A program may call its own functions like any of our internal ones: here, all of them at once.
nm --defined-only "$BUILD"/obj/lib/*.o | awk '$2 == "T" && $3 !~ /^counter_/ { print $3 }' | sort -u >"$work/internal"
{
    echo '#include <counter.h>'
    echo '#include <stdlib.h>'
    sed 's/.*/void &(void);\nvoid &(void) { abort(); }/' "$work/internal"
    sed '/^#include <counter.h>/d' examples/first.c
} >"$work/clash.c"
clash_free() {
    [[ -s $work/internal ]] || return 1
    # shellcheck disable=SC2046  # flags are words
    $CC -Iinclude -o "$work/clash" "$work/clash.c" "$BUILD/libcounter.a" \
        $(sed -n 's/^Libs.private: //p' "$BUILD/libcounter.pc") &&
        [[ $("$work/clash") == "online 1, today 1" ]]
}
check "a program may use the names of internal functions for its own" clash_free
