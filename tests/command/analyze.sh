# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
# What the tests of `brigade analyze` share beside checks.sh, whose run it replaces. Sourced; `build` and `work` are set.
# run ARGUMENT...: `brigade analyze`, with $work/in on standard input.
run() {
    status=0
    "$brigade" analyze "$@" >"$work/out" 2>"$work/err" <"$work/in" || status=$?
}
# gives LINE...: the output, line by line.
gives() { printf '%s\n' "$@" | cmp -s - "$work/out"; }
data=$build/tests/bin/analyze_data
[ -x "$data" ] || { echo "no $data"; exit 77; }
