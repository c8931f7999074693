# Completion of jevons for bash: commands, options, INI files, and the plugins that `jevons plugins` finds.
_jevons() {
    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} options=
    local jevons=${COMP_WORDS[0]/#\~/$HOME}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "run check graph plugins inspect new help version" -- "$current")
        return
    fi
    case $command in
    run) options="--quiet --json" ;;
    graph) options="--mermaid" ;;
    plugins) options="--json" ;;
    inspect) options="--json --md --all" ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    compopt -o filenames 2>/dev/null
    case $command in
    run | check | graph)
        mapfile -t COMPREPLY < <(compgen -f -X '!*.ini' -- "$current"; compgen -d -- "$current")
        ;;
    inspect)
        compopt +o filenames 2>/dev/null # names like llm/model are no paths
        mapfile -t COMPREPLY < <(
            compgen -W "$("$jevons" plugins 2>/dev/null | cut -d ' ' -f 1)" -- "$current"
            compgen -f -X '!*jv_*.so' -- "$current"
        )
        ;;
    plugins | new)
        [[ $command == new && $COMP_CWORD -eq 2 ]] && return # a new name: nothing to offer
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        ;;
    esac
}
complete -F _jevons jevons
