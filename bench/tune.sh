#!/bin/sh
# SPDX-License-Identifier: MIT
# Whether `brigade tune` finds what a full sweep finds: both, one after the other, on the same task. usage: tune.sh BRIGADE
# OPTION... (of brigade tune, its module and task among them). Prints
#     part_of_best  how much the count that it chose did in the sweep, over the best of the sweep
#     part_of_time  its time over the sweep's
#     chosen, swept the two counts; seconds, sweep_seconds
set -eu
brigade=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$brigade" tune --json --sweep "$@" >"$work/sweep"
"$brigade" tune --json "$@" >"$work/search"
awk '
    function number(text) { gsub(/[^0-9.e+-]/, "", text); return text + 0 }
    FNR == 1 { file++ }
    $1 == "\"best\":" { best[file] = number($2) }
    $1 == "\"seconds\":" { seconds[file] = number($2) }
    $1 == "\"workers\":" { workers = number($2) }
    $1 == "\"tasks_per_second\":" && workers { rate[file, workers] = number($2); workers = 0 }
    END {
        for (one in rate) {
            split(one, part, SUBSEP)
            if (part[1] == 1 && rate[one] > most) most = rate[one]
        }
        printf "part_of_best %.3f\npart_of_time %.3f\n", rate[1, best[2]] / most, seconds[2] / seconds[1]
        printf "chosen %d\nswept %d\nseconds %.2f\nsweep_seconds %.2f\n", best[2], best[1], seconds[2], seconds[1]
    }' "$work/sweep" "$work/search"
