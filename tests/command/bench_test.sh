#!/bin/sh
# SPDX-License-Identifier: MIT
# brigade bench: what it shows, what it refuses, and how it ends. usage: bench_test.sh BUILD
set -u
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
here=$(cd "$(dirname "$0")" && pwd)
man=$here/../../docs/man
: >"$work/in"
[ -x "$brigade" ] && [ -f "$build/modules/work.so" ] || { echo "no $brigade or no work.so"; exit 77; }
well_formed() { ! command -v xmllint >/dev/null || xmllint --noout "$1" 2>>"$work/err"; }
document() { "$build/tests/bin/test_json_document" "$work/out"; }
quick="--mix 3:10us,1:200us -n 60 --repeat 1"

# ---- what is shown ---------------------------------------------------------------------------------------------------
# shellcheck disable=SC2086
run bench $quick --svg "$work/bars.svg"
check "ends well" ended 0
check "quiet in a pipe" says_nothing
for policies in "fifo, pull" "fifo, stealing" "priority, pull" "priority, stealing" "fair, pull" "fair, stealing"; do
    check "a row for $policies" grep -qE "^$policies +[0-9.]+ .* 10us +[0-9.]+ .?s" "$work/out"
done
check "and one more for the longer tasks" [ "$(grep -cE '^ +200us ' "$work/out")" -eq 6 ]
check "a picture" grep -q '^<svg' "$work/bars.svg"
check "is well-formed" well_formed "$work/bars.svg"
check "with all policies" [ "$(grep -c 'stealing</text>' "$work/bars.svg")" -eq 3 ]
# shellcheck disable=SC2086
run bench $quick --at-once --isolation thread --policies "queue=all;placement=round_robin" --json
check "json: ends well" ended 0
check "json: is one document" document
check "json: all queues" [ "$(grep -c '"queue"' "$work/out")" -eq 6 ]
check "json: tasks at once have no load" prints '"load": null'
check "json: no task is lost" [ "$(sed -nE 's/^ *"tasks": ([0-9]+).*/\1/p' "$work/out" | awk 'NR > 1 { sum += $1 } END { print sum }')" -eq 360 ]
# shellcheck disable=SC2086
run bench $quick --policies "isolation=thread,process;scaling=fixed,load" --queue deadline -w 3 --repeat 2 --progress always
check "isolations and scalings" ended 0
check "one row each" [ "$(grep -cE '^(fixed|load), (thread|process) ' "$work/out")" -eq 4 ]
check "workers as they were asked for" prints "3 workers; medians of 2 rounds"
check "progress, when it is asked for" says "round 2 of 2: load, process"
# shellcheck disable=SC2086
run bench $quick --queue lifo
check "one choice of policies" grep -qE "^lifo, pull +[0-9]" "$work/out"
run bench --mix 1:20us --task sleep -n 20 --repeat 1 --policies placement=sticky
check "one length of tasks" ended 0
run bench --mix 1:100us:low,1:100us:urgent,1:2ms:normal -n 30 --at-once --repeat 1 --queue weighted --task mix
check "priorities as they were asked for" ended 0
run bench --mix 1:1m -n 20 --at-once --repeat 1 --timeout 2ms --grace 1ms --queue fifo # the timer may be late
check "tasks that fail" ended 1
check "are said" prints "tasks failed and are not counted"

# ---- what cannot be --------------------------------------------------------------------------------------------------
refuses "write 90:100us,10:10ms" bench --mix 100us
refuses "is no time" bench --mix 9:soon
refuses "is no number" bench --mix lots:1ms
refuses "more than a minute" bench --mix 1:2m
refuses "normal, urgent, high or low" bench --mix 1:1ms:fast
refuses "at most 6 lengths" bench --mix 1:1ms,1:2ms,1:3ms,1:4ms,1:5ms,1:6ms,1:7ms
refuses "write queue=fifo,priority" bench --policies fifo
refuses "queue, placement, scaling or isolation" bench --policies "order=fifo"
refuses "fifo, lifo, priority" bench --policies "queue=best"
refuses "is there twice" bench --policies "queue=fifo,fifo"
refuses "is there twice" bench --policies "queue=fifo;queue=lifo"
refuses "combinations; at most 64" bench --policies "queue=all;placement=all;isolation=all"
refuses "contradict" bench --queue fifo --policies "queue=fifo,lifo"
refuses "contradict" bench --load 0.5 --at-once
refuses "from 0.05 to 2" bench --load 3
refuses "spin, sleep or mix" bench --task echo
refuses "nothing to the work module" bench --init 1
refuses "it takes no operands" bench work
# shellcheck disable=SC2086
run bench $quick --svg "$work/none/bars.svg" --queue fifo
check "a picture that cannot be written" ended 1

# shellcheck disable=SC2086
run bench $quick --policies "queue=fifo" --scaling backlog --workers-min 0
check "workers that come with the tasks" ended 0

# ---- interrupted -----------------------------------------------------------------------------------------------------
# More work than there is time for, 1302 measurements of half a second, of which the first is awaited: whoever waits, the
# interrupt comes before the end.
mkfifo "$work/line"
"$brigade" bench --mix 1:100ms -n 10 -w 2 --task sleep --at-once --repeat 31 --policies "queue=all;placement=all" \
    --progress always >"$work/out" 2>"$work/line" &
pid=$!
{
    stdbuf -oL tr '\r' '\n' | while read -r line; do
        case $line in "round 1 of"*fifo*round*robin*) kill -INT $pid && break ;; esac
    done
    cat >/dev/null
} <"$work/line"
wait $pid
status=$?
check "interrupted" ended 130
check "what was measured" prints "interrupted; what was measured until then"
check "is in the table" grep -qE '^fifo' "$work/out"

# ---- the manual ------------------------------------------------------------------------------------------------------
for option in $("$brigade" --options bench); do
    grep -qE "^\.It (Fl [a-zA-Z] , )?Fl ${option#-}( |$)" "$man/brigade-bench.1" "$man/brigade-run.1" || echo "$option"
done >"$work/out"
check "every option is in the manual" prints_nothing
sed -nE 's/^\.It (Fl [a-zA-Z] , )?Fl (-[a-z-]+).*/-\2/p' "$man/brigade-bench.1" | while read -r option; do
    "$brigade" --options bench | grep -qx -- "$option" || echo "$option"
done >"$work/out"
check "every option of the manual is there" prints_nothing
finish
