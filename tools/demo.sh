#!/bin/sh
# SPDX-License-Identifier: MIT
# The main job on real photographs: `make run`. usage: tools/demo.sh BUILD [COUNT]
set -eu
build=${1:?usage: tools/demo.sh BUILD [COUNT]}
count=${2:-40}
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$build" && pwd)
demo=$root/build/demo
brigade=$build/brigade

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    bold= plain=
fi
say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
# Shows the command, runs it; pictures that fail are part of the show, anything else is not.
show() {
    printf '$ brigade %s\n' "$(echo "$*" | sed "s#$demo/##g")"
    status=0
    "$brigade" "$@" || status=$?
    [ "$status" -le 1 ] || exit "$status"
}

if [ ! -f "$demo/in/.count-$count" ]; then
    say "Making $count photographs and a few hostile files in build/demo/in"
    rm -rf "$demo/in"
    mkdir -p "$demo"
    "$root/tools/photos.sh" "$build/photos" "$demo/in" "$count" --hostile
    touch "$demo/in/.count-$count"
fi
rm -rf "$demo/thumbs" "$demo/small"

say "1. Thumbnails, on as many worker processes as there are CPUs"
show image --thumbnail -o "$demo/thumbs" "$demo/in"

say "2. Resized and optimized, with a bound on time and memory for each worker"
show image --resize 800x600:cover --optimize --timeout 10s --memory-max 512M --retries 1 -o "$demo/small" "$demo/in"

say "3. A worker that crashes, and the program that lives"
if [ -x "$build/examples/crash_survivor" ]; then
    echo '$ examples/crash_survivor'
    (cd "$build/examples" && ./crash_survivor)
fi

cat <<EOT

What you saw: every picture was a task on a worker process. The broken, empty, mislabelled and oversized files each failed with a
reason, and nobody else noticed; a worker that crashed was replaced. Results: build/demo/thumbs and build/demo/small.
Next: brigade image --help, man ./docs/man/brigade-image.1, and examples/.
EOT
