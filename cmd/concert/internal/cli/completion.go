package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"concert/internal/cmdline"
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
		shell := ""
		if flags.NArg() == 1 {
			shell = flags.Arg(0)
		}
		script, err := cmdline.Completion(program, shell, described(all))
		if err != nil {
			return UsageError{err.Error()}
		}
		_, err = fmt.Fprint(out, script)
		return err
	}
	return c
}

// described returns the commands in the form that package cmdline uses.
func described(commands []Command) (all []cmdline.Command) {
	for _, c := range commands {
		all = append(all, c.described())
	}
	return all
}

func (c *Command) described() cmdline.Command {
	d := cmdline.Command{Name: c.Name, Summary: c.Summary, Help: c.Help}
	if c.Flags != nil {
		d.Flags = c.Flags.list
	}
	if c.Name == "completion" {
		d.Words = cmdline.Shells
	}
	return d
}
