#!/usr/bin/env bash
#
# make install, pkg-config and make uninstall, in a staging folder; and the header alone, in the languages it promises.
#
set -uo pipefail
cd "${TOP:?}" || exit 1
: "${BUILD:?}" "${CC:=cc}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

[[ -n ${SANITIZE-} ]] && echo 1..3 || echo 1..9
n=0
check() {
    n=$((n + 1))
    local sentence=$1
    shift
    if "$@"; then echo "ok $n - $sentence"; else echo "not ok $n - $sentence"; fi
}

header_as() {       # language, standard, compiler
    echo '#include <counter.h>' |
        $3 -x "$1" -std="$2" -Wall -Wextra -pedantic -pedantic-errors -Werror -Iinclude -fsyntax-only -
}
check "the header alone compiles as C99" header_as c c99 "$CC"
if command -v "${CXX:=c++}" >/dev/null; then
    check "the header alone compiles as C++11" header_as c++ c++11 "$CXX"
else
    n=$((n + 1))
    echo "ok $n - the header alone compiles as C++11 # SKIP no C++ compiler"
fi

if [[ -n ${SANITIZE-} ]]; then
    echo "ok 3 - installing # SKIP a sanitizer's build is for tests only"
    exit 0
fi

# With the folder named as in the build, or everything would be linked anew.
stage=$work/stage
make_in_stage() {   # target, variables
    ${MAKE:-make} --no-print-directory "$@" BUILD="${BUILD#"$TOP/"}" CC="$CC" DESTDIR="$stage" >"$work/make.log" 2>&1 ||
        { cat "$work/make.log"; return 1; }
}
files() {
    (cd "$stage" && find . ! -type d | sort)
}
major=$(awk '$2 == "COUNTER_VERSION_MAJOR" { print $3 }' include/counter.h)
expected() {        # prefix, library folder
    {
        printf "./%s\n" "$1/bin/counter" "$1/lib/cgi-bin/portal.cgi" "$1/include/counter.h"
        printf "./$2/%s\n" "libcounter.so.$major" libcounter.so libcounter.a pkgconfig/libcounter.pc
        for page in man/*.[135]; do
            [[ -e $page ]] && echo "./$1/share/man/man${page##*.}/${page##*/}"
        done
    } | sort
}
installs() {
    mkdir -p "$stage" && make_in_stage install PREFIX=/usr/local && diff <(expected usr/local usr/local/lib) <(files) &&
        [[ $(stat -c %a "$stage/usr/local/bin/counter" "$stage/usr/local/include/counter.h" | paste -sd ' ') == "755 644" ]]
}
check "make install puts every file in its place and no other" installs

config() {
    PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_LIBDIR=$stage/usr/local/lib/pkgconfig:$(pkg-config --variable pc_path pkg-config) \
        pkg-config "$@" libcounter
}
version() {
    [[ $(config --modversion) == "$(awk '$2 ~ /^COUNTER_VERSION_(MAJOR|MINOR|PATCH)$/ { print $3 }' include/counter.h | paste -sd .)" ]]
}
check "pkg-config knows the header's version" version

# shellcheck disable=SC2046  # flags are words
build_shared() {
    $CC -o "$work/shared" examples/first.c $(config --cflags --libs) &&
        LD_LIBRARY_PATH=$stage/usr/local/lib "$work/shared" >"$work/shared.out" && grep -x "online 1, today 1" "$work/shared.out" &&
        objdump -p "$work/shared" | grep "NEEDED *libcounter.so.$major"
}
check "the first example builds against the shared library" build_shared

# shellcheck disable=SC2046
build_static() {
    $CC -static -o "$work/static" examples/first.c $(config --static --cflags --libs) &&
        "$work/static" >"$work/static.out" && cmp "$work/shared.out" "$work/static.out"
}
check "the first example builds against the static library and says the same" build_static

command_runs() {
    ! objdump -p "$stage/usr/local/bin/counter" | grep -E 'NEEDED *lib(counter|sodium)' &&
        "$stage/usr/local/bin/counter" --version >/dev/null
}
check "the installed command needs no library of ours" command_runs

leaves_nothing() {
    make_in_stage uninstall PREFIX=/usr/local && [[ -z $(find "$stage" -mindepth 1) ]]
}
check "make uninstall leaves no file and no folder" leaves_nothing

elsewhere() {       # PREFIX, LIBDIR, and a folder that holds something else stays
    local places=(PREFIX=/opt/counter LIBDIR=/usr/lib/multiarch)
    mkdir -p "$stage/opt/other" && make_in_stage install "${places[@]}" &&
        diff <(expected opt/counter usr/lib/multiarch) <(files) &&
        grep -x "libdir=/usr/lib/multiarch" "$stage/usr/lib/multiarch/pkgconfig/libcounter.pc" &&
        make_in_stage uninstall "${places[@]}" &&
        [[ $(cd "$stage" && find . -mindepth 1 | paste -sd ' ') == "./opt ./opt/other" ]]
}
check "PREFIX and LIBDIR are honoured, and folders of others left alone" elsewhere
