package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

const completionHelp = `Usage: concert completion bash|zsh|fish

Prints a script with which the shell completes the commands and flags of
concert.

Examples:
  source <(concert completion bash)                    in ~/.bashrc
  concert completion zsh > ~/.zfunc/_concert           a directory of $fpath
  concert completion fish > ~/.config/fish/completions/concert.fish
`

// Completion returns the command "completion". It prints scripts that complete
// the given commands and the command "completion" itself.
func Completion(commands []Command) Command {
	c := Command{Name: "completion", Summary: "print a script that completes command lines in your shell", Help: completionHelp}
	all := append(slices.Clip(commands), c)
	c.Run = func(_ context.Context, args []string, out, _ io.Writer) error {
		flags := NewFlags()
		if err := flags.ParseAnywhere(args); err != nil {
			return err
		}
		args = flags.Args()
		scripts := map[string]func([]Command) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
		if len(args) != 1 || scripts[args[0]] == nil {
			return UsageError{"name one shell: bash, zsh or fish"}
		}
		fmt.Fprint(out, scripts[args[0]](all))
		return nil
	}
	return c
}

// allFlags returns the flags of a command, and -h, which all commands have.
func (c *Command) allFlags() []declared {
	all := []declared{{name: "-h", about: "help"}}
	if c.Flags != nil {
		all = append(all, c.Flags.list...)
	}
	return all
}

func bashCompletion(commands []Command) string {
	var names []string
	var cases strings.Builder
	for _, c := range commands {
		names = append(names, c.Name)
		var words, values []string
		for _, f := range c.allFlags() {
			words = append(words, f.name)
			switch f.value {
			case "":
			case "DIR", "LIST", "FILE":
				kind := map[string]string{"DIR": "-d", "LIST": "-f", "FILE": "-f"}[f.value]
				fmt.Fprintf(&cases, "\t%s\\ %s) compopt -o filenames; mapfile -t COMPREPLY < <(compgen %s -- \"$word\") ;;\n", c.Name, f.name, kind)
			default:
				values = append(values, c.Name+"\\ "+f.name)
			}
		}
		if len(values) > 0 {
			fmt.Fprintf(&cases, "\t%s) ;;\n", strings.Join(values, "|"))
		}
		if c.Name == "completion" {
			words = append(words, "bash", "zsh", "fish")
		}
		fmt.Fprintf(&cases, "\t%s\\ *) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$word\") ;;\n", c.Name, strings.Join(words, " "))
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

func zshCompletion(commands []Command) string {
	quote := strings.NewReplacer("'", "'\\''", ":", "\\:", "[", "\\[", "]", "\\]").Replace
	var names, cases strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&names, "\t\t'%s:%s'\n", c.Name, quote(c.Summary))
		fmt.Fprintf(&cases, "\t%s) _arguments", c.Name)
		for _, f := range c.allFlags() {
			value := map[string]string{"": "", "DIR": ":directory:_files -/", "LIST": ":list:_files", "FILE": ":file:_files"}[f.value]
			if f.value != "" && value == "" {
				value = ":" + quote(f.value) + ": "
			}
			repeat := ""
			if f.repeat {
				repeat = "*"
			}
			fmt.Fprintf(&cases, " \\\n\t\t'%s%s[%s]%s'", repeat, f.name, quote(f.summary()), value)
		}
		if c.Name == "completion" {
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
	_concert "$@" # zsh has loaded this file for the first completion
else
	compdef _concert concert
fi
`, names.String(), cases.String())
}

func fishCompletion(commands []Command) string {
	quote := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace
	var b strings.Builder
	b.WriteString("# Completion of concert for fish.\ncomplete -c concert -f\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "complete -c concert -n __fish_use_subcommand -a %s -d '%s'\n", c.Name, quote(c.Summary))
		for _, f := range c.allFlags() {
			form := "-s " + strings.TrimPrefix(f.name, "-")
			if name, long := strings.CutPrefix(f.name, "--"); long {
				form = "-l " + name
			}
			value := map[string]string{"": "", "DIR": " -x -a '(__fish_complete_directories)'", "LIST": " -r -F", "FILE": " -r -F"}[f.value]
			if f.value != "" && value == "" {
				value = " -x"
			}
			fmt.Fprintf(&b, "complete -c concert -n '__fish_seen_subcommand_from %s' %s%s -d '%s'\n", c.Name, form, value, quote(f.summary()))
		}
		if c.Name == "completion" {
			b.WriteString("complete -c concert -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n")
		}
	}
	return b.String()
}
