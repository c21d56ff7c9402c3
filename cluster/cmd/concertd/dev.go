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
	"path/filepath"
	"slices"

	"concert/cluster/server"
	"concert/internal/devserver"
)

const devHelp = `Usage: concertd dev [flags]

Runs a server for programs of the same user on this machine. These programs find
the server by themselves: 'concert worker' and 'concert status' without --url,
and cluster.Dial and cluster.Serve with an empty URL. No keys are needed.

Programs of other users of this machine cannot use the server, unless they are
root. The server accepts only a key that it has made for itself. The URL and the
name of the key file are in the file dev.json, in the directory "concert" of
$XDG_RUNTIME_DIR, or of the user's cache directory if this variable is not set.
Only the user can read these files.

The data is temporary, unless there is a --dir. Ctrl-C stops the server. Workers
and clients that still run connect to the next 'concertd dev' at the address.

Flags:
  --dir DIR         directory in which the data stays (default a temporary
                    directory)
  --listen ADDRESS  loopback address to listen on, such as 127.0.0.1:4300; no
                    other address is permitted (default 127.0.0.1:4222)

Exit codes:
  0  it was stopped by Ctrl-C, SIGTERM or SIGHUP
  1  it could not start, or another 'concertd dev' runs for this user
  2  the command line is wrong

Example:
  Each in a terminal of its own:

    concertd dev
    concert worker statistics:fmean
    concert status --watch
`

// devName is the name of the key that a server of "concertd dev" makes.
const devName = "dev"

func dev(ctx context.Context, flags *flag.FlagSet, args []string, out, _ io.Writer) (err error) {
	dir := flags.String("dir", "", "")
	listen := flags.String("listen", "127.0.0.1:4222", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := checkLoopback(*listen); err != nil {
		return err
	}
	claim, err := devserver.Acquire()
	if err != nil {
		return err
	}
	defer claim.Release() // after the server has stopped
	if err := checkFree(*listen); err != nil {
		return err
	}
	kept, keys, temporary := "its data stays in "+*dir, *dir, ""
	if *dir == "" {
		kept, keys = "its data is temporary", claim.Dir() // the next server has the same key, so workers reconnect to it
		if temporary, err = os.MkdirTemp("", "concertd-dev-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
		*dir = temporary
	}
	k, err := server.NewKeyring(keyringDir(keys))
	if err != nil {
		return err
	}
	key, err := devKey(k, keys)
	if err != nil {
		return err
	}
	s, err := server.New(&server.Options{Dir: filepath.Join(*dir, "data"), Listen: *listen, Keyring: k, Hosts: []string{"localhost", "127.0.0.1", "::1", netip.MustParseAddrPort(*listen).Addr().String()}})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Setup(ctx, 1); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return err
	}
	if err := claim.Publish(devserver.Record{URL: s.URL(), Key: key, Pid: os.Getpid(), Temporary: temporary}); err != nil {
		return err
	}
	fmt.Fprintf(out, "concertd: listening; the URL is %s\n", s.URL())
	fmt.Fprintf(out, "concertd: only programs of this user on this machine can use the server; %s\n", kept)
	fmt.Fprint(out, "concertd: next, in other terminals:\n\n    concert worker statistics:fmean\n    concert status --watch\n\nor in a program: cluster.Dial(ctx, \"\", nil)\n\n")
	fmt.Fprintln(out, "concertd: ready")
	<-ctx.Done()
	fmt.Fprintln(out, "concertd: stopping")
	return s.Close()
}

// checkLoopback returns an error if other machines can reach an address to
// listen on.
func checkLoopback(listen string) error {
	if err := checkOptions(&server.Options{Listen: listen}); err != nil {
		return err
	}
	if !netip.MustParseAddrPort(listen).Addr().IsLoopback() {
		return usageError{fmt.Sprintf("--listen %q: other machines can reach this address, and 'concertd dev' is for one machine: use an address like 127.0.0.1:4222, or run 'concertd serve'", listen)}
	}
	return nil
}

// checkFree returns an error if another program listens on an address.
func checkFree(listen string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		free := netip.AddrPortFrom(netip.MustParseAddrPort(listen).Addr(), 0)
		return fmt.Errorf("cannot listen on %s; if another program uses the port, run 'concertd dev --listen %s': %w", listen, free, err)
	}
	return l.Close()
}

// devKey returns the file of the key with which programs use the server. If the
// directory has no such key, devKey makes it. The key has the role admin, which
// may submit tasks, run tasks, and call Inspect.
func devKey(k *server.Keyring, dir string) (file string, err error) {
	if file, err = filepath.Abs(filepath.Join(dir, devName+".key")); err != nil {
		return "", err
	}
	holders, err := k.Holders()
	if err != nil {
		return "", err
	}
	known := slices.ContainsFunc(holders, func(h server.Holder) bool { return h.Name == devName })
	switch _, err := os.Stat(file); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	case err == nil && known:
		return file, nil
	case err == nil:
		return "", fmt.Errorf("%s exists, but its key was revoked: remove the file, then 'concertd dev' makes another key", file)
	case known: // the key exists without its file, so no program can use it
		if err := k.Remove(devName); err != nil {
			return "", err
		}
	}
	fresh := file + ".new" // it is renamed when it is complete: so a kill of the server leaves no part of a key under the final name
	os.Remove(fresh)
	if err := makeKeyFile(dir, server.Admin, devName, fresh, io.Discard); err != nil {
		return "", err
	}
	return file, os.Rename(fresh, file)
}
