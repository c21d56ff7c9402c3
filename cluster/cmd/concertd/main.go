// Command concertd is a server of a cluster: it has the tasks that wait and the results that have not been taken, and lets in who has a
// key.
//
//	concertd serve --folder one --listen 0.0.0.0:4222     a server, with keys and TLS
//	concertd key --folder one --out ann.key client ann    a key for somebody
//	concertd keys --folder one                            who has one
//	concertd revoke --folder one ann                      and has none any more
//
// Each subcommand has its help: concertd serve -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"concert/cluster/server"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

type command struct {
	name, arguments, summary, help string
	run                            func(ctx context.Context, flags *flag.FlagSet, args []string, out io.Writer) error
}

var commands = []command{
	{"serve", "", "be a server, until it is told to stop", serveHelp, serve},
	{"key", "ROLE NAME", "make a key for somebody", keyHelp, key},
	{"keys", "", "who has a key", keysHelp, keys},
	{"revoke", "NAME", "take a key away", revokeHelp, revoke},
}

const (
	serveHelp = `The folder is made by the first start, and with it the keyring: in "keyring" is who may use the cluster. What is
stored is in "data".

One server:

  concertd serve --folder /var/lib/concert --listen 0.0.0.0:4222

Three that are one cluster, and go on when one of them is lost. Make the keyring on one of them ("concertd keys" does), copy the
folder "keyring" to the other two, and start on each, with its own name:

  concertd serve --folder /var/lib/concert --listen 0.0.0.0:4222 \
      --name one --join-listen 0.0.0.0:6222 --join two.example:6222,three.example:6222

Ctrl-C stops it; what it has is on disk. A second one stops at once. With --sync what it says is stored survives that
the machine loses its power, too; that takes four to six times as long for tasks that do nothing.
`
	keyHelp = `ROLE is one of
  client   submits tasks, and reads the results of its own
  worker   runs tasks of all clients, and submits none
  admin    may do anything

The key is written once and kept nowhere else: give it to NAME in a way that nobody else reads. Servers that run know it two
seconds later; each of three has to get the changed folder "keyring", too.

  concertd key --folder /var/lib/concert --out ann.key client ann
  concertd key --folder /var/lib/concert client ann | ssh ann@laptop 'umask 077; cat >ann.key'
`
	keysHelp   = "One a line: role, public key, name. Makes the keyring if there is none.\n"
	revokeHelp = "Servers that run close its connections two seconds later. Tasks that it has submitted still run.\n"
)

// usageError is an error of the command line.
type usageError struct{ text string }

// Error returns what is wrong, in words.
func (e usageError) Error() string { return e.text }

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second one stops at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		help(errOut)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		help(out)
		return exitOK
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		err := c.run(ctx, flags, args[1:], out)
		var usage usageError
		switch {
		case err == nil:
			return exitOK
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprintf(out, "Usage: %s\n\n%s\nFlags:\n", strings.TrimSpace("concertd "+c.name+" [flags] "+c.arguments), c.help)
			flags.SetOutput(out)
			flags.PrintDefaults()
			return exitOK
		case errors.As(err, &usage):
			fmt.Fprintf(errOut, "concertd %s: %v\nRun 'concertd %s -h' for help.\n", c.name, err, c.name)
			return exitUsage
		}
		fmt.Fprintf(errOut, "concertd %s: %v\n", c.name, err)
		return exitFailed
	}
	fmt.Fprintf(errOut, "concertd: no command %q\nRun 'concertd help' for a list.\n", args[0])
	return exitUsage
}

func help(to io.Writer) {
	fmt.Fprintln(to, "concertd: a server of a cluster of concert.\n\nUsage:")
	for _, c := range commands {
		fmt.Fprintf(to, "  %-26s %s\n", strings.TrimSpace("concertd "+c.name+" "+c.arguments), c.summary)
	}
	fmt.Fprintln(to, "\nRun 'concertd COMMAND -h' for the help of one. Exit codes: 0 fine, 1 failed, 2 wrong command line.")
}

// parse parses flags, and wants so many arguments after them.
func parse(flags *flag.FlagSet, args []string, want int) error {
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return usageError{err.Error()}
	}
	if flags.NArg() != want {
		return usageError{fmt.Sprintf("%d arguments beside the flags, want %d", flags.NArg(), want)}
	}
	return nil
}

func folderFlag(flags *flag.FlagSet) *string {
	return flags.String("folder", "concertd", "the `FOLDER` of the keyring and of what is stored")
}

func keyring(folder string) (*server.Keyring, error) {
	return server.NewKeyring(filepath.Join(folder, "keyring"))
}

func serve(ctx context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	folder := folderFlag(flags)
	listen := flags.String("listen", "127.0.0.1:4222", "the `ADDRESS` to listen on for clients and workers")
	hosts := flags.String("hosts", "", "the `NAMES` and addresses under which others reach it, with commas between them (default: those of this machine)")
	advertise := flags.String("advertise", "", "`HOST:PORT` by which clients of the other servers find this one, if that is not where it listens")
	sync := flags.Bool("sync", false, "write through to the disk before saying that something is stored, else every two minutes: for who may lose power")
	sessions := flags.Int("sessions", 0, "how many sessions of a client's key there may be on this server: `N` programs that submit tasks (default 64)")
	connections := flags.Int("connections", 0, "limit on the connections of one client key to all servers together: `N`, negative for no limit (default 128)")
	name := flags.String("name", "", "the `NAME` of this server among those that it joins")
	joinListen := flags.String("join-listen", "", "the `ADDRESS` to listen on for other servers")
	joinAdvertise := flags.String("join-advertise", "", "`HOST:PORT` by which other servers find this one, if that is not where it listens")
	join := flags.String("join", "", "where the other `SERVERS` listen for it, HOST:PORT, with commas between them")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	opts := &server.Options{Folder: filepath.Join(*folder, "data"), Listen: *listen, Hosts: list(*hosts), Advertise: *advertise, SyncAlways: *sync, Sessions: *sessions, Connections: *connections}
	replicas := 1
	switch {
	case *join != "":
		opts.Join, replicas = &server.Join{Name: *name, Listen: *joinListen, Advertise: *joinAdvertise, Others: list(*join)}, 3
	case *name != "" || *joinListen != "" || *joinAdvertise != "":
		return usageError{"--name, --join-listen and --join-advertise are for a server that joins others: with --join"}
	}
	find := server.NewKeyring
	if opts.Join != nil { // it has to be that of the others
		find = server.OpenKeyring
	}
	k, err := find(filepath.Join(*folder, "keyring"))
	if opts.Join != nil && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: copy that of the servers to join", filepath.Join(*folder, "keyring"))
	}
	if err != nil {
		return err
	}
	opts.Keyring = k
	s, err := server.New(opts)
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Fprintf(out, "concertd: listening; the URL is %s\n", s.URL())
	if holders, err := k.Holders(); err == nil && len(holders) == 0 {
		fmt.Fprintf(out, "concertd: the keyring has no keys, so no client or worker can connect; make one: concertd key --folder %s --out NAME.key client NAME\n", *folder)
	}
	waiting := time.AfterFunc(5*time.Second, func() { fmt.Fprintln(out, "concertd: waiting for the other servers") })
	err = s.Setup(ctx, replicas)
	waiting.Stop()
	if ctx.Err() == nil {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "concertd: ready")
		<-ctx.Done()
	}
	fmt.Fprintln(out, "concertd: stopping")
	return s.Close()
}

// list is what has commas between it.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func key(_ context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	folder := folderFlag(flags)
	to := flags.String("out", "", "the new `FILE` to write it to, which only its owner may read (default: it is printed)")
	if err := parse(flags, args, 2); err != nil {
		return err
	}
	k, err := keyring(*folder)
	if err != nil {
		return err
	}
	text, err := k.Add(server.Role(flags.Arg(0)), flags.Arg(1))
	if err != nil {
		return err
	}
	if *to == "" {
		_, err = out.Write(text)
	} else {
		err = writeNew(*to, text)
	}
	if err != nil { // then nobody has it
		return errors.Join(fmt.Errorf("writing the key, which is taken back: %w", err), k.Remove(flags.Arg(1)))
	}
	return nil
}

// writeNew writes a file that was not there, or leaves none.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(name)
	}
	return err
}

func keys(_ context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	folder := folderFlag(flags)
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	k, err := keyring(*folder)
	if err != nil {
		return err
	}
	holders, err := k.Holders()
	for _, h := range holders {
		fmt.Fprintf(out, "%s %s %s\n", h.Role, h.Key, h.Name)
	}
	return err
}

func revoke(_ context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	folder := folderFlag(flags)
	if err := parse(flags, args, 1); err != nil {
		return err
	}
	k, err := server.OpenKeyring(filepath.Join(*folder, "keyring"))
	if err != nil {
		return err
	}
	return k.Remove(flags.Arg(0))
}
