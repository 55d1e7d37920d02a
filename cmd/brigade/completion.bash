# SPDX-License-Identifier: MIT
# bash completion for brigade. Commands and options come from the program itself, so they are never out of date.
_brigade() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --options 2>/dev/null)" -- "$current")
        return
    fi
    case $previous in
    --isolation) mapfile -t COMPREPLY < <(compgen -W "process thread" -- "$current") ;;
    --fit) mapfile -t COMPREPLY < <(compgen -W "cover contain inside" -- "$current") ;;
    --convert) mapfile -t COMPREPLY < <(compgen -W "jpeg png webp avif" -- "$current") ;;
    --queue) mapfile -t COMPREPLY < <(compgen -W "fifo lifo priority weighted deadline fair" -- "$current") ;;
    --placement) mapfile -t COMPREPLY < <(compgen -W "pull round-robin least-busy random two-choices sticky stealing" -- "$current") ;;
    --scaling) mapfile -t COMPREPLY < <(compgen -W "fixed backlog load adaptive" -- "$current") ;;
    --admission) mapfile -t COMPREPLY < <(compgen -W "block reject caller-runs drop-oldest drop-newest" -- "$current") ;;
    --retry-on) mapfile -t COMPREPLY < <(compgen -W "crash timeout failed memory transient all" -- "$current") ;;
    --backoff) mapfile -t COMPREPLY < <(compgen -W "fixed exponential" -- "$current") ;;
    --null-output) mapfile -t COMPREPLY < <(compgen -W "print skip" -- "$current") ;;
    --progress) mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$current") ;;
    --task) mapfile -t COMPREPLY < <(compgen -W "spin sleep mix" -- "$current") ;;
    --policies) mapfile -t COMPREPLY < <(compgen -W "queue=all placement=all scaling=all isolation=thread,process" -- "$current") ;;
    --input) mapfile -t COMPREPLY < <(compgen -W "csv ndjson" -- "$current") ;;
    -f | --format) mapfile -t COMPREPLY < <(compgen -W "table csv json" -- "$current") ;;
    -o | --output) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    *)
        case $current in
        -*) mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --options "${COMP_WORDS[1]}" 2>/dev/null)" -- "$current") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        esac
        ;;
    esac
}
complete -o filenames -F _brigade brigade
