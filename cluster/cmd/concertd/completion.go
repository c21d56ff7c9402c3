package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"concert/internal/cmdline"
)

const completionHelp = `Usage: concertd completion bash|zsh|fish

Prints a script with which the shell completes the commands and flags of
concertd.

Examples:
  source <(concertd completion bash)                    in ~/.bashrc
  concertd completion zsh > ~/.zfunc/_concertd          a directory of $fpath
  concertd completion fish > ~/.config/fish/completions/concertd.fish
`

func completion(_ context.Context, flags *flag.FlagSet, args []string, out, _ io.Writer) error {
	if err := parse(flags, args, "SHELL"); err != nil {
		return err
	}
	var all []cmdline.Command
	for _, c := range commands() {
		all = append(all, c.described())
	}
	script, err := cmdline.Completion(program, flags.Arg(0), all)
	if err != nil {
		return usageError{err.Error()}
	}
	_, err = fmt.Fprint(out, script)
	return err
}

// described returns the command in the form that package cmdline uses.
func (c *command) described() cmdline.Command {
	d := cmdline.Command{Name: c.name, Summary: c.summary, Help: c.help, Flags: cmdline.FlagsOf(c.help)}
	switch c.name {
	case "completion":
		d.Words = cmdline.Shells
	case "key":
		d.Words = []string{"client", "worker", "admin"}
	}
	return d
}

// manual returns the manual page of the program as a whole.
func manual() string {
	var text strings.Builder
	help(&text)
	var pages []string
	for _, c := range commands() {
		pages = append(pages, program+"-"+c.name)
	}
	return cmdline.Manual(program, cmdline.Command{Summary: "run a server of a concert cluster", Help: text.String()}, pages...)
}
