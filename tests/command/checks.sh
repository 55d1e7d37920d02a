# SPDX-License-Identifier: MIT
# For the tests of the command, which source this file with $build and $work set: each check is a line, and what it saw
# is shown when it failed.
brigade=$build/brigade
modules=$build/tests/modules
tests=0 failures=0
: >"$work/in"

# LeakSanitizer says so at the end of a program, of a thread that is just ending: it is no error, and nothing of ours.
noise='^==[0-9]*==Unable to get registers from thread [0-9]*\.$'
drop_noise() {
    if [ -n "${ASAN_OPTIONS:-}" ] && [ -f "$work/err" ] && grep -q "$noise" "$work/err"; then
        grep -v "$noise" "$work/err" >"$work/err.kept"
        mv "$work/err.kept" "$work/err"
    fi
}
# check NAME CONDITION...: one more test.
check() {
    name=$1
    shift
    tests=$((tests + 1))
    drop_noise
    if "$@"; then
        echo "ok   $name"
    else
        echo "FAIL $name"
        head -c 4000 "$work/out" | sed 's/^/     out: /'
        head -c 4000 "$work/err" | sed 's/^/     err: /'
        failures=$((failures + 1))
    fi
}
# run ARGUMENT...: the command on $work/in, into $work/out, $work/err and $status.
run() {
    status=0
    "$brigade" "$@" <"$work/in" >"$work/out" 2>"$work/err" || status=$?
}
# picture ARGUMENT...: pictures that are to be done, however slow the machine.
picture() { run image --timeout 1h "$@"; }
# The usage error with its advice, and nothing done.
refuses() {
    advice=$1
    shift
    run "$@"
    check "refuses: $*" ended 2
    check "  and says: $advice" says "$advice"
}
ended() { [ "$status" -eq "$1" ]; }
says() { grep -qF -- "$1" "$work/err"; }
says_nothing() { [ ! -s "$work/err" ]; }
prints() { grep -qF -- "$1" "$work/out"; }
prints_nothing() { [ ! -s "$work/out" ]; }
prints_file() { cmp -s "$1" "$work/out"; }
prints_sorted() { LC_ALL=C sort "$work/out" | cmp -s "$1" -; }
lines() { [ "$(wc -l <"$work/$1")" -eq "$2" ]; }
# children: the processes that $pid started; workers NAME: those of them that are workers of that pool and have a name yet.
children() { cat /proc/"$pid"/task/*/children 2>/dev/null; }
workers() {
    for child in $(children); do
        read -r name 2>/dev/null <"/proc/$child/comm" && case $name in "$1"-*) echo "$child" ;; esac
    done
}
# signal_until_it_ends SIGNAL: for $pid, which may not listen yet: what the shell starts in the background ignores some.
# It is not waited for meanwhile, and nobody else has its number.
signal_until_it_ends() {
    while kill "-$1" "$pid" 2>/dev/null && read -r _ _ state _ 2>/dev/null <"/proc/$pid/stat" && [ "$state" != Z ]; do
        :
    done
}
# kill_another_worker NAME: kills a worker of $pid that lives and is not in $killed yet, and adds it there.
kill_another_worker() {
    before=$killed
    while [ "$killed" = "$before" ] && kill -0 "$pid" 2>/dev/null; do
        for child in $(workers "$1"); do
            case "$killed " in *" $child "*) continue ;; esac
            kill -9 "$child" 2>/dev/null && killed="$killed $child" && break
        done
    done
}
finish() {
    echo "$((tests - failures)) of $tests checks good"
    [ "$failures" -eq 0 ]
}
