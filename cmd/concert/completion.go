package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
)

const completionHelp = `Usage: concert completion bash|zsh|fish

Prints a script after which the shell completes concert's commands and flags.

Examples:
  source <(concert completion bash)                    in ~/.bashrc
  concert completion zsh > ~/.zfunc/_concert           a directory of $fpath
  concert completion fish > ~/.config/fish/completions/concert.fish
`

func runCompletion(_ context.Context, args []string, out, _ io.Writer) error {
	args, err := noFlags(args)
	if err != nil {
		return err
	}
	scripts := map[string]func([]command) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	if len(args) != 1 || scripts[args[0]] == nil {
		return usageError{"name one shell: bash, zsh or fish"}
	}
	fmt.Fprint(out, scripts[args[0]](commands))
	return nil
}

// helpFlag is a flag as the help has it.
type helpFlag struct {
	name  string // with its dashes
	value string // DIR, LIST, FILE, N, D; empty for a switch
	about string // the first line
}

var flagLine = regexp.MustCompile(`(?m)^  (--?[a-z0-9-]+)(?: ([A-Z]+))?  +(.*)$`)

// flagsOf reads the flags out of a help text, so that they are told in one
// place.
func flagsOf(help string) []helpFlag {
	all := []helpFlag{{"-h", "", "help"}}
	for _, m := range flagLine.FindAllStringSubmatch(help, -1) {
		about, _, _ := strings.Cut(m[3], ",")
		all = append(all, helpFlag{m[1], m[2], strings.TrimSuffix(about, ";")})
	}
	return all
}

func bashCompletion(commands []command) string {
	var names []string
	var cases strings.Builder
	for _, c := range commands {
		names = append(names, c.name)
		var words, values []string
		for _, f := range flagsOf(c.help) {
			words = append(words, f.name)
			switch f.value {
			case "":
			case "DIR", "LIST", "FILE":
				kind := map[string]string{"DIR": "-d", "LIST": "-f", "FILE": "-f"}[f.value]
				fmt.Fprintf(&cases, "\t%s\\ %s) compopt -o filenames; mapfile -t COMPREPLY < <(compgen %s -- \"$word\") ;;\n", c.name, f.name, kind)
			default:
				values = append(values, c.name+"\\ "+f.name)
			}
		}
		if len(values) > 0 {
			fmt.Fprintf(&cases, "\t%s) ;;\n", strings.Join(values, "|"))
		}
		if c.name == "completion" {
			words = append(words, "bash", "zsh", "fish")
		}
		fmt.Fprintf(&cases, "\t%s\\ *) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$word\") ;;\n", c.name, strings.Join(words, " "))
	}
	return fmt.Sprintf(`# Completion of concert for bash 4 and later.
_concert() {
	local word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'help %s' -- "$word")
		return
	fi
	case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in
%s	esac
}
complete -F _concert concert
`, strings.Join(names, " "), cases.String())
}

func zshCompletion(commands []command) string {
	quote := strings.NewReplacer("'", "'\\''", ":", "\\:", "[", "\\[", "]", "\\]").Replace
	var names, cases strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&names, "\t\t'%s:%s'\n", c.name, quote(c.summary))
		fmt.Fprintf(&cases, "\t%s) _arguments", c.name)
		for _, f := range flagsOf(c.help) {
			value := map[string]string{"": "", "DIR": ":directory:_files -/", "LIST": ":list:_files", "FILE": ":file:_files"}[f.value]
			if f.value != "" && value == "" {
				value = ":" + f.value + ": "
			}
			fmt.Fprintf(&cases, " \\\n\t\t'%s[%s]%s'", f.name, quote(f.about), value)
		}
		if c.name == "completion" {
			cases.WriteString(" \\\n\t\t'1:shell:(bash zsh fish)'")
		}
		cases.WriteString(" ;;\n")
	}
	return fmt.Sprintf(`#compdef concert
# Completion of concert for zsh.
_concert() {
	local -a commands=(
%s	)
	if ((CURRENT == 2)); then
		_describe command commands
		return
	fi
	local command=${words[2]}
	shift words
	((CURRENT--))
	case $command in
%s	esac
}
if [[ ${funcstack[1]} == _concert ]]; then
	_concert "$@" # loaded by its first use
else
	compdef _concert concert
fi
`, names.String(), cases.String())
}

func fishCompletion(commands []command) string {
	quote := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace
	var b strings.Builder
	b.WriteString("# Completion of concert for fish.\ncomplete -c concert -f\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "complete -c concert -n __fish_use_subcommand -a %s -d '%s'\n", c.name, quote(c.summary))
		for _, f := range flagsOf(c.help) {
			form := "-s " + strings.TrimPrefix(f.name, "-")
			if name, long := strings.CutPrefix(f.name, "--"); long {
				form = "-l " + name
			}
			value := map[string]string{"": "", "DIR": " -x -a '(__fish_complete_directories)'", "LIST": " -r -F", "FILE": " -r -F"}[f.value]
			if f.value != "" && value == "" {
				value = " -x"
			}
			fmt.Fprintf(&b, "complete -c concert -n '__fish_seen_subcommand_from %s' %s%s -d '%s'\n", c.name, form, value, quote(f.about))
		}
		if c.name == "completion" {
			b.WriteString("complete -c concert -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n")
		}
	}
	return b.String()
}
