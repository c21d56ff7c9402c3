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
	"text/tabwriter"

	"concert/cluster/server"
)

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
		return addKey(*dir, role, name, notClosed{out}, errOut)
	}
	if err := makeKeyFile(*dir, role, name, *to, errOut); err != nil {
		return err
	}
	fmt.Fprintf(out, "concertd: %s has the key of %s, a%s %s; %s\n", *to, name, map[bool]string{true: "n"}[role == server.Admin], role, nextStep(role, *to))
	return nil
}

// makeKeyFile makes a key, and writes it to a new file.
func makeKeyFile(dir string, role server.Role, name, file string, errOut io.Writer) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists; no key was made", file)
	} else if err != nil {
		return fmt.Errorf("no key was made: %w", err)
	}
	if err := addKey(dir, role, name, f, errOut); err != nil {
		os.Remove(file)
		return err
	}
	return nil
}

// nextStep says how to use a key file.
func nextStep(role server.Role, file string) string {
	switch role {
	case server.Worker:
		return fmt.Sprintf("next: concert worker --key %s MODULE:FUNCTION, or Access.Key in a program that calls cluster.Serve", quoted(file))
	case server.Admin:
		return fmt.Sprintf("next: concert status --key %s", quoted(file))
	}
	return "next: Access.Key in a program that calls cluster.Dial"
}

// notClosed is a writer whose Close does nothing.
type notClosed struct{ io.Writer }

// Close implements io.Closer.
func (notClosed) Close() error { return nil }

// addKey makes a key, writes it to a file or the standard output, and closes
// the file. If writing or closing fails, as on a full disk, addKey revokes
// the key, because no program has received it.
func addKey(dir string, role server.Role, name string, to io.WriteCloser, errOut io.Writer) error {
	k, err := newKeyring(dir, errOut)
	var text []byte
	if err == nil {
		text, err = k.Add(role, name)
	}
	if err != nil {
		to.Close()
		return err
	}
	_, err = to.Write(text)
	if err = errors.Join(err, to.Close()); err != nil {
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

// keyringDir returns the directory of the keyring.
func keyringDir(dir string) string { return filepath.Join(dir, "keyring") }

// openKeyring opens the keyring of --dir. It does not create one.
func openKeyring(dir string) (*server.Keyring, error) {
	k, err := server.OpenKeyring(keyringDir(dir))
	if _, missing := os.Stat(keyringDir(dir)); errors.Is(missing, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no keyring in %s: is --dir right? 'concertd init --dir %s' creates one", dir, quoted(dir))
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
