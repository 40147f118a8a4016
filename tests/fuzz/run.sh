#!/usr/bin/env bash
#
# run.sh SECONDS TARGET...: runs libFuzzer targets one after the other, each from its corpus in tests/fuzz/corpus/NAME.
# New inputs and findings stay beside the target, in NAME.corpus/ and NAME-crash-...
#
set -euo pipefail
seconds=$1
shift
for target in "$@"; do
    name=${target##*/fuzz_}
    mkdir -p "$target.corpus"
    seeds=()
    [[ -d tests/fuzz/corpus/$name ]] && seeds=("tests/fuzz/corpus/$name")
    echo "  FUZZ  $name, $seconds s"
    if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="${target%/*}/$name-" \
        "$target.corpus" ${seeds[@]+"${seeds[@]}"} >"$target.log" 2>&1; then
        tail -n 60 "$target.log"
        exit 1
    fi
    tail -n 1 "$target.log"
done
