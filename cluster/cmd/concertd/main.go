// Command concertd is a server of a cluster. It stores waiting tasks, and
// results until their clients receive them. It accepts connections with a key
// of its keyring only.
//
//	concertd serve --dir one --listen 0.0.0.0:4222     run a server, with keys and TLS
//	concertd key --dir one --out ann.key client ann    make a key for a client
//	concertd keys --dir one                            list the holders of keys
//	concertd revoke --dir one ann                      revoke a key
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
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"concert/cluster/server"
	"concert/internal/flagerror"
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

var commands = []command{
	{"serve", "", "run a server", serveHelp, serve},
	{"key", "ROLE NAME", "make a key", keyHelp, key},
	{"keys", "", "list the holders of keys", keysHelp, keys},
	{"revoke", "NAME", "revoke a key", revokeHelp, revoke},
}

const (
	serveHelp = `Usage: concertd serve [flags]

Runs a server of a cluster. The first start creates the directory of --dir. In
it, "keyring" lists the keys that may use the cluster, and "data" has the stored
tasks and results.

Ctrl-C stops the server; its data stays on the disk. A second Ctrl-C stops it at
once.

Flags:
  --dir DIR              directory of the keyring and the data (default
                         concertd)
  --listen ADDRESS       address for clients and workers (default
                         127.0.0.1:4222)
  --hosts NAMES          host names and addresses of this server for its
                         certificate, with commas between them (default those of
                         this machine)
  --advertise HOST:PORT  address at which clients of the other servers find this
                         one, if it differs from --listen
  --sync                 write data to the disk before acknowledging it, so that
                         it survives a power failure. Tasks that do nothing then
                         take four to six times as long. Without this flag,
                         servers write to the disk every two minutes

Flags of a server that joins others:
  --join SERVERS         the other servers of the cluster: HOST:PORT of their
                         --join-listen, with commas between them
  --name NAME            name of this server, different from those of the others
  --join-listen ADDRESS  address for the other servers, with a fixed port
  --join-advertise HOST:PORT
                         address at which other servers find this one, if it
                         differs from --join-listen

Limits for each key, so that no key can use up a server:
  --sessions N           sessions of a client on this server, about one for each
                         program (default 64)
  --connections N        connections of a client to all servers together;
                         negative for no limit (default 128)
  --tasks N              stored tasks of a client for all workers together;
                         negative for no limit (default 32,768)
  --parts N              stored parts, of half a megabyte, of a client's large
                         arguments, and of its large results by each worker;
                         negative for no limit (default 16,384)

Exit codes:
  0  it was stopped by Ctrl-C or SIGTERM
  1  it could not start
  2  the command line is wrong

Examples:
  One server:

    concertd serve --dir /var/lib/concert --listen 0.0.0.0:4222

  Three servers form a cluster that continues when one of them is lost. Create
  the keyring on one of them ('concertd key' does it), and copy the directory
  "keyring" to the other two. Then start each server, with its own name:

    concertd serve --dir /var/lib/concert --listen 0.0.0.0:4222 \
        --name one --join-listen 0.0.0.0:6222 \
        --join two.example:6222,three.example:6222
`
	keyHelp = `Usage: concertd key [flags] ROLE NAME

Makes a key for NAME. ROLE is one of

  client   submits tasks, and reads their results
  worker   runs tasks of all clients, and submits none
  admin    may do anything

The secret key is written once and stored nowhere else. Send it to NAME over a
secure channel. Running servers accept the key two seconds later. With three
servers, copy the changed directory "keyring" to the other two.

If the directory of --dir has no keyring, a new keyring is made, and a message
says so. Servers that use another keyring do not accept its keys.

Flags:
  --dir DIR   directory of the keyring and the data (default concertd)
  --out FILE  new file for the key, which only its owner may read (default print
              the key). The command prints what to do next

Exit codes:
  0  the key was made
  1  it could not be made
  2  the command line is wrong

Examples:
  concertd key --dir /var/lib/concert --out ann.key client ann
  concertd key --dir /var/lib/concert client ann |
      ssh ann@laptop 'umask 077; cat >ann.key'
`
	keysHelp = `Usage: concertd keys [flags]

Prints one line for each holder of a key: the role, the public key and the name.

Flags:
  --dir DIR  directory of the keyring and the data (default concertd)

Exit codes:
  0  success
  1  there is no keyring, or it could not be read
  2  the command line is wrong

Example:
  concertd keys --dir /var/lib/concert
`
	revokeHelp = `Usage: concertd revoke [flags] NAME

Revokes the key of NAME. Running servers close its connections two seconds
later. Tasks that were submitted with it still run. With three servers, copy the
changed directory "keyring" to the other two.

Flags:
  --dir DIR  directory of the keyring and the data (default concertd)

Exit codes:
  0  the key was revoked
  1  there is no such key, or the keyring could not be changed
  2  the command line is wrong

Example:
  concertd revoke --dir /var/lib/concert ann
`
)

// usageError is an error of the command line.
type usageError struct{ text string }

// Error implements error.
func (e usageError) Error() string { return e.text }

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second signal kills the program
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
	fmt.Fprintf(errOut, "concertd: no command %q\nRun 'concertd help' for a list.\n", args[0])
	return exitUsage
}

// helpEnd follows the list of commands.
const helpEnd = `  help             list the commands

Example:
  concertd serve --dir /var/lib/concert --listen 0.0.0.0:4222
  concertd key --dir /var/lib/concert --out ann.key client ann

Run 'concertd COMMAND -h' for the flags, exit codes and examples of a command.
`

func help(to io.Writer) {
	fmt.Fprintln(to, "concertd runs a server of a concert cluster, and manages the keys of its clients\nand workers.\n\nUsage: concertd COMMAND [flags]\n\nCommands:")
	for _, c := range commands {
		fmt.Fprintf(to, "  %-15s  %s\n", strings.TrimSpace(c.name+" "+c.arguments), c.summary)
	}
	fmt.Fprint(to, helpEnd)
}

// parse parses flags. It returns an error unless the named arguments follow
// them.
func parse(flags *flag.FlagSet, args []string, names ...string) error {
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return usageError{flagerror.Text(flags, err)}
	}
	given := flags.NArg()
	switch {
	case len(names) > 0 && slices.ContainsFunc(flags.Args(), func(arg string) bool { return strings.HasPrefix(arg, "-") }):
		return usageError{"flags go before " + strings.Join(names, " and ")}
	case given > len(names):
		return usageError{fmt.Sprintf("unexpected argument %q", flags.Arg(len(names)))}
	case given < len(names):
		return usageError{"no " + strings.Join(names[given:], " and no ")}
	}
	return nil
}

func dirFlag(flags *flag.FlagSet) *string {
	return flags.String("dir", "concertd", "")
}

// keyringDir returns the directory of the keyring.
func keyringDir(dir string) string { return filepath.Join(dir, "keyring") }

// openKeyring opens the keyring of --dir. It does not create one.
func openKeyring(dir string) (*server.Keyring, error) {
	k, err := server.OpenKeyring(keyringDir(dir))
	if _, missing := os.Stat(keyringDir(dir)); errors.Is(missing, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no keyring in %s: is --dir right? 'concertd serve' and 'concertd key' create one", dir)
	}
	return k, err
}

// newKeyring opens the keyring of --dir. It creates a missing keyring, and
// reports that on the error output, because the directory may be misspelled.
func newKeyring(dir string, errOut io.Writer) (*server.Keyring, error) {
	_, missing := os.Stat(keyringDir(dir))
	k, err := server.NewKeyring(keyringDir(dir))
	if err == nil && errors.Is(missing, fs.ErrNotExist) {
		fmt.Fprintf(errOut, "concertd: created a keyring in %s; servers that run with another keyring do not accept its keys\n", keyringDir(dir))
	}
	return k, err
}

// checkOptions returns an error of the command line if a server cannot have the
// options.
func checkOptions(o *server.Options) error {
	if o.Sessions < 0 {
		return usageError{"--sessions takes 1 or more, or 0 for the default"}
	}
	if err := checkListen("--listen", o.Listen, "4222"); err != nil {
		return err
	}
	if err := checkHostPort("--advertise", o.Advertise); err != nil {
		return err
	}
	j := o.Join
	if j == nil {
		return nil
	}
	if err := checkListen("--join-listen", j.Listen, "6222"); err != nil {
		return err
	}
	if strings.HasSuffix(j.Listen, ":0") {
		return usageError{fmt.Sprintf("--join-listen %q: want a fixed port, as in 0.0.0.0:6222", j.Listen)}
	}
	if j.Name == "" || strings.ContainsAny(j.Name, " .*>/\\") {
		return usageError{fmt.Sprintf("--name %q: want a name without blanks, dots, slashes, * and >", j.Name)}
	}
	if len(j.Others) < 2 {
		return usageError{"--join needs at least two other servers: of two servers, neither could tell which one is cut off"}
	}
	for _, other := range j.Others {
		if other == "" {
			return usageError{"--join: a server is empty between two commas"}
		}
		if err := checkHostPort("--join", other); err != nil {
			return err
		}
	}
	return checkHostPort("--join-advertise", j.Advertise)
}

// checkListen checks an address to listen on.
func checkListen(name, at, port string) error {
	if _, err := netip.ParseAddrPort(at); err != nil {
		return usageError{fmt.Sprintf("%s %q: want an address and a port, as in 127.0.0.1:%[3]s, or 0.0.0.0:%[3]s for all addresses of this machine", name, at, port)}
	}
	return nil
}

// checkHostPort checks an address of another server, or one that others use.
// Empty means none.
func checkHostPort(name, at string) error {
	if at == "" {
		return nil
	}
	if host, port, err := net.SplitHostPort(at); err != nil || host == "" || port == "" {
		return usageError{fmt.Sprintf("%s %q: want HOST:PORT", name, at)}
	}
	return nil
}

func serve(ctx context.Context, flags *flag.FlagSet, args []string, out, _ io.Writer) error {
	dir := dirFlag(flags)
	listen := flags.String("listen", "127.0.0.1:4222", "")
	hosts := flags.String("hosts", "", "")
	advertise := flags.String("advertise", "", "")
	sync := flags.Bool("sync", false, "")
	sessions := flags.Int("sessions", 0, "")
	connections := flags.Int("connections", 0, "")
	tasks := flags.Int("tasks", 0, "")
	parts := flags.Int("parts", 0, "")
	name := flags.String("name", "", "")
	joinListen := flags.String("join-listen", "", "")
	joinAdvertise := flags.String("join-advertise", "", "")
	join := flags.String("join", "", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	opts := &server.Options{Dir: filepath.Join(*dir, "data"), Listen: *listen, Hosts: list(*hosts), Advertise: *advertise, SyncAlways: *sync, Sessions: *sessions, Connections: *connections, Tasks: *tasks, Parts: *parts}
	replicas := 1
	switch {
	case *join != "":
		opts.Join, replicas = &server.Join{Name: *name, Listen: *joinListen, Advertise: *joinAdvertise, Others: list(*join)}, 3
	case *name != "" || *joinListen != "" || *joinAdvertise != "":
		return usageError{"--name, --join-listen and --join-advertise are for a server that joins others: with --join"}
	}
	if err := checkOptions(opts); err != nil {
		return err
	}
	find := server.NewKeyring
	if opts.Join != nil { // the keyring must be a copy of the other servers' keyring
		find = server.OpenKeyring
	}
	k, err := find(keyringDir(*dir))
	if opts.Join != nil && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: copy it from one of the servers to join", keyringDir(*dir))
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
		fmt.Fprintf(out, "concertd: the keyring has no keys, so no client or worker can connect; make one: concertd key --dir %s --out NAME.key client NAME\n", *dir)
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

// list splits a text at commas.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func key(_ context.Context, flags *flag.FlagSet, args []string, out, errOut io.Writer) error {
	dir := dirFlag(flags)
	to := flags.String("out", "", "")
	if err := parse(flags, args, "ROLE", "NAME"); err != nil {
		return err
	}
	role, name := server.Role(flags.Arg(0)), flags.Arg(1)
	if err := server.CheckHolder(role, name); err != nil {
		return usageError{err.Error()}
	}
	if *to == "" {
		return addKey(*dir, role, name, out, errOut)
	}
	f, err := os.OpenFile(*to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists; no key was made", *to)
	} else if err != nil {
		return fmt.Errorf("no key was made: %w", err)
	}
	if err = errors.Join(addKey(*dir, role, name, f, errOut), f.Close()); err != nil {
		os.Remove(*to)
		return err
	}
	fmt.Fprintf(out, "concertd: %s has the key of %s, a%s %s; %s\n", *to, name, map[bool]string{true: "n"}[role == server.Admin], role, nextStep(role, *to))
	return nil
}

// nextStep says how to use a key file.
func nextStep(role server.Role, file string) string {
	switch role {
	case server.Worker:
		return fmt.Sprintf("next: concert worker --key %s MODULE:FUNCTION, or Access.Key in a program that calls cluster.Serve", file)
	case server.Admin:
		return fmt.Sprintf("next: concert status --key %s", file)
	}
	return "next: Access.Key in a program that calls cluster.Dial"
}

// addKey makes a key and writes it to a file or the standard output. If it
// cannot be written, addKey revokes it, because no program has received it.
func addKey(dir string, role server.Role, name string, to, errOut io.Writer) error {
	k, err := newKeyring(dir, errOut)
	if err != nil {
		return err
	}
	text, err := k.Add(role, name)
	if err != nil {
		return err
	}
	if _, err := to.Write(text); err != nil {
		return errors.Join(fmt.Errorf("cannot write the key, so it was revoked: %w", err), k.Remove(name))
	}
	return nil
}

func keys(_ context.Context, flags *flag.FlagSet, args []string, out, _ io.Writer) error {
	dir := dirFlag(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	k, err := openKeyring(*dir)
	if err != nil {
		return err
	}
	holders, err := k.Holders()
	if err != nil {
		return err
	}
	if len(holders) == 0 {
		_, err := fmt.Fprintln(out, "no keys")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "role\tpublic key\tname")
	for _, h := range holders {
		fmt.Fprintf(t, "%s\t%s\t%s\n", h.Role, h.Key, h.Name)
	}
	return t.Flush()
}

func revoke(_ context.Context, flags *flag.FlagSet, args []string, _, _ io.Writer) error {
	dir := dirFlag(flags)
	if err := parse(flags, args, "NAME"); err != nil {
		return err
	}
	k, err := openKeyring(*dir)
	if err != nil {
		return err
	}
	return k.Remove(flags.Arg(0))
}
