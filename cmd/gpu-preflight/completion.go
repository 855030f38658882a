package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completions ask the program itself for the words that may come next.
var completions = map[string]string{
	"bash": `# source <(gpu-preflight completion bash)
_gpu_preflight() {
	local words=("${COMP_WORDS[@]:0:$COMP_CWORD}") current="${COMP_WORDS[COMP_CWORD]}"
	case $current in -*) words+=("$current") ;; esac
	COMPREPLY=()
	while IFS= read -r word; do
		COMPREPLY+=("${word%%:*}")
	done < <(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$current")
}
complete -o bashdefault -o default -o nospace -F _gpu_preflight gpu-preflight
`,
	"zsh": `#compdef gpu-preflight
# source <(gpu-preflight completion zsh)
_gpu_preflight() {
	local -a opts
	local current=${words[CURRENT]}
	if [[ $current == -* ]]; then
		opts=("${(@f)$(${words[1,CURRENT]} --generate-bash-completion 2>/dev/null)}")
	else
		opts=("${(@f)$(${words[1,CURRENT-1]} --generate-bash-completion 2>/dev/null)}")
	fi
	if [[ -n ${opts[1]} ]]; then
		_describe 'values' opts
	else
		_files
	fi
}
compdef _gpu_preflight gpu-preflight
`,
	"fish": `# gpu-preflight completion fish | source
function __gpu_preflight_words
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	string match -q -- '-*' $current; and set -a words $current
	$words --generate-bash-completion 2>/dev/null | string replace -r ':.*' ''
end
complete -c gpu-preflight -a '(__gpu_preflight_words)'
`,
}

func completionCommand() *cli.Command {
	shells := strings.Join(slices.Sorted(maps.Keys(completions)), ", ")
	return &cli.Command{
		Name:        "completion",
		Usage:       "print the completion script of a shell: " + shells,
		ArgsUsage:   "SHELL",
		Description: example("source <(gpu-preflight completion bash)", "gpu-preflight completion fish | source"),
		Action: func(c *cli.Context) error {
			script, known := completions[c.Args().First()]
			if !known || c.NArg() != 1 {
				return wrongUsage(c, "want one SHELL (%s), not %q", shells, c.Args().Slice())
			}
			_, err := fmt.Fprint(c.App.Writer, script)
			return err
		},
		BashComplete: func(c *cli.Context) {
			_, _ = fmt.Fprintln(c.App.Writer, strings.Join(slices.Sorted(maps.Keys(completions)), "\n"))
		},
	}
}
