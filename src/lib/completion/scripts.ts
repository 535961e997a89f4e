export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/**
 * What each shell is given to ask the program with. The program answers in lines: `:files`, `:directories` or `:none`,
 * then the words. What it has to complain of is nobody's concern who presses Tab.
 */
const SCRIPTS: Readonly<Record<Shell, string>> = {
  // bash(1), Programmable Completion. COMP_WORDS is split at `=` and `:` too: the line is split at blanks instead.
  bash: `_banger() {
    local line current answer kind words
    line=\${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    case $line in *[[:space:]]) words+=('') ;; esac
    current=\${words[\${#words[@]} - 1]}
    mapfile -t answer < <("\${words[0]}" __complete "\${words[@]:1}" 2>/dev/null)
    kind=\${answer[0]-}
    COMPREPLY=("\${answer[@]:1}")
    case $current in
        --*=*) COMPREPLY=("\${COMPREPLY[@]#"\${current%%=*}="}") current=\${current#*=} ;;
    esac
    case $kind in
        :files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        :directories) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    esac
}
complete -F _banger banger
`,
  // zshcompsys(1)
  zsh: `#compdef banger
_banger() {
    local -a answer candidates
    answer=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
    case \${answer[1]} in
        :files) _files ;;
        :directories) _files -/ ;;
        *)
            candidates=("\${(@)answer[2,-1]}")
            if (( \${#candidates} )) && [[ -n \${candidates[1]} ]]; then compadd -a candidates; fi
            ;;
    esac
}
if [[ \${funcstack[1]} == _banger ]]; then _banger "$@"; else compdef _banger banger; fi
`,
  // fish: complete(1)
  fish: `function __banger_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l answer (command $words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    switch "$answer[1]"
        case :files
            __fish_complete_path "$current"
        case :directories
            __fish_complete_directories "$current"
        case '*'
            printf '%s\\n' $answer[2..-1]
    end
end
complete --command banger --no-files --arguments '(__banger_complete)'
`,
};

export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}
