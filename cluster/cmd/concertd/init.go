package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"concert/cluster/server"
)

const initHelp = `Usage: concertd init [flags]

Makes a keyring and three keys: one for a client, one for a worker and one for
an admin. Prints the next commands.

The files client.key, worker.key and admin.key are in the directory of --dir.
Only their owner may read them. Move client.key and worker.key to the machines
that use them, over a secure channel. 'concertd key' makes more keys.

If the keyring has keys already, the command changes nothing.

Flags:
  --dir DIR  directory of the keyring and the data (default concert-server)

Exit codes:
  0  the keys were made
  1  they could not be made, or there are keys already
  2  the command line is wrong

Examples:
  concertd init
  concertd init --dir /var/lib/concert
`

// firstRoles are the roles of the keys that "concertd init" makes. The name of
// the holder is the role.
var firstRoles = []server.Role{server.Client, server.Worker, server.Admin}

func initialize(_ context.Context, flags *flag.FlagSet, args []string, out, errOut io.Writer) error {
	dir := dirFlag(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	for _, role := range firstRoles {
		if _, err := os.Stat(keyFile(*dir, role)); err == nil {
			return fmt.Errorf("%s exists; no key was made", keyFile(*dir, role))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("no key was made: %w", err)
		}
	}
	k, err := server.NewKeyring(keyringDir(*dir))
	if err != nil {
		return err
	}
	if holders, err := k.Holders(); err != nil {
		return err
	} else if len(holders) > 0 {
		return fmt.Errorf("the keyring in %[1]s has keys already; no key was made; 'concertd keys --dir %[2]s' lists them, and 'concertd key --dir %[2]s --out FILE ROLE NAME' makes one more", *dir, quoted(*dir))
	}
	for i, role := range firstRoles {
		if err := makeKeyFile(*dir, role, string(role), keyFile(*dir, role), errOut); err != nil {
			for _, made := range firstRoles[:i] { // so that the command can be repeated
				err = errors.Join(err, os.Remove(keyFile(*dir, made)), k.Remove(string(made)))
			}
			return err
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "HOST"
	}
	d, file := quoted(*dir), func(role server.Role) string { return quoted(keyFile(*dir, role)) }
	_, err = fmt.Fprintf(out, `concertd: made a keyring and three keys in %s
concertd: next, each in a terminal of its own:

    concertd serve --dir %s
    concert worker --key %s statistics:fmean
    concert status --key %s

In a program:

    cluster.Dial(ctx, "", &cluster.Options{Access: cluster.Access{Key: %q}})

If other machines use the server, start it with an address that they can reach:

    concertd serve --dir %s --listen 0.0.0.0:4222

Move worker.key to a machine that runs tasks. There:

    concert worker --url tls://%s:4222 --key worker.key statistics:fmean
`, *dir, d, file(server.Worker), file(server.Admin), keyFile(*dir, server.Client), d, host)
	return err
}

// keyFile returns the name of a file that "concertd init" makes.
func keyFile(dir string, role server.Role) string { return filepath.Join(dir, string(role)+".key") }

// quoted returns an argument in the form in which it can be pasted into a
// shell.
func quoted(arg string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@%", r) || r == filepath.Separator
	}
	if arg != "" && strings.TrimFunc(arg, safe) == "" {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
