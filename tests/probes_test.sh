#!/bin/sh
# SPDX-License-Identifier: MIT
# Each event of brigade/events.h has one static probe in the library, with eight arguments and a semaphore; nothing else
# has. Without <sys/sdt.h> there are none at all. usage: tests/probes_test.sh BUILD ...
set -eu
build=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")/.." && pwd)
library=$build/libbrigade.so

fail() {
    echo "probes_test: $*" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C readelf -n "$library" >"$work/notes" 2>/dev/null || fail "readelf cannot read $library"
awk '/Provider:/ { provider = $2 } /Name:/ { name = $2 } /Semaphore:/ { semaphore = $NF }
    /Arguments:/ && provider == "brigade" { print name, NF - 1, semaphore }' "$work/notes" | sort >"$work/found"
sed -nE 's/^ *X\([A-Z_]+, ([a-z_]+), .*/\1/p' "$source/include/brigade/events.h" | sort >"$work/wanted"
[ "$(wc -l <"$work/wanted")" -ge 43 ] || fail "brigade/events.h lists fewer events than there are"

if ! echo '#include <sys/sdt.h>' | "$3" -E - >/dev/null 2>&1; then
    [ ! -s "$work/found" ] || fail "there are probes without <sys/sdt.h>"
    echo "probes_test: no <sys/sdt.h> here, and no probes"
    exit 0
fi
cut -d ' ' -f 1 "$work/found" | cmp -s - "$work/wanted" || {
    cut -d ' ' -f 1 "$work/found" | diff "$work/wanted" - >&2 || true
    fail "the probes are not the events"
}
awk '$2 != 8 || $3 == "0x0000000000000000" { print "probes_test: " $0; bad = 1 } END { exit bad }' "$work/found" ||
    fail "a probe has no semaphore, or not eight arguments"
