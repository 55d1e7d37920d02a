#!/bin/sh
# SPDX-License-Identifier: MIT
# brigade tune: what it shows, what it refuses, and how it ends. How well it finds is in cmd/brigade/search_test.c.
# usage: tune_test.sh BUILD
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
# Rows of the table: a star or a blank, the count.
rows() { grep -cE '^[* ] +[0-9]+ .*%' "$work/out"; }
has_rows() { [ "$(rows)" -eq "$1" ]; }
quick="--round 5ms --rounds 3 -i {\"us\":20}"

# ---- what is shown ---------------------------------------------------------------------------------------------------
for isolation in thread process; do
    # shellcheck disable=SC2086
    run tune work spin $quick --sweep --from 2 --to 4 --isolation $isolation
    check "$isolation: ends well" ended 0
    check "$isolation: a row for each count of a sweep" has_rows 3
    check "$isolation: one of them the best" [ "$(grep -c '^[*]' "$work/out")" -eq 1 ]
    check "$isolation: the conclusion" grep -qE '^best: [234] workers \(.* tasks/s' "$work/out"
    check "$isolation: what to write" prints "--isolation $isolation --workers"
    check "$isolation: quiet in a pipe" says_nothing
    check "$isolation: no plot in a pipe" [ "$(grep -c '└\|^ *+--' "$work/out")" -eq 0 ]
done
# shellcheck disable=SC2086
run tune work spin $quick --to 8 --isolation thread
check "a search has fewer rounds than a sweep" [ "$(sed -nE 's/^best: .*; ([0-9]+) rounds.*/\1/p' "$work/out")" -le 6 ]
# shellcheck disable=SC2086
LC_ALL=C run tune work spin $quick --to 2 --isolation thread --plot --svg "$work/plot.svg"
check "a plot, if asked" prints "        +----"
check "in plain letters where there is no UTF-8" [ "$(LC_ALL=C tr -d '\000-\177' <"$work/out" | wc -c)" -eq 0 ]
check "no colour in a pipe" [ "$(grep -c "$(printf '\033')" "$work/out")" -eq 0 ]
check "a picture" grep -q '^<svg' "$work/plot.svg"
check "is well-formed" well_formed "$work/plot.svg"
check "names the task" grep -q 'work, task spin' "$work/plot.svg"
# shellcheck disable=SC2086
run tune work spin $quick --to 2 --json
check "json: ends well" ended 0
check "json: nothing else is said" says_nothing
check "json: is one document" document
check "json: has the best" grep -qE '"best": [12],' "$work/out"
check "json: and all counts" [ "$(grep -c '"tasks_per_second"' "$work/out")" -eq 3 ]
run tune work echo --round 5ms --rounds 1 --to 1 --progress always
check "one count, no input" ended 0
check "one worker, in the singular" prints "best: 1 worker ("
check "progress, when it is asked for" says "round 1 of at most 2: 1 worker"

# ---- terminals -------------------------------------------------------------------------------------------------------
# terminal COLUMNS ARGUMENT...: on a terminal so wide; what it showed is in $work/out.
terminal() {
    columns=$1
    shift
    script -q -e -c "stty cols $columns; exec '$brigade' tune work spin -i '{\"us\":20}' --round 5ms --rounds 3 --to 4 $*" /dev/null \
        </dev/null 2>"$work/err" | tr '\r' '\n' >"$work/out"
}
escape=$(printf '\033')
if script -q -e -c true /dev/null </dev/null >/dev/null 2>&1; then
    LC_ALL=C terminal 70
    check "a terminal gets a plot" prints "        +----"
    check "as wide as it is" [ "$(sed "s/$escape\[[0-9;]*[mK]//g" "$work/out" | grep -A 20 'tasks/s$' | awk 'length > 70' | wc -l)" -eq 0 ]
    check "and colour" grep -q "$escape\[1;32m" "$work/out"
    check "and progress" grep -q "^round [0-9]* of at most" "$work/out"
    NO_COLOR=1 terminal 70
    check "NO_COLOR" [ "$(grep -c "$escape\[[0-9;]*m" "$work/out")" -eq 0 ]
    terminal 70 --no-plot --quiet
    check "only the table" [ "$(grep -c -- '----' "$work/out")" -eq 0 ]
    check "and no progress" [ "$(grep -c 'of at most' "$work/out")" -eq 0 ]
    if locale -a 2>/dev/null | grep -qi '^C.utf-\?8$'; then
        LC_ALL=C.UTF-8 terminal 70
        check "dots where there is UTF-8" prints "┤"
    fi
fi

# ---- inputs ----------------------------------------------------------------------------------------------------------
printf '{"us":10}\n\n{"us":20}\n{"us":30}' >"$work/inputs"
run tune work spin --inputs "$work/inputs" --round 5ms --rounds 1 --to 2
check "inputs from a file" ended 0
cp "$work/inputs" "$work/in"
run tune work spin --inputs - --round 5ms --rounds 1 --to 2
check "and from standard input" ended 0
printf '{"us":10}\n{"us":\n' >"$work/inputs"
run tune work spin --inputs "$work/inputs"
check "a bad line" ended 2
check "is named" says "$work/inputs, line 2:"
: >"$work/inputs"
run tune work spin --inputs "$work/inputs"
check "no line at all" says "there is no line of JSON in it"
printf '{"us":20}\n{"nothing":1}\n' >"$work/inputs"
run tune work spin --inputs "$work/inputs" --round 5ms --rounds 1 --to 2
check "some tasks fail" ended 1
check "they are said" prints "tasks failed and are not counted; the first: how long?"

# ---- what cannot be --------------------------------------------------------------------------------------------------
refuses "which task? Give a module and the name of a task" tune work
refuses "one too many" tune work spin fast
refuses "give --from and --to instead" tune work spin -w 2
refuses "which tune sets itself" tune work spin --scaling load
refuses "contradict" tune work spin -i 1 --inputs x
refuses "contradict" tune work spin --plot --no-plot
refuses "is no JSON" tune work spin -i '{'
refuses "--from 5 is above --to 4" tune work spin --from 5 --to 4
refuses "from 1 to 1024" tune work spin --to 0
refuses "from 1 to 31" tune work spin --rounds 99
refuses "write 500ms" tune work spin --round 5
refuses "auto, always or never" tune work spin --progress often
for rule in drop-oldest drop-newest; do
    refuses "what is lost cannot be measured" tune work spin --admission $rule --queue-max 1
done
run tune "$modules/only_one.so" nothing --init "\"$work/one\"" --from 2 --to 2 --start-timeout 10s --crash-limit 1000
check "workers that never start: it does not wait for ever" ended 3
# Which of the two it sees first depends on how late it looks.
stuck() {
    says "1 worker is online, not 2, and that has not got better for" ||
        says "1 of 2 workers are there, and the others do not start"
}
check "and says how many there are" stuck
for good in 1 5; do # the first try, and then none; some more
    run tune "$modules/tiring.so" work -i $good --isolation thread --to 1 --start-timeout 5s
    check "tasks that hang after $good: it does not wait for ever" ended 3
    check "and says so" says "no task has ended for"
done
run tune work fail
check "a task that fails: nothing can be measured" ended 3
check "and why" says "failed, as it was asked to"
run tune work crash
check "a task that crashes" ended 3
check "with the signal" says "SIGSEGV"
run tune work cook
check "no such task" says 'no task named "cook"'
run tune kitchen cook
check "no such module" ended 3
# shellcheck disable=SC2086
run tune work spin $quick --to 2 --svg "$work/none/plot.svg"
check "a picture that cannot be written" ended 1
check "is said" says "--svg $work/none/plot.svg: No such file"
"$brigade" tune work spin --round 5ms --rounds 1 --to 1 -i '{"us":20}' >/dev/full 2>"$work/err"
status=$?
check "a table that nobody got is a failure" ended 1

# ---- interrupted -----------------------------------------------------------------------------------------------------
# Its progress line says when it has begun. 620 rounds of a second are more than there is time for: whoever waits, the
# interrupt comes before the end.
for isolation in thread process; do
    mkfifo "$work/line-$isolation"
    "$brigade" tune work spin -i '{"us":50}' --isolation $isolation --round 1s --rounds 31 --sweep --to 20 --progress always \
        >"$work/out" 2>"$work/line-$isolation" &
    pid=$!
    {
        stdbuf -oL tr '\r' '\n' | while read -r line; do
            case $line in *"best so far"*) kill -INT $pid && break ;; esac
        done
        cat >/dev/null
    } <"$work/line-$isolation"
    wait $pid
    status=$?
    check "$isolation: interrupted" ended 130
    check "$isolation: what is known" prints "interrupted; so far the best:"
done

# ---- the manual ------------------------------------------------------------------------------------------------------
for option in $("$brigade" --options tune); do
    grep -qE "^\.It (Fl [a-zA-Z] , )?Fl ${option#-}( |$)" "$man/brigade-tune.1" "$man/brigade-run.1" || echo "$option"
done >"$work/out"
check "every option is in the manual" prints_nothing
sed -nE 's/^\.It (Fl [a-zA-Z] , )?Fl (-[a-z-]+).*/-\2/p' "$man/brigade-tune.1" | while read -r option; do
    "$brigade" --options tune | grep -qx -- "$option" || echo "$option"
done >"$work/out"
check "every option of the manual is there" prints_nothing
finish
