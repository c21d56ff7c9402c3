// Package cli runs the subcommands of a program. It finds the subcommand of a
// command line, and turns the error of the subcommand into a message and an
// exit code. It also has what subcommands share: flags, text with colors, and
// files that appear only when they are complete.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"concert/internal/cmdline"
	"concert/internal/printable"
)

// Exit codes, the same for all subcommands.
const (
	ExitOK     = 0
	ExitFailed = 1   // the work failed; the standard error says what failed, and why
	ExitUsage  = 2   // the command line could not be understood
	ExitGuess  = 3   // only from choose: the verdict is only a guess
	ExitSignal = 130 // interrupted by Ctrl-C
)

// Command is one subcommand.
type Command struct {
	Name    string
	Summary string
	Help    string // what -h prints; the list of flags follows its line "Flags:"
	Flags   *Flags // nil if -h is the only flag
	Run     func(ctx context.Context, args []string, out, errOut io.Writer) error
}

// program is the name of the program.
const program = "concert"

// flagsLine is the line of a help after which the flags are listed.
const flagsLine = "\nFlags:\n"

// UsageError is an error of the command line.
type UsageError struct{ Text string }

// Error returns the text alone; Main adds the command's name.
func (e UsageError) Error() string { return e.Text }

// A subcommand returns one of these errors if it has already printed what
// happened. Main does not print them.
var (
	ErrReported = errors.New("cli: some of the work failed")
	ErrGuess    = errors.New("cli: the verdict is only a guess")
)

// Main runs a command line of concert and returns its exit code.
func Main(ctx context.Context, commands []Command, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		printHelp(errOut, commands)
		return ExitUsage
	}
	switch args[0] {
	case "-version", "--version":
		args = append([]string{"version"}, args[1:]...)
	case "help", "-h", "-help", "--help":
		if len(args) == 1 || slices.Equal(args[1:], []string{"help"}) {
			printHelp(out, commands)
			return ExitOK
		}
		if name, ok := cmdline.ManualOf(args[1:]); ok && name == "" {
			fmt.Fprint(out, manual(commands))
			return ExitOK
		} else if ok {
			args = []string{name, cmdline.ManualFlag}
		} else {
			args = []string{args[1], "-h"}
		}
	}
	for _, c := range commands {
		if c.Name == args[0] && slices.Equal(args[1:], []string{cmdline.ManualFlag}) {
			fmt.Fprint(out, cmdline.Manual(program, c.described(), program))
			return ExitOK
		}
		if c.Name == args[0] {
			return c.exitCode(ctx, c.Run(ctx, args[1:], out, errOut), out, errOut)
		}
	}
	names := []string{"help"}
	for _, c := range commands {
		names = append(names, c.Name)
	}
	meant := ""
	if near := cmdline.Nearest(args[0], names); near != "" {
		meant = fmt.Sprintf("; did you mean %q?", near)
	}
	fmt.Fprintf(errOut, "concert: no command %q%s\nRun 'concert help' for a list.\n", args[0], meant)
	return ExitUsage
}

// exitCode prints the error of a subcommand and returns the exit code.
func (c *Command) exitCode(ctx context.Context, err error, out, errOut io.Writer) int {
	var usage UsageError
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, flag.ErrHelp):
		before, after, found := strings.Cut(c.Help, flagsLine)
		if found {
			before += flagsLine + c.Flags.help()
		}
		fmt.Fprint(out, before+after)
		return ExitOK
	case ctx.Err() != nil:
		if !errors.Is(err, ErrReported) {
			fmt.Fprintln(errOut, "concert: interrupted")
		}
		return ExitSignal
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "concert %s: %s\nRun 'concert %s -h' for help.\n", c.Name, printable.Text(err.Error()), c.Name)
		return ExitUsage
	case errors.Is(err, ErrGuess):
		return ExitGuess
	case !errors.Is(err, ErrReported):
		// Errors of package choose begin with the name of the command.
		text := strings.TrimPrefix(err.Error(), c.Name+": ")
		fmt.Fprintf(errOut, "concert %s: %s\n", c.Name, printable.Text(text))
	}
	return ExitFailed
}

// helpEnd follows the list of commands.
const helpEnd = `  help        list the commands

Examples:
  concert tour
  concert choose gzip -kc ::: *.log
  concert get -d isos -i urls.txt

Run 'concert COMMAND -h' for the flags, exit codes and examples of a command,
and 'concert help COMMAND --man' for its manual page.
Exit code 0 means success, 1 a failure, 2 a wrong command line,
3 a verdict of choose that is only a guess, and 130 an interruption by Ctrl-C.
`

func printHelp(w io.Writer, commands []Command) {
	fmt.Fprint(w, "concert runs work concurrently, and measures the gain.\n\nUsage: concert COMMAND [flags]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s  %s\n", c.Name, c.Summary)
	}
	fmt.Fprint(w, helpEnd)
}

// manual returns the manual page of the program as a whole.
func manual(commands []Command) string {
	var help strings.Builder
	printHelp(&help, commands)
	var pages []string
	for _, c := range commands {
		pages = append(pages, program+"-"+c.Name)
	}
	return cmdline.Manual(program, cmdline.Command{Summary: "run work concurrently, and measure the gain", Help: help.String()}, pages...)
}
