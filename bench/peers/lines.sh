#!/bin/sh
# SPDX-License-Identifier: MIT
# Lines of JSON, and other ways to make each {"sum":a+b}, in two processes where they can. usage: lines.sh HOW FILE [COUNT]
set -eu
how=$1 file=$2
need() { command -v "$1" >/dev/null || { echo "$1 is not installed" >&2; exit 77; }; }
case $how in
make) awk -v count="$3" 'BEGIN { for (i = 1; i <= count; i++) printf "{\"a\":%d,\"b\":%d}\n", i, i % 97 }' >"$file" ;;
jq) need jq && exec jq -c '{sum: (.a + .b)}' "$file" ;;
xargs) # each process gets half of the file, cut before the clock runs
    need jq && exec xargs -P 2 -n 1 jq -c '{sum: (.a + .b)}' <"$file.halves" ;;
halves) split -n l/2 "$file" "$file." && printf '%s\n' "$file".a? >"$file.halves" ;;
each) need jq && exec xargs -P 2 -d '\n' -I '{}' sh -c 'printf "%s\n" "$1" | jq -c "{sum: (.a + .b)}"' sh '{}' <"$file" ;;
parallel) need parallel && need jq && exec parallel --will-cite --pipepart -a "$file" -j 2 --block -1 "jq -c '{sum: (.a + .b)}'" ;;
miller) need mlr && exec mlr --ijsonl --ojsonl put -q 'emit {"sum": $a + $b}' "$file" ;;
esac
