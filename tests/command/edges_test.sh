#!/bin/sh
# SPDX-License-Identifier: MIT
# The edges of the command: names, terminals, and what must never be lost. usage: edges_test.sh BUILD
set -u
build=$1
umask 022
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/checks.sh"
document() { "$build/tests/bin/test_json_document" "$work/out"; }
[ -x "$brigade" ] || { echo "no $brigade"; exit 77; }
[ -x "$build/photos" ] || { echo "no $build/photos"; exit 77; }
"$build/photos" --count 2 "$work/photos" >/dev/null || exit 1
photo=$work/photos/photo-0000.jpg
cd "$work" || exit 1

# ---- the message names the word at fault, wherever it stands ---------------------------------------------------------
run image "$photo" --resise 3x3
check "an unknown option behind a file" says "unknown or ambiguous option --resise;"
run image "$photo" -Z
check "an unknown letter" says "unknown or ambiguous option -Z;"
run image "$photo" --gray --grayscale=3
check "an argument too many" says "option --grayscale takes no argument"
run image "$photo" -o
check "an argument too few" says "option -o needs an argument"
check "ends with 2" ended 2
run image --thumbnail -o "" "$photo"
check "an output without a name" ended 2
check "is said" says "the name is empty"
run image --resize 65501x -o out "$photo"
check "a size that no picture has" ended 2

# ---- inputs are never lost -------------------------------------------------------------------------------------------
mkdir both
cp "$photo" both/a.jpg
picture --resize 40x --convert png -o both both/a.jpg
cp both/a.jpg before.jpg
picture --thumbnail --overwrite -o both both
check "no result replaces another's input" cmp -s before.jpg both/a.jpg
check "and says whose" says "its result would replace both/a.jpg"
ln -s both elsewhere
picture --thumbnail --overwrite -o elsewhere both/a.png both/a.jpg
check "nor by another way there" cmp -s before.jpg both/a.jpg

mkdir -p tree/sub
cp "$photo" tree/sub
picture --thumbnail -r -o tree/out tree
picture --thumbnail --overwrite -r -o tree/out tree
check "earlier results are no input" says "1 of 1 pictures done"

# ---- names -----------------------------------------------------------------------------------------------------------
cp "$photo" "two words [1] %s.jpg"
cp "$photo" -- "-q.jpg"
picture --thumbnail -o names -- "two words [1] %s.jpg" -q.jpg
check "odd names" ended 0
check "are kept" [ -s "names/two words [1] %s.jpg" ]
check "all of them" [ -s names/-q.jpg ]
odd=$(printf 'caf\351.jpg')
cp "$photo" "$odd"
picture --thumbnail --json -o names "$odd" "$photo"
check "a name that is not UTF-8 fails alone" prints '"done": 1'
check "with its reason" prints "is not UTF-8"
check "in a whole document" document
check "that names it" prints '"input": "caf'
cp "$photo" apple.HEIC
picture --resize 40x -o names apple.HEIC
check "what cannot be written becomes JPEG" [ -s names/apple.jpg ]

# ---- programs --------------------------------------------------------------------------------------------------------
mkdir empty
picture --thumbnail --json -o names empty
check "no picture, and yet a document" document
check "ends with 1" ended 1
"$brigade" image --timeout 1h --thumbnail --json -o full "$photo" >/dev/full 2>"$work/err"
status=$?
check "a document that nobody got is a failure" ended 1
cp "$build/modules/image.so" here.so
picture --thumbnail --module here.so -o module "$photo"
check "a module in the current directory" ended 0
mkdir -p moved/bin moved/lib64/brigade/modules
cp "$brigade" moved/bin && cp "$build/modules/image.so" moved/lib64/brigade/modules
LD_LIBRARY_PATH=$build BRIGADE_WORKER=$build/brigade-worker moved/bin/brigade image --timeout 1h --thumbnail -o moved/out \
    "$photo" >"$work/out" 2>"$work/err"
status=$?
check "a prefix that was moved" ended 0

if command -v setpriv >/dev/null && [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$work" "$work/photos"
    mkdir -m 777 nobody
    cp "$photo" secret.jpg
    chmod 600 secret.jpg
    as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    if as_nobody "$brigade" --version >/dev/null 2>&1 && as_nobody test -r "$photo"; then
        as_nobody "$brigade" image --timeout 1h --thumbnail -o nobody "$photo" secret.jpg >"$work/out" 2>"$work/err"
        check "an unreadable file" says "secret.jpg: cannot open: Permission denied"
        check "fails alone" says "1 of 2 pictures done, 1 failed"
    fi
fi

# ---- terminals -------------------------------------------------------------------------------------------------------
# terminal COLUMNS ARGUMENT...: on a terminal so wide; what it showed is in $work/out, one redraw a line.
terminal() {
    columns=$1
    shift
    rm -rf shown
    script -q -e -c "stty cols $columns; exec '$brigade' image --timeout 1h -o shown $*" /dev/null </dev/null 2>"$work/err" |
        tr '\r' '\n' | grep -v "$noise" >"$work/out"
}
touch broken.jpg
escape=$(printf '\033')
if script -q -e -c true /dev/null </dev/null >/dev/null 2>&1; then
    terminal 100 --blur 5 photos/photo-0000.jpg broken.jpg
    check "a terminal gets a bar" grep -q '\[[#.]*\] [0-9]* of 2' "$work/out"
    check "and colour" grep -q "$escape\[31m" "$work/out"
    terminal 40 --blur 5 photos/photo-0000.jpg broken.jpg
    check "a narrow one no longer line" [ "$(sed "s/$escape\[[0-9]*[mK]//g" out | grep ' of 2, ' | awk 'length > 39' | wc -l)" -eq 0 ]
    check "and yet the counts" grep -q "[012] of 2, [01] failed\|[012] of 2, $escape\[31m1 failed" "$work/out"
    NO_COLOR=1 terminal 100 --blur 5 photos/photo-0000.jpg broken.jpg
    check "NO_COLOR" [ "$(grep -c "$escape\[[0-9]*m" "$work/out")" -eq 0 ]
    terminal 100 --quiet --blur 5 photos/photo-0000.jpg
    check "quiet on a terminal" [ ! -s "$work/out" ]
fi

# ---- what nobody gets ------------------------------------------------------------------------------------------------
for words in --help help --version --options "--options run" "run --help" "image --help" "analyze --help" "tune --help" \
    "bench --help"; do
    # shellcheck disable=SC2086
    "$brigade" $words >/dev/full 2>"$work/err"
    status=$?
    check "$words to a full disk" ended 1
    check "  is said" says "standard output could not be written: No space left on device"
    check "  once" lines err 1
done
"$brigade" --help >&- 2>"$work/err"
status=$?
check "--help without a standard output" ended 1
check "  is said" says "standard output could not be written: Bad file descriptor"

# ---- completion ------------------------------------------------------------------------------------------------------
# complete WORD...: what bash would offer for the last word.
complete() {
    bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _brigade; printf "%s\n" "${COMPREPLY[@]}"' \
        bash "$root/cmd/brigade/completion.bash" "$brigade" "$@" >"$work/out" 2>"$work/err"
}
complete im
check "completion: commands" grep -qx image "$work/out"
complete image --resi
check "completion: options" grep -qx -- --resize "$work/out"
complete image --isolation t
check "completion: words" grep -qx thread "$work/out"

finish
