#!/bin/sh
# SPDX-License-Identifier: MIT
# Fills a directory with photographs to try brigade on: tools/photos.sh PHOTOS-PROGRAM DIRECTORY [COUNT] [--hostile]
# The photographs come from Debian's lomiri-wallpapers-16.04 (CC-BY, CC-BY-SA and CC0; authors in their names), or
# are rendered where it is not installed.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 PHOTOS-PROGRAM DIRECTORY [COUNT] [--hostile]" >&2
    exit 2
fi
program=$1
directory=$2
count=${3:-60}
hostile=${4:-}
backgrounds=${PHOTOS_SOURCE:-/usr/share/backgrounds}

# Two of the package's pictures are drawings.
set --
for photo in "$backgrounds"/*_by_*.jpg; do
    case $photo in
    *analogpattern_by_* | *umang_by_*) ;;
    *) [ -f "$photo" ] && set -- "$@" "$photo" ;;
    esac
done
if [ $# -eq 0 ]; then
    echo "photos: package lomiri-wallpapers-16.04 is not installed; rendering pictures instead" >&2
fi
exec "$program" --count "$count" ${hostile:+"$hostile"} "$directory" "$@"
