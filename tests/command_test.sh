#!/bin/sh
# SPDX-License-Identifier: MIT
# The command as its users see it. usage: command_test.sh BUILD ...
set -u
build=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
. "$here/command/checks.sh"
[ -x "$brigade" ] || { echo "no $brigade"; exit 77; }
[ -x "$build/photos" ] || { echo "no $build/photos"; exit 77; }
"$build/photos" --count 3 --hostile "$work/photos" >/dev/null || exit 1

# ---- asking ----------------------------------------------------------------------------------------------------------
run --help
check "help" ended 0
check "help lists image" prints "image"
run --version
check "version" prints "brigade 0."
run image --help
check "image help" prints "--resize WxH[:FIT]"
run
check "nothing asked" ended 2
refuses 'there is no command "cook"' cook
refuses "unknown or ambiguous option --resise" image --resise 3x3
refuses "option --resize needs an argument" image --resize
refuses "write 800x600" image --resize 800 -o "$work/x" "$work/photos"
refuses "cover, contain or inside" image --resize 80x60:stretch -o "$work/x" "$work/photos"
refuses "jpeg, png, webp or avif" image --convert bmp -o "$work/x" "$work/photos"
refuses "0.01 to 100" image --blur 0 -o "$work/x" "$work/photos"
refuses "write 500ms" image --optimize --timeout 5 -o "$work/x" "$work/photos"
refuses "write 100k" image --optimize --memory-max much -o "$work/x" "$work/photos"
refuses "from 1 to 1024" image --optimize --workers 0 -o "$work/x" "$work/photos"
refuses "thread or process" image --optimize --isolation fiber -o "$work/x" "$work/photos"
refuses "nothing to do" image -o "$work/x" "$work/photos"
refuses "Give -o DIR" image --optimize "$work/photos"
refuses "Give files or directories" image --optimize -o "$work/x"
refuses "contradict" image --optimize --progressive --no-progressive -o "$work/x" "$work/photos"
check "nothing was made" [ ! -e "$work/x" ]

# The manual has every option, and no other.
for option in $("$brigade" --options image); do
    grep -qE "^\.It (Fl [a-z] , )?Fl ${option#-}( |$)" "$here/../docs/man/brigade-image.1" || echo "$option"
done >"$work/out"
check "every option is in the manual" prints_nothing
sed -nE 's/^\.It (Fl [a-z] , )?Fl (-[a-z-]+).*/-\2/p' "$here/../docs/man/brigade-image.1" | while read -r option; do
    "$brigade" --options image | grep -qx -- "$option" || echo "$option"
done >"$work/out"
check "every option of the manual is there" prints_nothing

# ---- working ---------------------------------------------------------------------------------------------------------
for isolation in process thread; do
    picture --resize 80x60 --isolation $isolation --workers 2 -o "$work/$isolation" "$work/photos"
    check "$isolation: some failed" ended 1
    check "$isolation: the good ones are done" says "3 of 9 pictures done, 6 failed"
    check "$isolation: nothing on standard output" prints_nothing
    check "$isolation: bomb" says "megapixels; the limit is 50"
    check "$isolation: corrupt" says "hostile-corrupt.jpg: corrupt JPEG"
    check "$isolation: truncated" says "hostile-truncated.jpg: corrupt JPEG"
    check "$isolation: empty" says "hostile-empty.jpg: is empty"
    check "$isolation: text" says "hostile-text.jpg: is no JPEG"
    check "$isolation: directory" says "hostile-directory.jpg: is a directory"
    check "$isolation: three results, nothing else" [ "$(ls -A "$work/$isolation" | wc -l)" -eq 3 ]
done
check "no colour in a pipe" [ "$(grep -c "$(printf '\033')" "$work/err")" -eq 0 ]
check "both isolations give the same bytes" diff -rq "$work/process" "$work/thread"

picture --resize 80x60 -o "$work/process" "$work/photos/photo-0000.jpg"
check "an existing result is kept" ended 1
check "and said" says "exist"
picture --resize 40x30 --overwrite -o "$work/process" "$work/photos/photo-0000.jpg"
check "unless asked" ended 0
picture --optimize --overwrite -o "$work/photos" "$work/photos/photo-0000.jpg"
check "an input is never replaced" says "its result would replace it"
picture --thumbnail -o "$work/clash" "$work/photos/photo-0000.jpg" "$work/photos/photo-0000.jpg"
check "two results of one name" says "the same name as that of"
picture --thumbnail -o "$work/none" "$work/photos/no-such.jpg"
check "a missing file" says "No such file"
mkdir -p "$work/tree/below"
cp "$work/photos/photo-0000.jpg" "$work/tree/below/a.jpg"
picture --convert png --resize 60x -r -o "$work/deep/er" "$work/tree"
check "directories of directories" [ -s "$work/deep/er/below/a.png" ]
mkdir "$work/empty"
picture --thumbnail -o "$work/none" "$work/empty"
check "an empty directory" says "no pictures there"
picture --thumbnail --quiet -o "$work/quiet" "$work/photos/photo-0000.jpg"
check "quiet" says_nothing
picture --thumbnail --module "$work/no.so" -o "$work/none" "$work/photos"
check "a missing module" ended 3
cp "$build/tests/modules/scenario.so" "$work/other.so"
picture --thumbnail --module "$work/other.so" -o "$work/none" "$work/photos/photo-0000.jpg"
check "another module" says "no task named"

# The disk is full: a small file system where one may be made; else a limit on file sizes, which says the same to a writer.
# (Process workers need no such limit: it counts their shared memory, too.)
mkdir "$work/full"
if mount -t tmpfs -o size=48k tmpfs "$work/full" 2>/dev/null; then
    picture --resize 1000x -o "$work/full" "$work/photos/photo-0000.jpg" "$work/photos/photo-0001.jpg"
    reason="No space left on device"
    left=$(ls -A "$work/full" | wc -l)
    umount "$work/full" || umount -l "$work/full"
else
    (trap '' XFSZ; ulimit -f 4; exec "$brigade" image --timeout 1h --isolation thread --resize 1000x -o "$work/full" \
        "$work/photos/photo-0000.jpg" "$work/photos/photo-0001.jpg") >"$work/out" 2>"$work/err" </dev/null
    status=$?
    reason="File too large"
    left=$(ls -A "$work/full" | wc -l)
fi
check "a full disk" ended 1
check "is named" says "$reason"
check "and leaves nothing behind" [ "$left" -eq 0 ]
if [ "$(id -u)" -ne 0 ]; then
    cp "$work/photos/photo-0000.jpg" "$work/secret.jpg"
    chmod 0 "$work/secret.jpg"
    picture --thumbnail -o "$work/none" "$work/secret.jpg"
    check "an unreadable file" says "Permission denied"
fi

# ---- for programs ---------------------------------------------------------------------------------------------------
picture --thumbnail --json -o "$work/json" "$work/photos"
check "json: nothing on standard error" says_nothing
check "json: sums" prints '"done": 3'
check "json: failures with their reason" prints '"error": "'
check "json: results" prints '"format": "jpeg"'
check "json: is one document" "$build/tests/bin/test_json_document" "$work/out"

# ---- interrupted ----------------------------------------------------------------------------------------------------
# More work than there is time for, whose progress line says when it has begun: whoever waits, the interrupt comes before
# the end.
mkdir -p "$work/many/0"
for n in $(seq 40); do ln "$work/photos/photo-0000.jpg" "$work/many/0/$n.jpg"; done
for n in $(seq 99); do cp -al "$work/many/0" "$work/many/$n"; done
for times in 1 2; do
    mkfifo "$work/line$times"
    "$brigade" image --blur 20 --workers 2 --timeout 1h --progress always -r -o "$work/interrupted$times" "$work/many" \
        >"$work/out" 2>"$work/line$times" &
    pid=$!
    {
        head -c 20 >/dev/null # the first of the progress line
        n=0
        while [ $n -lt $times ]; do
            kill -INT $pid
            n=$((n + 1))
        done
        cat >"$work/err"
    } <"$work/line$times"
    wait $pid
    status=$?
    check "interrupted $times: exit code" ended 130
    check "interrupted $times: says what was left" says "(interrupted)"
    check "interrupted $times: most were not started" says "not started"
    check "interrupted $times: no temporary files" [ -z "$(find "$work/interrupted$times" -name '.*' -type f 2>/dev/null)" ]
done

finish
