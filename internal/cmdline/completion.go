package cmdline

import (
	"fmt"
	"strings"
)

// Shells are the shells for which there are completion scripts.
var Shells = []string{"bash", "zsh", "fish"}

// Completion returns a script with which a shell completes the commands and
// flags of a program. The error for an unknown shell names the known ones.
func Completion(program, shell string, commands []Command) (script string, err error) {
	switch shell {
	case "bash":
		return bashCompletion(program, commands), nil
	case "zsh":
		return zshCompletion(program, commands), nil
	case "fish":
		return fishCompletion(program, commands), nil
	}
	last := len(Shells) - 1
	return "", fmt.Errorf("name one shell: %s or %s", strings.Join(Shells[:last], ", "), Shells[last])
}

func bashCompletion(program string, commands []Command) string {
	var names []string
	var cases strings.Builder
	for _, c := range commands {
		names = append(names, c.Name)
		var words, values []string
		for _, f := range c.allFlags() {
			words = append(words, f.Name)
			switch f.Value {
			case "":
			case "DIR", "LIST", "FILE":
				kind := map[string]string{"DIR": "-d", "LIST": "-f", "FILE": "-f"}[f.Value]
				fmt.Fprintf(&cases, "\t%s\\ %s) compopt -o filenames; mapfile -t COMPREPLY < <(compgen %s -- \"$word\") ;;\n", c.Name, f.Name, kind)
			default:
				values = append(values, c.Name+"\\ "+f.Name)
			}
		}
		if len(values) > 0 {
			fmt.Fprintf(&cases, "\t%s) ;;\n", strings.Join(values, "|"))
		}
		words = append(words, c.Words...)
		fmt.Fprintf(&cases, "\t%s\\ *) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$word\") ;;\n", c.Name, strings.Join(words, " "))
	}
	return strings.NewReplacer("PROGRAM", program, "NAMES", strings.Join(names, " "), "CASES", cases.String()).Replace(`# Completion of PROGRAM for bash 4 and later.
_PROGRAM() {
	local word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'help NAMES' -- "$word")
		return
	fi
	case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in
CASES	esac
}
complete -F _PROGRAM PROGRAM
`)
}

func zshCompletion(program string, commands []Command) string {
	quote := strings.NewReplacer("'", "'\\''", ":", "\\:", "[", "\\[", "]", "\\]").Replace
	var names, cases strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&names, "\t\t'%s:%s'\n", c.Name, quote(c.Summary))
		fmt.Fprintf(&cases, "\t%s) _arguments", c.Name)
		for _, f := range c.allFlags() {
			value := map[string]string{"": "", "DIR": ":directory:_files -/", "LIST": ":list:_files", "FILE": ":file:_files"}[f.Value]
			if f.Value != "" && value == "" {
				value = ":" + quote(f.Value) + ": "
			}
			repeat := ""
			if f.Repeat {
				repeat = "*"
			}
			fmt.Fprintf(&cases, " \\\n\t\t'%s%s[%s]%s'", repeat, f.Name, quote(f.Summary()), value)
		}
		if len(c.Words) > 0 {
			fmt.Fprintf(&cases, " \\\n\t\t'1:argument:(%s)'", strings.Join(c.Words, " "))
		}
		cases.WriteString(" ;;\n")
	}
	return strings.NewReplacer("PROGRAM", program, "NAMES", names.String(), "CASES", cases.String()).Replace(`#compdef PROGRAM
# Completion of PROGRAM for zsh.
_PROGRAM() {
	local -a commands=(
NAMES	)
	if ((CURRENT == 2)); then
		_describe command commands
		return
	fi
	local command=${words[2]}
	shift words
	((CURRENT--))
	case $command in
CASES	esac
}
if [[ ${funcstack[1]} == _PROGRAM ]]; then
	_PROGRAM "$@" # zsh has loaded this file for the first completion
else
	compdef _PROGRAM PROGRAM
fi
`)
}

func fishCompletion(program string, commands []Command) string {
	quote := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace
	var b strings.Builder
	fmt.Fprintf(&b, "# Completion of %[1]s for fish.\ncomplete -c %[1]s -f\n", program)
	for _, c := range commands {
		fmt.Fprintf(&b, "complete -c %s -n __fish_use_subcommand -a %s -d '%s'\n", program, c.Name, quote(c.Summary))
		for _, f := range c.allFlags() {
			form := "-s " + strings.TrimPrefix(f.Name, "-")
			if name, long := strings.CutPrefix(f.Name, "--"); long {
				form = "-l " + name
			}
			value := map[string]string{"": "", "DIR": " -x -a '(__fish_complete_directories)'", "LIST": " -r -F", "FILE": " -r -F"}[f.Value]
			if f.Value != "" && value == "" {
				value = " -x"
			}
			fmt.Fprintf(&b, "complete -c %s -n '__fish_seen_subcommand_from %s' %s%s -d '%s'\n", program, c.Name, form, value, quote(f.Summary()))
		}
		if len(c.Words) > 0 {
			fmt.Fprintf(&b, "complete -c %s -n '__fish_seen_subcommand_from %s' -a '%s'\n", program, c.Name, strings.Join(c.Words, " "))
		}
	}
	return b.String()
}
