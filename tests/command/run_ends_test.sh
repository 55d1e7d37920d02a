#!/bin/sh
# SPDX-License-Identifier: MIT
# brigade run when it ends early: nobody reads, the disk is full, somebody interrupts. usage: run_ends_test.sh BUILD
set -u
build=$1
work=$(mktemp -d)
trap 'exec 3<&- 4<&-; rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
scenario=$modules/scenario.so
[ -x "$brigade" ] && [ -f "$scenario" ] || { echo "no $brigade or no $scenario"; exit 77; }
mkfifo "$work/reach" "$work/hold" "$work/told" "$work/stuck"

# ---- nobody takes the output -----------------------------------------------------------------------------------------
seq 1 1000000 >"$work/in"
for isolation in thread process; do
    {
        "$brigade" run "$scenario" echo --ordered --isolation $isolation -w 2 <"$work/in" 2>"$work/err"
        echo $? >"$work/status"
    } | head -n 3 >"$work/out"
    status=$(cat "$work/status")
    check "$isolation: head has its lines" lines out 3
    check "$isolation: ends with 3" ended 3
    check "$isolation: says why" says "standard output could not be written: Broken pipe"
    check "$isolation: with the account" says " written"
    status=0
    "$brigade" run "$scenario" echo --isolation $isolation -w 2 <"$work/in" >/dev/full 2>"$work/err" || status=$?
    check "$isolation: a full disk" says "standard output could not be written: No space left on device"
    check "$isolation: none written" says "; 0 written"
    check "$isolation: ends with 3" ended 3
done
printf '1\n' >"$work/in"
run run "$scenario" fail --errors-out /dev/full
check "the file of errors is full" says "/dev/full could not be written: No space left on device"
check "ends with 3" ended 3
run run "$scenario" fail --errors-out "$work/no/where"
check "it cannot be opened" says "No such file"
status=0
"$brigade" run "$scenario" echo <"$work/in" >&- 2>"$work/err" || status=$?
check "no standard output at all" says "standard output: Bad file descriptor"
status=0
"$brigade" tune work spin --input '{"us":10}' --to 1 --rounds 1 --round 5ms <&- >&- 2>&- || status=$?
check "nor any other: none of them is taken for a channel" ended 1

# ---- results are not kept back ---------------------------------------------------------------------------------------
# start ARGUMENT...: in the background, results into $work/stuck (descriptor 4), messages into $work/told (3).
start() {
    "$brigade" run "$scenario" "$@" <"$work/in" >"$work/stuck" 2>"$work/told" &
    job=$!
    exec 4<"$work/stuck" 3<"$work/told"
}
# The rest of both, and its status.
ends() {
    cat <&4 >"$work/out"
    cat <&3 >"$work/err"
    status=0
    wait $job || status=$?
    exec 3<&- 4<&-
}
printf '{"hold":"%s"}\n2\n3\n' "$work/hold" >"$work/in"
start noop -w 2 --with-line
read -r first <&4
check "a slow line holds no other" [ "$first" = '{"line":2,"output":null}' ]
echo >"$work/hold"
ends
check "and comes when it is done" prints '{"line":1,"output":null}'
mkfifo "$work/source"
"$brigade" run "$scenario" echo <"$work/source" >"$work/stuck" 2>"$work/told" &
job=$!
exec 5>"$work/source" 4<"$work/stuck" 3<"$work/told"
printf '\357' >&5
printf '\273\2771\n' >&5
read -r first <&4
echo 2 >&5
read -r second <&4
check "a line is done before the next is there, behind a mark in two writes" [ "$first $second" = "1 2" ]
exec 5>&-
ends
check "and the end is the end of the input" ended 0

# ---- an input without end --------------------------------------------------------------------------------------------
mkfifo "$work/endless"
long=$(printf '%0200d' 0)
for order in "" --ordered; do
    yes "\"$long\"" >"$work/endless" 2>"$work/out" &
    "$brigade" run "$scenario" echo -w 2 --isolation thread $order <"$work/endless" >"$work/stuck" 2>"$work/told" &
    job=$!
    exec 4<"$work/stuck" 3<"$work/told"
    head -c 60000000 <&4 >"$work/out"
    peak=$(awk '/^VmHWM/ { print $2 }' /proc/$job/status)
    kill -INT $job
    tail -c 1000 <&4 >"$work/out"
    cat <&3 >"$work/err"
    status=0
    wait $job || status=$?
    exec 3<&- 4<&-
    check "60 MB of an endless input$order, and an interrupt" ended 130
    grep -q libasan "$brigade" || grep -q libtsan "$brigade" ||
        check "  memory is bounded: $peak kB" [ "$peak" -lt 40000 ]
done

# ---- interrupts ------------------------------------------------------------------------------------------------------
for signal in INT TERM; do
    for isolation in thread process; do
        { printf '{"reach":"%s","hold":"%s"}\n' "$work/reach" "$work/hold" && seq 1 100000; } >"$work/in"
        start noop -w 1 --isolation $isolation --with-line
        read -r _ <"$work/reach" || true
        kill -$signal $job
        read -r told <&3
        check "$signal, $isolation: is heard" [ "$told" = "brigade run: finishing what runs; once more to stop at once" ]
        echo >"$work/hold"
        ends
        check "$signal, $isolation: what runs is finished" prints '{"line":1,"output":null}'
        check "$signal, $isolation: ends with 130" ended 130
        check "$signal, $isolation: with the account" says "not run"
    done
done
printf '{"reach":"%s"}\n1\n' "$work/reach" >"$work/in"
start spin -w 1 --grace 1ms
read -r _ <"$work/reach" || true
kill -INT $job
read -r told <&3
kill -INT $job
ends
check "twice ends what runs" ended 130
check "and says what it left" says "0 done, 0 failed, 2 not run; 0 written (interrupted)"
seq 1 1000000 >"$work/in"
start echo -w 2
read -r told <&4
kill -INT $job
read -r told <&3
kill -INT $job 2>"$work/err"
status=0
wait $job || status=$?
exec 3<&- 4<&-
check "also where nobody takes the output" ended 130

finish
