#!/bin/sh
# SPDX-License-Identifier: MIT
# brigade run: lines in, lines out, and what becomes of bad ones. usage: run_test.sh BUILD
set -u
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
scenario=$modules/scenario.so
[ -x "$brigade" ] && [ -f "$scenario" ] || { echo "no $brigade or no $scenario"; exit 77; }

# ---- every line once -------------------------------------------------------------------------------------------------
seq 1 100000 >"$work/in"
LC_ALL=C sort "$work/in" >"$work/sorted"
for isolation in thread process; do
    run run "$scenario" echo --isolation $isolation -w 2 --ordered
    check "$isolation: in order" prints_file "$work/in"
    check "$isolation: all well" ended 0
    check "$isolation: quiet in a pipe" says_nothing
    run run "$scenario" echo --isolation $isolation -w 2
    check "$isolation: each once" prints_sorted "$work/sorted"
    run run "$scenario" echo --isolation $isolation -w 2 --in-flight 3 --ordered --limit 1000 --summary
    check "$isolation: few in flight, and a limit" lines out 1000
    check "$isolation: counted" says "1000 lines: 1000 done, 0 failed; 1000 written"
done
run run "$scenario" echo -w 2 --ordered "$work/in" - "$work/in"
cat "$work/in" "$work/in" "$work/in" >"$work/thrice"
check "files, and standard input among them" prints_file "$work/thrice"

# ---- what is in them -------------------------------------------------------------------------------------------------
cat >"$work/in" <<'LINES'
{"least":-9223372036854775808,"most":9223372036854775807,"more":18446744073709551615}
[0.1,1e+300,-0.0,3.141592653589793]
"a \"quoted\" line\nof two, \u0000 and ü"
null
{"a":{"b":[true,false,{}]},"empty":[]}
LINES
run run "$scenario" echo --ordered -w 1
check "values as they were" cmp -s "$work/in" "$work/out"
run run "$scenario" echo --ordered -w 1 --with-line
check "with their lines" prints '{"line":4,"output":null}'
printf 'plain "text"\r\n\nlast' >"$work/in"
run run "$scenario" echo --ordered -w 1 --raw-input
printf '"plain \\"text\\""\n""\n"last"\n' >"$work/expected"
check "raw lines are strings" prints_file "$work/expected"
run run "$scenario" echo --ordered -w 1 --raw-input --raw-output
printf 'plain "text"\n\nlast\n' >"$work/expected"
check "and strings are raw lines" prints_file "$work/expected"
printf '""\n' >"$work/in"
run run "$scenario" echo --raw-output
check "an empty string is an empty line" [ "$(wc -c <"$work/out")" -eq 1 ]
printf '\357\273\277{"$bytes":"QUI="}\r\n1' >"$work/in"
run run "$scenario" echo --ordered -w 1 --typed
printf '{"$bytes":"QUI="}\n1\n' >"$work/expected"
check "a mark at the start, a return at the end, none at the last" prints_file "$work/expected"
printf '1\n2\n' >"$work/in"
run run "$scenario" noop -w 1
printf 'null\nnull\n' >"$work/expected"
check "tasks that return nothing" prints_file "$work/expected"
run run "$scenario" noop -w 1 --null-output skip
check "or no line" prints_nothing
: >"$work/in"
run run "$scenario" echo --summary
check "no input" ended 0
check "  is no line" says "0 lines: 0 done, 0 failed; 0 written"
printf '1' | "$brigade" run "$scenario" echo "$work/in" - "$work/in" >"$work/out" 2>"$work/err"
check "empty files between" prints 1

# ---- bad lines -------------------------------------------------------------------------------------------------------
printf '1\n\n{"a":1,\n  \t\n"\377"\n{"a":1,"a":2}\nnan\n7\n' >"$work/in"
for order in --ordered --summary; do
    run run "$scenario" echo -w 2 $order
    check "the rest goes on" lines out 2
    check "ends with 1" ended 1
    check "by number, with the place" says "line 3: no JSON at column 8 (byte 7): "
    check "no UTF-8" says "line 5: no JSON at column 3 "
    check "a key twice" says "line 6: no JSON at column "
    check "no JSON" says "line 7: no JSON at column 1 "
done
check "blank ones are counted" says "8 lines: 2 done, 4 failed (4 of them no input), 2 blank; 2 written"
run run "$scenario" echo -w 2 "$work/in" "$work/in"
check "files are named" says "$work/in:3: no JSON"
awk 'BEGIN { print 1; s = "x"; while (length(s) < 3000000) s = s s; print "\"" s "\""; print "[2]"; print "\"" s "\"" }' >"$work/in"
run run "$scenario" echo -w 2 --ordered --line-max 2M
printf '1\n[2]\n' >"$work/expected"
check "a huge line fails alone" prints_file "$work/expected"
check "  by number" says "line 2: the line is longer than 2097152 bytes (--line-max)"
check "  also at the end" says "line 4: the line is longer"
run run "$scenario" echo -w 2 --ordered
check "or goes through" prints_file "$work/in"
run run "$scenario" echo -w 2 --message-max 1M
check "or is too large as a message" says "line 4: "

# ---- tasks that fail -------------------------------------------------------------------------------------------------
printf '{"a":1}\n2\n' >"$work/in"
for isolation in thread process; do
    run run "$scenario" fail --isolation $isolation -w 2
    check "$isolation: the error whole" says "line 2: page 7 is upside down (BRG_FAILED, code -42)"
    check "$isolation: ends with 1" ended 1
    run run "$scenario" fail --isolation $isolation -w 2 --errors-out "$work/errors"
    check "$isolation: errors go to a file" says_nothing
    check "$isolation: with all they have" grep -q '^{"line":1,"error":{"status":"BRG_FAILED","message":"page 7 is upside down","domain":"scenario","code":-42,"attempts":1,"detail":{"page":"seven"}},"input":{"a":1}}$' "$work/errors"
    check "$isolation: both" [ "$(wc -l <"$work/errors")" -eq 2 ]
done
run run "$scenario" fail -w 2 --errors-out -
check "errors among the results" lines out 2
printf '{"until":3}\n' >"$work/in"
run run "$scenario" flaky --retries 2 --retry-on failed -w 2 --summary
check "retries" prints '{"attempt":3}'
check "are counted" says "1 lines: 1 done, 0 failed, 2 retries; 1 written"
run run "$scenario" flaky --retries 1 --retry-on failed -w 2
check "too few" says "line 1: not yet (BRG_FAILED, code 1, 2 attempts)"
run run "$scenario" big_result -w 2
check "a result without JSON" ended 0
awk 'BEGIN { for (i = 1; i <= 200; i++) print i % 10 == 0 ? "{\"until\":4,\"crash\":true}" : "{\"until\":1}" }' >"$work/in"
run run "$scenario" flaky --retries 4 -w 2 --summary
check "crashes lose nothing" ended 0
check "  200 results" lines out 200
check "  60 more attempts" says "200 lines: 200 done, 0 failed, 60 retries; 200 written"
run run "$scenario" flaky --retries 1 -w 2 --ordered
check "without enough of them the crashed ones fail" [ "$(wc -l <"$work/err")" -eq 20 ]
check "  each by its number" says "line 190: "
check "  with its signal" says "BRG_CRASHED, signal 6, 2 attempts"
check "  and the others are there" lines out 180
printf '{}\n{}\n' >"$work/in"
run run "$scenario" spin -w 2 --timeout 20ms --grace 1ms
check "timeouts" says "BRG_TIMED_OUT"
check "  of both" lines err 2
seq 1 5000 | sed '1000s/.*/oops/' >"$work/in"
run run "$scenario" echo -w 2 --fail-fast --ordered --summary --in-flight 16
check "stop at the first" ended 1
check "  and say at which" says "line 1000: no JSON"
# Of the 16 in flight those that no worker has begun are left out; a worker that gets no CPU may hold old ones.
check "  what came before is there" [ "$(wc -l <"$work/out")" -ge 984 ]
check "  and nothing behind" [ "$(tail -n 1 "$work/out")" -lt 1000 ]
check "  in order" sort -n -c "$work/out"
seq 1 5000 >"$work/in"
run run "$scenario" fail -w 2 --fail-fast --summary --in-flight 16
check "stop at a failed task" says " not run; 0 written"
check "  ends with 1" ended 1

# ---- what cannot run -------------------------------------------------------------------------------------------------
run run "$scenario" nothing
check "no such task" ended 3
check "  but these" says 'the module has no task named "nothing"; it has noop, echo, '
check "  said once" lines err 1
run run nowhere echo
check "no such module" says 'there is no module "nowhere"'
check "ends with 3" ended 3
run run "$work/no.so" echo
check "no such file" says "No such file"
run run "$modules/not_a_module.so" echo
check "no module" says "is no brigade module"
check "  ends with 3" ended 3
run run "$scenario" echo "$work/in" "$work/no.ndjson"
check "a missing input is seen first" prints_nothing
check "  and said" says "no.ndjson: No such file"
run run "$scenario" echo "$work"
check "a directory" says "is a directory"
run run
check "nothing asked" says "which module? Give MODULE TASK"
run run "$scenario"
check "half asked" says "which task of it?"
printf '{}\n' >"$work/in"
cp "$scenario" "$work/named.so"
BRIGADE_MODULE_PATH=$work run run named noop
check "a module by its name" prints null

finish
