#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the optional peers of `make bench`: oneTBB, Taskflow, vipsthumbnail and libdispatch from Debian's packages,
# where it has them, and from npm sharp and the pools of Node.js under build/peers; and those of bench/analyze: sqlite3,
# datamash, miller, mawk and gawk. Nothing of brigade needs any of them; what cannot be installed is named, and the
# benchmark skips it.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
installed=$root/build/peers
skipped=
from_npm='sharp@0.35 piscina@5 workerpool@10 poolifier@5'

install_package() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' && return
    if [ "$(id -u)" -eq 0 ]; then
        apt-get install -y --no-install-recommends "$1" >>"$installed/install.log" 2>&1 && return
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n apt-get install -y --no-install-recommends "$1" >>"$installed/install.log" 2>&1 && return
    fi
    skipped="$skipped $1"
}

mkdir -p "$installed"
: >"$installed/install.log"
for package in libtbb-dev libtaskflow-cpp-dev libvips-tools libdispatch-dev sqlite3 datamash miller mawk gawk nodejs npm; do
    case $package in
    nodejs) command -v node >/dev/null && continue ;;
    npm) command -v npm >/dev/null && continue ;;
    esac
    install_package "$package"
done

if command -v npm >/dev/null; then
    [ -f "$installed/package.json" ] || echo '{"private": true}' >"$installed/package.json"
    # All of them each time: npm takes away what a later call does not name.
    npm install --prefix "$installed" --no-audit --no-fund --no-save $from_npm >>"$installed/install.log" 2>&1 ||
        skipped="$skipped $from_npm"
else
    skipped="$skipped $from_npm"
fi

[ -z "$skipped" ] || echo "bench-peers: could not install:$skipped (see $installed/install.log)"
echo "bench-peers: done"
