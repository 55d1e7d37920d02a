#!/bin/sh
# SPDX-License-Identifier: MIT
# Rows that `brigade analyze --sort` sorts without a limit, against sort(1). usage: analyze_sort_test.sh BUILD
set -u
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
[ -x "$brigade" ] || { echo "no $brigade"; exit 77; }
. "$(dirname "$0")/analyze.sh"
cd "$work" || exit 1
mkdir spill
TMPDIR=$work/spill
export TMPDIR
left_nothing() { [ -z "$(ls -A spill)" ]; }

# ---- small ones ------------------------------------------------------------------------------------------------------
printf 'k,v\n10,a\n,b\nx,c\n9,d\n10.0,e\n,f\nxy,g\n-3,h\nX,i\n' >small.csv
run --sort k small.csv
check "numbers, texts by bytes, then empty cells; equals as they came" \
    gives k,v -3,h 9,d 10,a 10.0,e X,i x,c xy,g ,b ,f
run --sort k:desc small.csv
check "descending: in each kind" gives k,v 10,a 10.0,e 9,d -3,h xy,g x,c X,i ,b ,f
run --sort k:desc,v:desc -s v --where 'v != "a"' small.csv
check "by two, other columns, a filter" gives v e d h g c i f b
run --sort k --limit 20000 small.csv
check "a large limit" gives k,v -3,h 9,d 10,a 10.0,e X,i x,c xy,g ,b ,f
run --sort k --where 'v == "none"' small.csv
check "of nothing" gives k,v
run --sort v:desc --limit 20000 --json -s v --where 'k == 10' small.csv
check "as JSON" gives '[' '{"v":"e"},' '{"v":"a"}' ']'
printf '{"k":{"n":2},"v":"a"}\n{"k":{"n":"1"},"v":"b"}\n{"v":"c"}\n' >small.ndjson
run --sort k.n -s v small.ndjson
check "NDJSON" gives v b a c
printf 'k,v\n10,j\n9,k\n10,l\n' >other.csv
for limit in 10000 10001; do
    run --sort k -s v --where 'k >= 9' --limit $limit small.csv other.csv small.csv
    check "equals of several inputs as they came, limit $limit" gives v d k d a e j l a e
done
run --sort k -s v --where 'k >= 9' --limit 6 small.csv other.csv small.csv
check "  the first of them" gives v d k d a e j
run --limit 20 -f table -s v --where 'k >= 9' other.csv small.csv other.csv
check "  also unsorted, in a table" gives v j k l a d e j k l
refuses "at least 16k" --sort k --sort-memory 1k small.csv
refuses "needs --limit N" --sort k --format table small.csv

# ---- large ones, against sort(1) -------------------------------------------------------------------------------------
"$data" --rows 20000 >big.csv
# expect SORT-OPTION...: the rows that --sort must give, in the file "expected".
expect() { { head -n 1 big.csv && tail -n +2 big.csv | LC_ALL=C sort -s -t, "$@"; } >expected; }
for memory in 16k 100k 256M; do
    expect -k2,2
    for isolation in thread process; do
        run --sort country --sort-memory $memory --chunk 20k --isolation $isolation big.csv
        check "texts, in $memory, $isolation" cmp -s out expected
    done
    expect -k5,5nr -k3,3
    run --sort quantity:desc,category --sort-memory $memory --chunk 3000 --workers 3 big.csv
    check "numbers from the greatest, in $memory, many runs" cmp -s out expected
    cat big.csv | "$brigade" analyze --sort quantity:desc,category --sort-memory $memory --chunk 9k >out 2>err
    check "  from a pipe" cmp -s out expected
    head -n 15001 expected | tail -n +2 >part
    run --sort quantity:desc,category --limit 15000 --sort-memory $memory --chunk 20k big.csv
    check "  with a limit" [ "$(tail -n +2 out | cmp - part 2>&1)" = "" ]
done
check "nothing is left in TMPDIR" left_nothing
"$data" --rows 20000 --ndjson >big.ndjson
{ echo id; tail -n +2 big.csv | grep ,DE, | LC_ALL=C sort -s -t, -k4,4n | cut -d, -f1; } >expected
run --sort price -s id --where 'country == "DE"' --sort-memory 16k --chunk 30k big.ndjson
check "NDJSON with a filter, in 16k" cmp -s out expected
run --top 12000:price -s id --where 'country == "DE"' --sort-memory 16k --chunk 30k big.csv
check "as a top of many" [ "$(wc -l <out)" = "$(wc -l <expected)" ]
"$data" --rows 3000 --quoted >quoted.csv
run --sort id:desc --sort-memory 16k --chunk 4k quoted.csv
cp out in
run --sort id --sort-memory 16k --chunk 4k
cp out sorted
run --where 'id > 0' quoted.csv
check "quotes and line ends, there and back" cmp -s out sorted

# ---- what goes wrong -------------------------------------------------------------------------------------------------
expect -k5,5n
TMPDIR=$work/none run --sort quantity big.csv
check "without a file TMPDIR may be none" cmp -s out expected
TMPDIR=$work/none run --sort quantity --sort-memory 16k --chunk 20k big.csv
check "with one it may not" ended 1
check "  which is said" says "no temporary file can be made in $work/none: No such file or directory; TMPDIR names"
check "  and nothing is printed" [ ! -s out ]
(ulimit -f 64 && "$brigade" analyze --isolation thread --sort quantity --sort-memory 16k --chunk 20k big.csv) >out 2>err
status=$?
check "a full disk" ended 1
check "  is said" says "the temporary file in $work/spill could not be written: File too large; TMPDIR names"
check "  and nothing is printed" [ ! -s out ]
"$brigade" analyze --sort quantity --sort-memory 16k big.csv >/dev/full 2>err
status=$?
check "standard output on a full disk" ended 1
check "  is said" says "standard output could not be written: No space left on device"
"$brigade" analyze big.csv >/dev/full 2>err
status=$?
check "  also of unsorted rows" ended 1
check "  is said" says "standard output could not be written: No space left on device"

mkfifo output
(trap '' PIPE && exec "$brigade" analyze --sort quantity --sort-memory 16k big.csv) >output 2>err &
pid=$!
head -n 1 <output >out
wait $pid
status=$?
check "a reader that went away" ended 1
check "  is said" says "standard output could not be written: Broken pipe"

# Its first bytes come when it merges for the last time, and it waits for the reader of the rest.
# A pipe of its own: that one may still be open in workers that are just ending.
mkfifo unread
"$brigade" analyze --sort quantity --sort-memory 16k big.csv >unread 2>err &
pid=$!
exec 4<unread
head -c 1 <&4 >out
# What began with the signal ignored listens all the same, but perhaps not yet.
signal_until_it_ends TERM
wait $pid
status=$?
exec 4<&-
check "interrupted while it merges" ended 130
check "nothing is left in TMPDIR" left_nothing

# Nor does anybody read its progress: the handler itself would wait for that. The pipe is full when it is interrupted.
mkfifo deaf errors
exec 5<>errors
cat <&5 >/dev/null &
drain=$!
"$brigade" analyze --sort quantity --sort-memory 16k --progress always big.csv >deaf 2>errors &
pid=$!
exec 4<deaf
head -c 1 <&4 >out
kill $drain
wait $drain 2>/dev/null
dd if=/dev/zero of=errors bs=4096 oflag=nonblock 2>/dev/null
signal_until_it_ends TERM
wait $pid
status=$?
exec 4<&- 5<&-
check "interrupted while nobody reads its progress" ended 130

shim=$build/tests/bin/interrupting.so
if [ -f "$shim" ]; then # not with sanitizers
    LD_PRELOAD=$shim "$brigade" analyze --isolation thread --sort quantity big.csv >out 2>err
    status=$?
    check "interrupted when the workers had ended" ended 130
    check "  no row is printed" [ ! -s out ]
fi

# ---- workers that die ------------------------------------------------------------------------------------------------
if [ -e "/proc/$$/task/$$/children" ]; then
    expect -k5,5n
    mkfifo input
    "$brigade" analyze --sort quantity --sort-memory 16k --workers 2 --chunk 20k <input >out 2>err &
    pid=$!
    exec 3>input
    killed=
    for part in 0 1 2; do
        tail -c +$((part * 100000 + 1)) big.csv | head -c 100000 >&3
        kill_another_worker analyze
    done
    tail -c +300001 big.csv >&3
    exec 3>&-
    wait $pid
    status=$?
    check "workers were killed" [ "$(echo "$killed" | wc -w)" = 3 ]
    check "and it ended well" ended 0
    check "with the same rows" cmp -s out expected
    check "nothing is left in TMPDIR" left_nothing
fi
finish
