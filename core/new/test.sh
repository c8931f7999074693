#!/bin/sh
# Tests of NAME as its users run it: `sh test.sh` builds it here, `sh test.sh FOLDER` takes FOLDER/jv_NAME.so.
set -eu
here=$(cd -- "$(dirname -- "$0")" && pwd)
jevons=${JEVONS:-jevons}
command -v "$jevons" >/dev/null || {
    echo "test.sh: there is no $jevons: JEVONS=/path/to/jevons names it" >&2
    exit 2
}
if [ $# -eq 0 ]; then
    ${CC:-cc} -std=gnu17 -O2 -Wall -Wextra -Wno-unused-parameter -shared -fPIC -fvisibility=hidden -I "$here" \
        -o "$here/jv_NAME.so" "$here/NAME.c"
fi
plugins=$(cd -- "${1:-$here}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" # rejected records would be written here

# expect STATUS OUTPUT INPUT SETTING...: runs the pipeline with these settings on these lines.
expect() {
    status=$1 output=$2 input=$3 got=0
    shift 3
    printf '%b' "$output" >wanted
    printf '%b' "$input" | "$jevons" run --quiet "$here/NAME.ini" "pipeline.plugin_path=$plugins" "$@" >out 2>err || got=$?
    if [ "$got" != "$status" ] || ! cmp -s out wanted; then
        printf 'test.sh: for "%s" %s the status is %s, not %s, and this came out:\n' "$input" "$*" "$got" "$status" >&2
        cat err out >&2
        exit 1
    fi
}

"$jevons" inspect "$plugins/jv_NAME.so" >/dev/null
"$jevons" check "$here/NAME.ini" "pipeline.plugin_path=$plugins" >/dev/null
expect 0 'one two three\n' 'one two three four\n'
expect 0 'one\nfour\n' 'one\n \nfour five\n' excerpt.words=1
expect 2 '' 'one\n' excerpt.words=0
echo "NAME: all as it should be"
