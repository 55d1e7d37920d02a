#!/bin/sh
# SPDX-License-Identifier: MIT
# brigade run: every option, what it takes, and what it says of anything else. usage: run_options_test.sh BUILD
set -u
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
scenario=$modules/scenario.so
manual=$(cd "$(dirname "$0")/../.." && pwd)/docs/man/brigade-run.1
[ -x "$brigade" ] && [ -f "$scenario" ] || { echo "no $brigade or no $scenario"; exit 77; }

# ---- the table, the manual, the help ---------------------------------------------------------------------------------
run run --help
check "help" ended 0
check "  no line is too long" [ "$(awk 'length > 100' "$work/out" | wc -l)" -eq 0 ]
check "  nor ends with a space" [ "$(grep -c ' $' "$work/out")" -eq 0 ]
"$brigade" --options run >"$work/names"
while read -r option; do
    grep -qE "^\.It (Fl [a-zA-Z] ?([A-Za-z]+ )*, )?Fl -${option#--}( |\$)" "$manual" || echo "$option"
done <"$work/names" >"$work/out"
check "every option is in the manual" prints_nothing
sed -nE 's/^\.It (Fl [a-zA-Z] , )?Fl -([a-z-]+).*/--\2/p' "$manual" | while read -r option; do
    grep -qx -- "$option" "$work/names" || echo "$option"
done >"$work/out"
check "every option of the manual is there" prints_nothing

# ---- taken -----------------------------------------------------------------------------------------------------------
# takes ARGUMENT...: each of the lines comes back.
awk 'BEGIN { for (i = 0; i < 40; i++) printf "{\"n\":%d,\"user\":{\"id\":\"u%d\"},\"how\":\"%s\"}\n", i, i % 3, i % 2 ? "low" : "urgent" }' >"$work/in"
LC_ALL=C sort "$work/in" >"$work/sorted"
takes() {
    run run "$scenario" echo -w 2 "$@"
    check "takes $*" prints_sorted "$work/sorted"
    check "  and ends well" ended 0
}
for isolation in thread process; do
    for queue in fifo lifo deadline "priority --priority how --ageing 5ms" "weighted --priority how --shares 1,2,3,4" \
        "fair --key user.id"; do
        takes --isolation $isolation --queue $queue
    done
    for placement in pull round-robin least-busy random two-choices "sticky --key user.id" stealing round_robin; do
        takes --isolation $isolation --placement $placement
    done
    for scaling in fixed backlog load adaptive; do
        takes --isolation $isolation --scaling $scaling
    done
    for admission in block reject caller-runs drop-oldest drop-newest; do
        takes --isolation $isolation --admission $admission
    done
    takes --isolation $isolation --queue-max 1
    takes --isolation $isolation --admission block --queue-max 1 --admission-timeout 1h
    takes --isolation $isolation --batch-size 8 --batch-delay 500us --queue-bytes-max 1k
done
takes --scaling load --workers-min 0 --grow-busy 50 --shrink-busy 10 --scaling-interval 10ms --idle-timeout 1s --warm-spares 1
takes --scaling backlog --workers-min 2 --grow-queued 1
takes --recycle-tasks 5 --recycle-age 1h --recycle-rss 4G --memory-max 4G --rss-max 4G --start-timeout 1h
takes --seed 1 --timeout 1h --queue-timeout 1h --deadline 1h --grace 1s --heartbeat 1h
takes --retries 2 --retry-on crash,timeout,failed,memory,transient --backoff exponential --retry-delay 1ms \
    --retry-delay-max 2ms --retry-jitter 50 --crash-limit 3
takes --retries 1 --retry-on all --message-max 1M --line-max 1k --in-flight 2
takes --key n --progress never

printf 'null\n' >"$work/in"
run run "$scenario" state --init '{"greeting":"hello"}'
check "init data" prints '"greeting":"hello"'
echo '{"greeting":"from a file"}' >"$work/init"
run run "$scenario" state --init @"$work/init" --isolation thread
check "init data of a file" prints '"greeting":"from a file"'
printf '{"n":4}\n{"n":5}\n' >"$work/in"
run run "$modules/batch.so" work --batch-size 2 --batch-delay 1h --ordered -w 1
check "batches" prints '{"n":10,"count":2,"attempt":1}'

# A full queue, when it is asked for: the one worker is held, one task waits, so the third is too much.
mkfifo "$work/reach" "$work/hold" "$work/told" "$work/source"
for rule in reject drop-oldest drop-newest; do
    "$brigade" run "$scenario" noop -w 1 --admission $rule --queue-max 1 <"$work/source" >"$work/out" 2>"$work/told" &
    job=$!
    exec 4>"$work/source" 3<"$work/told"
    printf '{"reach":"%s","hold":"%s"}\n' "$work/reach" "$work/hold" >&4
    read -r _ <"$work/reach" || true
    printf '2\n3\n4\n5\n' >&4
    exec 4>&-
    read -r first <&3
    echo >"$work/hold"
    { echo "$first" && cat <&3; } >"$work/err"
    exec 3<&-
    status=0
    wait $job || status=$?
    check "$rule: a line too many fails" says "(BRG_FULL)"
    check "  and each is answered" [ "$(($(wc -l <"$work/out") + $(wc -l <"$work/err")))" -eq 5 ]
    check "  ends with 1" ended 1
done

# ---- refused ---------------------------------------------------------------------------------------------------------
printf '1\n' >"$work/in"
refuses "thread or process" run m t --isolation fiber
refuses "fifo, lifo, priority, weighted, deadline or fair" run m t --queue filo
refuses "pull, round-robin, least-busy, random, two-choices, sticky or stealing" run m t --placement push
refuses "fixed, backlog, load or adaptive" run m t --scaling up
refuses "reject, block, caller-runs, drop-oldest or drop-newest" run m t --admission maybe
refuses "crash, timeout, failed, memory, transient or all" run m t --retries 1 --retry-on crash,rain
refuses "fixed or exponential" run m t --backoff linear
refuses "write 0,50,40,10" run m t --shares 1,2,3
refuses "write 0,50,40,10" run m t --shares 1,2,3,-4
refuses "all four are zero" run m t --shares 0,0,0,0
refuses "from 1 to 1024" run m t --workers 0
refuses "from 1 to 4096" run m t --batch-size 0
refuses "from 0 to 1000" run m t --retries many
refuses "from 1 to 100" run m t --grow-busy 101
refuses "from 1 to 65536" run m t --in-flight 0
refuses "write 500ms" run m t --timeout 5
refuses "write 500ms" run m t --batch-delay -1ms
refuses "write 100k" run m t --memory-max lots
refuses "needs --scaling" run m t --workers-min 2
refuses "--workers-min 3 is above --workers 2" run m t --scaling load --workers-min 3 --workers 2
refuses "must be below --grow-busy" run m t --scaling load --grow-busy 20 --shrink-busy 20
refuses "need --isolation process" run m t --isolation thread --memory-max 1G
refuses "give --retries N" run m t --retry-on crash
refuses "need --retry-delay" run m t --retries 2 --backoff exponential
refuses "needs --admission block" run m t --admission-timeout 1s
refuses "give --key FIELD" run m t --placement sticky
refuses "give --key FIELD" run m t --queue fair
refuses "give --priority FIELD" run m t --queue weighted
refuses "needs --queue priority or weighted" run m t --priority how
refuses "names no field" run m t --key user..id
refuses "do not go with --raw-input" run m t --raw-input --key a
refuses "contradict" run m t --raw-output --with-line
refuses "contradict" run m t --quiet --summary
refuses "text or json" run m t --summary=xml
refuses "print or skip" run m t --null-output never
refuses "auto, always or never" run m t --progress sometimes
refuses "is no JSON" run m t --init '{'
refuses "No such file" run m t --config @"$work/nowhere"
refuses "unknown or ambiguous option --retry" run m t --retry 1

# ---- fields ----------------------------------------------------------------------------------------------------------
printf '{"how":"urgent"}\n{"how":"soon"}\n{"how":3}\n{}\n7\n' >"$work/in"
run run "$scenario" echo -w 2 --queue priority --priority how
check "a priority that is none" says 'line 2: the priority in "how" is "soon"; it is urgent, high, normal or low (BRG_INVALID)'
check "or of another type" says 'line 3: the priority in "how" is of type int'
check "none is normal" lines out 3

# ---- for programs and for people -------------------------------------------------------------------------------------
printf '1\n\n{\n2\n' >"$work/in"
run run "$scenario" echo -w 2 --summary=json
tail -n 1 "$work/err" >"$work/document"
check "a summary for programs" "$build/tests/bin/test_json_document" "$work/document"
check "  has the counts" says '{"lines":4,"blank":1,"done":2,"failed":1,"bad":1,"not_run":0,"written":2,"retried":0,"interrupted":false,'
run run "$scenario" echo -w 2 --summary --progress always
check "no colour in a pipe" [ "$(grep -c "$(printf '\033')\[3" "$work/err")" -eq 0 ]
if script -q -e -c true /dev/null </dev/null >/dev/null 2>&1; then
    mkfifo "$work/shown"
    { printf '{"hold":"%s"}\nbad\n' "$work/hold"; seq 1 30; } >"$work/in"
    script -q -e -c "stty cols 60; exec '$brigade' run '$scenario' noop -w 2 --ordered '$work/in' >'$work/results'" /dev/null \
        </dev/null >"$work/shown" 2>&1 &
    job=$!
    exec 3<"$work/shown"
    stdbuf -oL tr '\r' '\n' <&3 | { grep -m 1 'in flight' && cat >"$work/out"; } >"$work/line" &
    shower=$!
    while [ ! -s "$work/line" ]; do kill -0 $shower 2>/dev/null || break; done
    echo >"$work/hold"
    wait $job
    wait $shower
    exec 3<&-
    check "a terminal shows how it goes" grep -q "in flight" "$work/line"
    check "  in its width" [ "$(sed "s/$(printf '\033')\[[0-9]*[mK]//g" "$work/line" | awk 'length > 59' | wc -l)" -eq 0 ]
    check "  and sums up" grep -q "32 lines: 31 done, .*1 failed" "$work/out"
fi
finish
