#!/bin/sh
# SPDX-License-Identifier: MIT
# The work module, a line of JSON each. usage: work_test.sh BUILD
set -u
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
[ -x "$brigade" ] && [ -f "$build/modules/work.so" ] || { echo "no $brigade or no work.so"; exit 77; }
# gives INPUTS OUTPUT TASK OPTION...: what the task makes of the lines.
gives() {
    printf '%s\n' "$1" >"$work/in"
    printf '%s\n' "$2" >"$work/expected"
    shift 2
    run run work "$@" --ordered -w 1
    check "$*" prints_file "$work/expected"
}
# fails INPUT REASON TASK OPTION...
fails() {
    printf '%s\n' "$1" >"$work/in"
    reason=$2
    shift 2
    run run work "$@" -w 1
    check "$*: fails" ended 1
    check "$*: $reason" says "$reason"
}

for isolation in thread process; do
    gives '{"us":10}
{"ns":0}
{"ms":0.5}' 'null
null
null' spin --isolation $isolation
    gives '{"us":10}
{"ms":11}' 'null
null' sleep --isolation $isolation
    gives '{"us":20}
{"us":20,"spin_percent":0}
{"us":20,"spin_percent":100}' 'null
null
null' mix --isolation $isolation
    # Each line of the memory counts how often it was touched.
    gives '{"bytes":640}
{"bytes":640,"times":2}
{"bytes":64,"times":0}' '{"sum":10}
{"sum":50}
{"sum":0}' touch --isolation $isolation
    # The test vectors of FNV's authors.
    gives '""
"a"
{"data":"foobar"}' '{"hash":"cbf29ce484222325","bytes":0}
{"hash":"af63dc4c8601ec8c","bytes":1}
{"hash":"85944171f73967e8","bytes":6}' hash --isolation $isolation
    gives '[1,{"a":null}]' '[1,{"a":null}]' echo --isolation $isolation
    gives '{"times":1}' 'null' fail --retries 1 --retry-on failed --isolation $isolation
    fails '{"message":"no flour","code":7}' "no flour" fail --isolation $isolation
    fails '{}' "how long?" spin --isolation $isolation
    fails '{"us":-1}' "must be a number from 0" sleep --isolation $isolation
    fails '{"ms":1e12}' "at most an hour" spin --isolation $isolation
    fails '{"us":1,"spin_percent":101}' "from 0 to 100" mix --isolation $isolation
    fails '{"bytes":0}' "from 1 to 1073741824" touch --isolation $isolation
    fails '7' "takes a string, bytes or a buffer" hash --isolation $isolation
    fails '{"ms":600000}' "timed out" spin -t 20ms --grace 1h --isolation $isolation
    fails '{"ms":600000}' "timed out" sleep -t 20ms --grace 1h --isolation $isolation
done
gives '{"times":1}' 'null' crash --retries 1
fails '{}' "SIGSEGV" crash
fails '{"signal":6}' "SIGABRT" crash
fails '{"exit":3}' "3" crash
fails '{"signal":99}' "from 1 to 31" crash
fails '{}' "run it in a process" crash --isolation thread
finish
