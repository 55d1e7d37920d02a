#!/bin/sh
# SPDX-License-Identifier: MIT
# `brigade analyze` as its users see it. usage: analyze_test.sh BUILD
set -u
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
[ -x "$brigade" ] || { echo "no $brigade"; exit 77; }
. "$(dirname "$0")/analyze.sh"
[ -e "/proc/$$/task/$$/children" ] || { echo "the kernel has no lists of children"; exit 77; }
cd "$work" || exit 1
cat >small.csv <<'END'
country,price,name
DE,10.5,"Müller, Hans"
FR,20,"two
lines"
DE,3,"say ""hi"""
US,x,bad
FR,,empty
US,7,"open"x
US,1
DE,100,ok
END

# ---- asking ----------------------------------------------------------------------------------------------------------
run --help
check "help" ended 0
refuses "unknown or ambiguous option --sums" --sums x small.csv
refuses 'there is no column "prize"; there are: country, price, name' --sum prize small.csv
refuses "write 95:price" --percentile 95 small.csv
refuses "no number from 0 to 100" --percentile 101:price small.csv
refuses "write 10:price" --top price small.csv
refuses "table, csv or json" --format xml small.csv
refuses "is no single byte" --delimiter ab small.csv
refuses "give one of them" --select name --count small.csv
refuses "needs --limit N" --select name --format table small.csv
refuses "is no column of the result" -g country --sort price small.csv
refuses '&& or || is missing' --count --where 'price > 1 price' small.csv
refuses 'a number, or a text in quotes, is missing' --count --where 'price > x' small.csv
refuses 'a ) is missing' --count --where '(price > 1' small.csv
refuses 'there is no column "prise"' --count --where 'prise > 1' small.csv
for option in $("$brigade" --options analyze); do
    grep -qE "^\.It (Fl [a-z] , )?Fl ${option#-}( |$)" "$root/docs/man/brigade-analyze.1" || echo "$option"
done >out
check "every option is in the manual" [ ! -s out ]
sed -nE 's/^\.It (Fl [a-z] , )?Fl (-[a-z-]+).*/-\2/p' "$root/docs/man/brigade-analyze.1" | while read -r option; do
    "$brigade" --options analyze | grep -qxF -- "$option" || echo "$option"
done >out
check "and no other" [ ! -s out ]

# ---- groups ----------------------------------------------------------------------------------------------------------
run -g country --count --sum price --mean price --min price --max price --distinct name --format csv small.csv
check "groups" gives 'country,count,sum(price),mean(price),min(price),max(price),distinct(name)' \
    'DE,3,113.5,37.833333333333336,3,100,3' 'FR,2,20,20,20,20,2'
check "end with 0" ended 0
check "malformed: a number" says 'small.csv: line 6, byte 79: "price" is no number: x'
check "malformed: behind a quote" says 'line 8, byte 98: in column 3 something stands between the closing quote'
check "malformed: columns" says 'line 9, byte 111: it has 2 columns, not 3: US,1'
check "malformed: how many" says '3 malformed rows left out'
run --strict --quiet --count small.csv
check "--strict" ended 1
check "--quiet" says_nothing
run --malformed 1 --sum price --format csv small.csv
check "--malformed" [ "$(wc -l <err)" -eq 2 ]
run -g country small.csv
check "a table" gives 'country  count' 'DE           3' 'FR           2' 'US           1'
run -g country --sum price --json small.csv
check "JSON" "$build/tests/bin/test_json_document" out
check "has numbers" grep -q '"sum(price)":113.5' out
run -g country --count --sort count:desc,country:desc --limit 2 -f csv small.csv
check "sorted" gives country,count DE,3 FR,2
run -g country --sum price --top '1:sum(price)' -f csv small.csv
check "top" gives 'country,sum(price)' DE,113.5
run -g country,name --count -f csv --where 'country == "DE"' small.csv
check "two columns" gives country,name,count 'DE,"Müller, Hans",1' 'DE,ok,1' 'DE,"say ""hi""",1'
run --count --sum price --where 'country == "XX"' -f csv small.csv
check "of nothing" gives 'count,sum(price)' 0,
run -p 0,50,100:price --exact --median price -f csv small.csv
check "exact percentiles" gives 'p0(price),p50(price),p100(price),p50(price)' 3,15.25,100,15.25

# ---- filters ---------------------------------------------------------------------------------------------------------
filter() { # NAME COUNT EXPRESSION...
    name=$1 count=$2
    shift 2
    run --count -f csv -q "$@" small.csv
    check "filter: $name" gives count "$count"
}
filter "and" 2 --where 'country == "DE" && price >= 10.5'
filter "several" 2 --where 'country == "DE"' --where 'price >= 10.5'
filter "or before and" 3 --where 'country == "FR" || country == "DE" && price > 50'
filter "brackets and not" 2 --where '!(country == "DE" || name == "bad")' --where 'name != "x"'
filter "contains" 1 --where 'name ~ "ller"'
filter "text by bytes" 2 --where "country < 'E' && name > 'm'"
filter "backquotes" 1 --where '`price` == 20'
filter "by number" 1 --where '$2 == 20'
filter "quotes in quotes" 1 --where "name == 'say \"hi\"'"

# ---- rows ------------------------------------------------------------------------------------------------------------
run --where 'price > 5 && country == "DE"' small.csv
check "rows" gives country,price,name 'DE,10.5,"Müller, Hans"' DE,100,ok
run -s name --limit 2 small.csv
check "select and limit" gives name '"Müller, Hans"' '"two' 'lines"'
run -s price,country --top 2:price --where 'price >= 0' small.csv
check "top rows" gives price,country 100,DE 20,FR
run -s price --sort price --limit 9 small.csv
check "numbers, then text, then nothing" gives price 3 10.5 20 100 x '""'
printf 'a,b\n,1\nx,2\n,3\n' >holes.csv
run -s a holes.csv
check "an empty cell alone in its row is quoted" gives a '""' x '""'
cp out alone.csv
run alone.csv
check "  so that it is read again" cmp -s out alone.csv
run --top 3:b -s a holes.csv
check "  also of rows that were kept" gives a '""' x '""'
run --sort b:desc -s a holes.csv
check "  and of sorted ones" gives a '""' x '""'
run -s a,b holes.csv
check "  not beside others" cmp -s out holes.csv
printf '""\n1\n' >in
run
check "  also as a title" cmp -s out in
run --no-header -s 1 --where '$1 != 1'
check "  and where that is data" gives '""'
run -g a --count -f csv holes.csv
check "  not where a group is counted" gives a,count x,1 ,2
run -s name,price --json small.csv
check "rows as JSON" "$build/tests/bin/test_json_document" out

# ---- forms of input --------------------------------------------------------------------------------------------------
printf '\357\273\277a;b\r\n1;x\r\n\r\n2;"y;"\r\n3;z' >odd.csv
run --delimiter ';' --sum a --distinct b -f csv odd.csv
check "BOM, CRLF, an empty line, no last line end" gives 'sum(a);distinct(b)' '6;3'
printf '1\tx\n2\ty\n' >plain.tsv
run -d tab --no-header --sum 1 -f csv plain.tsv
check "tabs and no header" gives 'sum(1)' 3
run -d tab --no-header plain.tsv
check "and out again" gives "1	x" "2	y"
printf 'a,b\n1,x\0y\n2,\377\n' >bytes.csv
run bytes.csv
check "NUL and bytes that are not UTF-8" cmp -s bytes.csv out
tr "\000" z <bytes.csv >texts.csv
run --json texts.csv
check "are JSON all the same" "$build/tests/bin/test_json_document" out
printf 'a,a\n1,2\n' >twice.csv
run twice.csv
check "a name that comes twice" gives a,a 1,2
run --count empty.csv
check "no such file" ended 1
check "is said" says "empty.csv: No such file"
: >empty.csv
run --count empty.csv
check "an empty file" says "empty.csv: it is empty, it has not even a header"
run --count .
check "a directory" says ".: it is a directory"
echo a,b >header.csv
run --count -f csv header.csv
check "a header alone" gives count 0
run --sum a -f csv header.csv
check "sums of nothing" gives 'sum(a)' '""'
printf 'b,a\n' >other.csv
run --count header.csv other.csv
check "another header" says 'other.csv: its column 1 is "b", that of the first input is "a"'
run --count -f csv small.csv small.csv -q
check "two files" gives count 12
printf 'a\n"open\nnext\n' >open.csv
run --count -f csv open.csv
check "an open quote costs its line" gives count 1
check "and is said" says "line 2, byte 2: a quote is open to the end of the input"
{ echo a,b; head -c 3000000 /dev/zero | tr '\0' x; echo; echo 1,2; } >long.csv
run --count -f csv long.csv
check "a row without end" gives count 1
check "is told" says "line 2, byte 4: it is longer than 1048576 bytes"
cp long.csv in
run --count -f csv
check "also from a pipe" gives count 1
for size in 3k 64k 1M; do
    run --count -f csv --chunk $size --row-max 100 long.csv
    check "in chunks of $size" gives count 1
done
printf 'a\n1e308\n1e308\n-1\n' >in
run --sum a --mean a -f csv
check "sums that no double holds, and their mean" gives "sum(a),mean(a)" inf,6.666666666666666e+307
run --sum a -f json
check "  are null in JSON" gives "[" '{"sum(a)":null}' "]"
printf 'a\n1e308\n1e308\n1e308\n-1e308\n-1e308\n-1e308\n7\n' >far.csv
for isolation in thread process; do
    run --sum a --mean a --median a --exact -f csv --isolation $isolation --chunk 9 far.csv
    check "sums that come back, $isolation" gives "sum(a),mean(a),p50(a)" 7,1,7
done
printf 'a\n-1e308\n1e308\n' >in
run -p 0,50,75,100:a --exact -f csv
check "between numbers that are far apart" gives "p0(a),p50(a),p75(a),p100(a)" -1e+308,0,5e+307,1e+308
printf 'a,b\n1,2\n3,%0200d\n5,6\n7,%0200d\n9,10\n' 0 0 >long.csv
cp long.csv in
for size in 10 300 64k; do
    run --sum a -f csv --chunk $size --row-max 100
    check "rows behind it, in blocks of $size" gives 'sum(a)' 15
    run --sum a -f csv --chunk $size --row-max 100 long.csv
    check "  and in chunks" gives 'sum(a)' 15
done
cat >small.ndjson <<'END'
{"country":"DE","price":10.5,"who":{"name":"a","tags":[1,2]}}
{"country":"FR","price":"20","who":{"name":"b\n\u00e9"}}

{"country":"DE","price":3}
{"country":"DE","price":}
[1]
{"country":"DE","price":null}
END
run -g country --count --sum price -f csv small.ndjson
check "NDJSON" gives 'country,count,sum(price)' DE,3,13.5 FR,1,20
check "its malformed lines" says 'line 5, byte 147: it is no JSON object, see byte 25'
run -s who.name,country -q small.ndjson
check "inside objects" gives who.name,country a,DE '"b' 'é",FR' ,DE ,DE
refuses "rows of NDJSON need --select" small.ndjson
cat >twice.ndjson <<'END'
{"a":{"b":1},"a":{"b":2},"n":1}
{"a":{"b":1},"a":{"c":2},"n":2}
{"a":{"b":1},"a":5,"n":3}
{"a":5,"a":{"b":{"c":6}},"n":4}
{"a":{"b":{"c":1},"b":2},"n":5}
{"a.b":7,"a":{"c":2},"n":6}
{"a":{"b":1},"a.b":8,"n":7}
{"a":{"b":1,"b":null},"n":9,"n":8}
END
run -s n,a.b,a.b.c twice.ndjson
check "of keys that come twice the last" gives n,a.b,a.b.c 1,2, 2,, 3,, '4,"{""c"":6}",6' 5,2, 6,7, 7,8, 8,,
cp small.ndjson in
run -i ndjson -q --mean price -f csv -
check "from a pipe" gives 'mean(price)' 11.166666666666666

# ---- limits ----------------------------------------------------------------------------------------------------------
"$data" --rows 20000 --quoted >big.csv
run -g id --count --groups-max 1000 big.csv
check "too many groups" ended 1
check "are said" says "more than 1000 groups; --groups-max allows more"
run --distinct id --values-max 1000 big.csv
check "too many values" says "would have to keep more than 1000 values"

# ---- many different values, which workers sort ----------------------------------------------------------------------
seq 1 150000 >many.txt
seq 300000 -1 100001 >>many.txt
for isolation in thread process; do
    run --no-header --count --distinct 1 -p 0,50,100:1 --exact -f csv --isolation $isolation --workers 2 many.txt
    check "many values, $isolation" gives 'count,distinct(1),p0(1),p50(1),p100(1)' 350000,300000,1,137500.5,300000
done
run --no-header --distinct 1 --values-max 299999 many.txt
check "more of them than are allowed" ended 1
check "are said" says "would have to keep more than 299999 values"
run --no-header --distinct 1 --values-max 300000 -f csv many.txt
check "as many as are allowed" gives 'distinct(1)' 300000

# ---- the same whatever the chunks and workers ------------------------------------------------------------------------
ask="-g country,note --count --sum price --mean quantity --median price --distinct id --format csv"
# shellcheck disable=SC2086
run $ask --workers 1 --isolation thread big.csv
cp out expected
check "a big one" [ "$(wc -l <expected)" -gt 60 ]
for chunk in 100 4321 64k 1M; do
    for isolation in thread process; do
        # shellcheck disable=SC2086
        run $ask --workers 3 --chunk $chunk --isolation $isolation big.csv
        check "chunks of $chunk, $isolation" cmp -s out expected
    done
    cp big.csv in
    # shellcheck disable=SC2086
    run $ask --chunk $chunk
    check "chunks of $chunk, redirected" cmp -s out expected
    # shellcheck disable=SC2086
    cat big.csv | "$brigade" analyze $ask --chunk $chunk >out 2>err
    check "chunks of $chunk, a pipe" cmp -s out expected
done
run --where 'id > 0' --chunk 1000 big.csv
check "rows come out as they came in" [ "$(python3 - <<'END' 2>/dev/null || echo same
import csv
print("same" if list(csv.reader(open("big.csv", newline=""))) == list(csv.reader(open("out", newline=""))) else "other")
END
)" = same ]

# ---- workers that die ------------------------------------------------------------------------------------------------
mkfifo pipe
# shellcheck disable=SC2086
"$brigade" analyze $ask --workers 2 --chunk 20k <pipe >out 2>err &
pid=$!
exec 3>pipe
# With every part of the input one worker that lives is killed: who was killed before may still be listed, and four
# deaths are what a piece survives.
killed=
for part in 0 1 2 3; do
    tail -c +$((part * 100000 + 1)) big.csv | head -c 100000 >&3
    kill_another_worker analyze
done
tail -c +400001 big.csv >&3
exec 3>&-
wait $pid
status=$?
check "workers were killed" [ "$(echo "$killed" | wc -w)" = 4 ]
check "and it ended well" ended 0
check "with the same result" cmp -s out expected

mkfifo one two
seq 1 200000 >two.txt
for times in 1 2 3 4 5 6 7 8; do # blocks that fill a worker's ring: one may be free with no room in it
    cat two.txt >one &
    cat two.txt >two &
    run --no-header --count -f csv --chunk 20k one two
    check "two pipes, one after the other, $times" gives count 400000
    wait
done

mkfifo still
"$brigade" analyze --count <still >out 2>err &
pid=$!
exec 3>still
echo abc >&3
while [ -z "$(children)" ] && kill -0 $pid 2>/dev/null; do :; done
# Until it listens the signal is lost: the shell has programs in the background ignore it.
signal_until_it_ends INT
wait $pid
status=$?
exec 3>&-
check "an interrupt ends it with 130" ended 130
check "without a result" [ ! -s out ]

# unread NAME ARGUMENT...: interrupted when it has begun to write and nobody reads the rest. One signal is enough: it is
# listened to since before the first byte. (Not with a sanitizer, which may keep a signal until after the next write.)
unread() {
    name=$1
    shift
    rm -f unread
    mkfifo unread
    "$brigade" analyze "$@" big.csv >unread 2>err &
    pid=$!
    exec 4<unread
    head -c 1 <&4 >out
    if [ -f "$build/tests/bin/interrupting.so" ]; then
        kill -TERM $pid
    else
        signal_until_it_ends TERM
    fi
    wait $pid
    status=$?
    exec 4<&-
    check "$name that nobody reads: interrupted" ended 130
    check "  and nothing is said" says_nothing
}
unread "rows"
unread "rows, on threads" --isolation thread
unread "rows as JSON" --json -s id,note,country
unread "groups" -g id --count -f csv
unread "a table" -g id --count

"$brigade" analyze --count small.csv >/dev/full 2>err
status=$?
check "a result that nobody got is a failure" ended 1
cp "$build/modules/analyze.so" here.so
run --count --module here.so -f csv -q small.csv
check "a module by its path" gives count 6
if script -q -e -c true /dev/null </dev/null >/dev/null 2>&1; then
    script -q -e -c "exec '$brigade' analyze --progress always --chunk 1k -g note --count big.csv" /dev/null </dev/null \
        2>err | tr '\r' '\n' >out
    check "a terminal gets a table" grep -q 'note .*count' out
fi

finish
