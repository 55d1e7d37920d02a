#!/bin/sh
# SPDX-License-Identifier: MIT
# vipsthumbnail.sh PROCESSES OUT IN: the pictures of IN to 800x600, cover, quality 80, in so many processes, each with
# one thread: its fastest arrangement.
set -eu
command -v vipsthumbnail >/dev/null || { echo "vipsthumbnail is not installed" >&2; exit 77; }
count=$(find "$3" -name '*.jpg' | wc -l)
export VIPS_CONCURRENCY=1
find "$3" -name '*.jpg' -print0 |
    xargs -0 -P "$1" -n $(((count + $1 - 1) / $1)) \
        vipsthumbnail --size 800x600 --smartcrop centre -o "$2/%s.jpg[Q=80,strip]"
