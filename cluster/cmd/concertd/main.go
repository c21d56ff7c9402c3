// Command concertd is a server of a cluster. It stores tasks until workers have
// run them, and results until their clients have received them. It accepts a
// connection only with a key of its keyring.
//
//	concertd dev                                       run a server for this user on this machine
//	concertd init --dir one                            make a keyring and three keys
//	concertd serve --dir one --listen 0.0.0.0:4222     run a server, with keys and TLS
//	concertd key --dir one --out ann.key client ann    make a key for a client
//	concertd keys --dir one                            list the holders of keys
//	concertd revoke --dir one ann                      revoke a key
//	concertd version                                   print the version
//	concertd completion bash                           print a script that completes command lines
//
// Each subcommand has its help: concertd serve -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"concert/internal/cmdline"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

type command struct {
	name, arguments, summary, help string
	run                            func(ctx context.Context, flags *flag.FlagSet, args []string, out, errOut io.Writer) error
}

// commands are the subcommands in the order of the help.
func commands() []command {
	return []command{
		{"dev", "", "run a server for your own programs on this machine", devHelp, dev},
		{"init", "", "make a keyring and the first keys", initHelp, initialize},
		{"serve", "", "run a server", serveHelp, serve},
		{"key", "ROLE NAME", "make a key", keyHelp, key},
		{"keys", "", "list the holders of keys", keysHelp, keys},
		{"revoke", "NAME", "revoke a key", revokeHelp, revoke},
		{"version", "", "print the version", versionHelp, version},
		{"completion", "", "print a script that completes command lines", completionHelp, completion},
	}
}

// usageError is an error of the command line.
type usageError struct{ text string }

// Error implements error.
func (e usageError) Error() string { return e.text }

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // under nohup, the signal is ignored
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Ignore(syscall.SIGPIPE) // if the reader of the output ends, writes fail
	ctx, cancel := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, cancel) // a second signal kills the program
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		help(errOut)
		return exitUsage
	}
	switch args[0] {
	case "-version", "--version":
		args = append([]string{"version"}, args[1:]...)
	case "help", "-h", "-help", "--help":
		if len(args) == 1 || args[1] == "help" {
			help(out)
			return exitOK
		}
		if name, ok := cmdline.ManualOf(args[1:]); ok && name == "" {
			fmt.Fprint(out, manual())
			return exitOK
		} else if ok {
			args = []string{name, cmdline.ManualFlag}
		} else {
			args = []string{args[1], "-h"}
		}
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		if slices.Equal(args[1:], []string{cmdline.ManualFlag}) {
			fmt.Fprint(out, cmdline.Manual(program, c.described(), program))
			return exitOK
		}
		flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		err := c.run(ctx, flags, args[1:], out, errOut)
		var usage usageError
		switch {
		case err == nil:
			return exitOK
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprint(out, c.help)
			return exitOK
		case errors.As(err, &usage):
			fmt.Fprintf(errOut, "concertd %s: %s\nRun 'concertd %s -h' for help.\n", c.name, strings.TrimPrefix(err.Error(), "server: "), c.name)
			return exitUsage
		}
		fmt.Fprintf(errOut, "concertd %s: %s\n", c.name, strings.TrimPrefix(err.Error(), "server: "))
		return exitFailed
	}
	names := []string{"help"}
	for _, c := range commands() {
		names = append(names, c.name)
	}
	meant := ""
	if near := cmdline.Nearest(args[0], names); near != "" {
		meant = fmt.Sprintf("; did you mean %q?", near)
	}
	fmt.Fprintf(errOut, "concertd: no command %q%s\nRun 'concertd help' for a list.\n", args[0], meant)
	return exitUsage
}

// parse parses flags. It returns an error unless exactly the named arguments
// follow the flags.
func parse(flags *flag.FlagSet, args []string, names ...string) error {
	if err := cmdline.Parse(flags, args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return usageError{cmdline.Text(flags, err)}
	}
	given := flags.NArg()
	switch {
	case given > len(names):
		return usageError{fmt.Sprintf("unexpected argument %q", flags.Arg(len(names)))}
	case given < len(names):
		return usageError{"no " + strings.Join(names[given:], " and no ")}
	}
	return checkDir(flags)
}

const (
	defaultDir = "concert-server"
	earlierDir = "concertd" // the default of earlier versions, which is also the name of this program
)

func dirFlag(flags *flag.FlagSet) *string {
	return flags.String("dir", defaultDir, "")
}

// checkDir returns an error if the user does not set --dir, and the only
// keyring is in the default directory of earlier versions.
func checkDir(flags *flag.FlagSet) error {
	chosen := false
	flags.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "dir" })
	if f := flags.Lookup("dir"); f == nil || f.DefValue != defaultDir || chosen {
		return nil
	}
	if _, err := os.Stat(defaultDir); err == nil {
		return nil
	}
	if info, err := os.Stat(keyringDir(earlierDir)); err != nil || !info.IsDir() {
		return nil
	}
	return fmt.Errorf("the keyring is in the directory %[1]s, the default of earlier versions, and the default is now %[2]s: add --dir %[1]s to the command, or stop the server and run 'mv %[1]s %[2]s'", earlierDir, defaultDir)
}
