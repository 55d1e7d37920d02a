#!/bin/sh
# SPDX-License-Identifier: MIT
# The commands while memory is out: each allocation of a sample fails, alone or with all that follow it. They end with a
# documented exit code and say why, never by a signal, and leave no process behind. usage: memory_test.sh BUILD
# MEMORY_POINTS=N takes another size of the sample, MEMORY_ONLY=NAME one command alone.
set -u
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
shim=$build/tests/bin/failing_malloc.so
scenario=$modules/scenario.so
for needed in "$brigade" "$scenario" "$shim"; do
    [ -f "$needed" ] || { echo "no $needed"; exit 77; }
done
points=${MEMORY_POINTS:-6}
tag=memory-test-$$
cd "$work" || exit 1
bound=200 # seconds: what takes longer hangs

# failing ENVIRONMENT... -- ARGUMENT...: the command with its memory failing.
failing() {
    status=0
    rm -rf "$work/result"
    set -- "$@" # what is before -- is for env
    before=
    while [ "$1" != -- ]; do
        before="$before $1"
        shift
    done
    shift
    # shellcheck disable=SC2086
    env FAIL_TAG=$tag LD_PRELOAD="$shim" $before timeout -s KILL $bound "$brigade" "$@" \
        <"$work/in" >"$work/out" 2>"$work/err" || status=$?
}
# Of the processes of this test, workers of a command that ended take a moment, or what a stopped machine makes of it.
nobody_is_left() {
    began=$(date +%s)
    while grep -lsz "FAIL_TAG=$tag" /proc/[0-9]*/environ >"$work/left" 2>/dev/null && [ -s "$work/left" ]; do
        [ $(($(date +%s) - began)) -lt $bound ] || return 1
    done
}
ends_well() {
    case $status in
    0) ;;
    1 | 3) [ -s "$work/err" ] || [ -s "$work/out" ] || { echo "nothing was said" >>"$work/err"; return 1; } ;;
    *) return 1 ;;
    esac
    nobody_is_left
}
# Each of `points` allocations from the first to the last of `count`; `mode` is once or on.
sample() {
    at=1 step=$((count / points + 1))
    while [ "$at" -le "$count" ]; do
        # shellcheck disable=SC2086
        if [ $((at / step % 2)) -eq 0 ]; then failing FAIL_IN=$program FAIL_AT=$at -- "$@"
        else failing FAIL_IN=$program FAIL_AT=$at FAIL_ON=1 -- "$@"; fi
        if ! ends_well; then
            check "$what: allocation $at of $count in $program fails: ended with $status" false
            return
        fi
        at=$((at + step))
    done
    check "$what: $points of $count allocations of $program fail" true
}
# torture NAME ARGUMENT...: of the command itself.
torture() {
    what=$1
    shift
    [ "${MEMORY_ONLY:-$what}" = "$what" ] || return 0
    program=brigade
    failing FAIL_IN=brigade FAIL_REPORT=count -- "$@"
    check "$what: well while memory is there" ended 0
    count=$(cat "$work/count")
    check "$what: it allocates" [ "$count" -gt 20 ]
    sample "$@"
}

seq 1 100 >"$work/in"
torture run-thread run "$scenario" echo --isolation thread -w 2 --ordered --errors-out "$work/errors" --summary=json
torture run-process run "$scenario" echo --isolation process -w 2 --init '{"greeting":"hello"}' --config '[1,2]' \
    --retries 2 --recycle-tasks 20
torture tune tune work spin --round 2ms --rounds 2 -i '{"us":20}' --to 2 --isolation thread --plot --svg "$work/tune.svg"
torture bench bench --mix 3:10us,1:200us -n 40 --repeat 1 -w 2 --isolation thread --policies 'queue=fifo,fair' \
    --svg "$work/bench.svg"
cat >"$work/rows.csv" <<'END'
country,price,name
DE,10.5,"Müller, Hans"
FR,20,"two
lines"
DE,3,"say ""hi"""
US,7,x
END
torture analyze-groups analyze -w 2 -g country --sum price --median price --distinct name --sort country \
    --where 'price > 1 && country != "x"' "$work/rows.csv"
torture analyze-rows analyze -w 2 --isolation thread --select name,price --sort price --limit 3 --json "$work/rows.csv"
if [ -x "$build/photos" ] && [ -f "$build/modules/image.so" ]; then
    "$build/photos" --count 2 "$work/photos" >/dev/null || exit 1
    torture image image --timeout 1h --resize 80x60 -w 2 -o "$work/result" "$work/photos"
fi

# Of the workers, each of which fails at the same place, and those that are started for them.
what=workers program=brigade-worker count=120
if [ "${MEMORY_ONLY:-$what}" = "$what" ]; then
    sample run "$scenario" echo --isolation process -w 2
fi
# What was not done is said, and the rest is right.
if [ "${MEMORY_ONLY:-lines}" = lines ]; then
    run run "$scenario" echo -w 1 --isolation thread --ordered
    check "lines: as they came" prints_file "$work/in"
    failing FAIL_IN=brigade FAIL_REPORT=count -- run "$scenario" echo -w 1 --isolation thread --ordered
    count=$(cat "$work/count") at=$((count / 2)) status=0
    while [ "$status" -eq 0 ] && [ "$at" -le "$count" ]; do # some allocations can be done without
        failing FAIL_IN=brigade FAIL_AT="$at" -- run "$scenario" echo -w 1 --isolation thread --ordered
        at=$((at + 7))
    done
    check "lines: one fails" ended 1
    check "lines: and says why" says "BRG_NO_MEMORY" # what for depends on who was where
    check "lines: it is no bad JSON" [ "$(grep -c "no JSON" "$work/err")" -eq 0 ]
    check "lines: all others are done" lines out 99
    failing FAIL_IN=brigade FAIL_AT=2 -- run "$scenario" echo --init '{"greeting":"hello"}'
    check "options: it is not the command line that is wrong" ended 3
    check "options: and says so" says "out of memory"
fi
finish
