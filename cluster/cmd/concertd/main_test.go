package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

var doubled atomic.Int32

var double = concert.Register("concertd.test.double", func(_ context.Context, n int) (int, error) {
	doubled.Add(1)
	return 2 * n, nil
})

// concertd runs a command and waits for its end.
func concertd(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // ends a server that a wrong command line has started
	defer cancel()
	var o, e bytes.Buffer
	code = run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

// serving starts a server. The function stop stops the server, waits until
// the server has ended, and returns its exit code.
func serving(t *testing.T, args ...string) (url string, stop func() int) {
	t.Helper()
	return running(t, append([]string{"serve"}, args...)...)
}

// running does the same for the commands serve and dev.
func running(t *testing.T, args ...string) (url string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	code := make(chan int, 1)
	var errOut bytes.Buffer
	go func() {
		c := run(ctx, args, w, &errOut)
		w.Close()
		code <- c
	}()
	lines := bufio.NewScanner(r)
	ready := false
	for !ready && lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "concertd: listening; the URL is "); ok {
			url = at
		}
		ready = lines.Text() == "concertd: ready"
	}
	if !ready {
		t.Fatalf("the server is not ready: exit code %d, %s", <-code, errOut.String())
	}
	go io.Copy(io.Discard, r)
	stopped := false
	stop = func() int {
		if stopped {
			return 0
		}
		stopped = true
		cancel()
		select {
		case c := <-code:
			return c
		case <-time.After(30 * time.Second):
			t.Error("the server does not stop")
			return -1
		}
	}
	t.Cleanup(func() { stop() })
	return url, stop
}

// TestConcertd_Restart: a client with a key must be able to run tasks. When
// the server is stopped and started again, it must still have its data.
// After the key is revoked, the server must refuse the key.
func TestConcertd_Restart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "one")
	access := func(role, name string) cluster.Access {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		code, out, errOut := concertd(t, "key", "--dir", dir, "--out", file, role, name)
		text, err := os.ReadFile(file)
		if code != exitOK || !strings.HasPrefix(out, "concertd: "+file+" has the key of "+name+", a "+role+"; next: ") || !strings.Contains(string(text), "BEGIN CERTIFICATE") {
			t.Fatalf("%d, %q, %s, %s, %v", code, text, out, errOut, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
			t.Errorf("%v, %v", info, err)
		}
		return cluster.Access{Key: file}
	}
	ann, box := access("client", "ann"), access("worker", "box")
	doubled.Store(0)
	if code, out, _ := concertd(t, "keys", "--dir", dir); code != exitOK || strings.Count(out, "\n") != 3 || !strings.HasPrefix(out, "role    public key ") || !strings.Contains(out, "\nclient  U") || !strings.HasSuffix(out, " box\n") {
		t.Errorf("keys: %d, %q", code, out)
	}

	url, stop := serving(t, "--dir", dir, "--listen", "127.0.0.1:0")
	ask := func(url string) int {
		t.Helper()
		pool := goroutines.New(2, nil)
		defer pool.Close()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			served <- cluster.Serve(ctx, url, pool, &cluster.ServeOptions{Access: box, Notice: func(string) {}})
		}()
		defer func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}()
		ex, err := cluster.Dial(t.Context(), url, &cluster.Options{Access: ann, Notice: func(string) {}})
		if err != nil {
			t.Fatal(err)
		}
		defer ex.Close()
		n, err := concert.Submit(cluster.WithID(t.Context(), "once"), ex, double, 21).Result(t.Context())
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if n := ask(url); n != 42 {
		t.Errorf("%d", n)
	}
	if code := stop(); code != exitOK {
		t.Errorf("the server stops with exit code %d, want 0", code)
	}

	// The result was stored before the restart, so the task must not run again.
	url, stop = serving(t, "--dir", dir, "--listen", "127.0.0.1:0", "--sync")
	if n := ask(url); n != 42 {
		t.Errorf("%d after a restart", n)
	}
	if n := doubled.Load(); n != 1 {
		t.Errorf("the task ran %d times, want once", n)
	}
	stop()
	if code, _, errOut := concertd(t, "revoke", "--dir", dir, "ann"); code != exitOK {
		t.Errorf("revoke: %d, %s", code, errOut)
	}
	url, _ = serving(t, "--dir", dir, "--listen", "127.0.0.1:0")
	if ex, err := cluster.Dial(t.Context(), url, &cluster.Options{Access: ann}); err == nil || !strings.Contains(err.Error(), "refuses the key") {
		t.Errorf("ann, whose key is revoked: %v", err)
		if err == nil {
			ex.Close()
		}
	}
}

// TestConcertd_WrongUsage: if a command line is wrong, or a command fails,
// the error must say why, and the exit code must be correct.
func TestConcertd_WrongUsage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"ann", "eve"} { // the first key creates the keyring
		code, out, errOut := concertd(t, "key", "--dir", dir, "client", name)
		if code != exitOK || !strings.Contains(out, "BEGIN CERTIFICATE") || strings.Contains(errOut, "created a keyring in "+dir) != (i == 0) {
			t.Fatal(code, out, errOut)
		}
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", exitUsage, "Usage:"},
		{"dance", exitUsage, `no command "dance"`},
		{"serve --nonsense", exitUsage, "no flag --nonsense"},
		{"serve --tasks many", exitUsage, `--tasks "many": want a whole number`},
		{"serve --sessions -1", exitUsage, "--sessions is -1: want 1 or more, or 0 for 64"},
		{"serve now", exitUsage, `unexpected argument "now"`},
		{"serve --dir F --name one", exitUsage, "set --join, too"},
		{"serve --dir F/made --listen here", exitUsage, `--listen "here": want an address and a port, as in 127.0.0.1:4222`},
		{"serve --dir F/made --listen 4222", exitUsage, `--listen "4222": want an address`},
		{"serve --dir F/made --advertise one", exitUsage, `--advertise "one": want HOST:PORT`},
		{"serve --dir F/made --advertise h:abc", exitUsage, `--advertise "h:abc": want HOST:PORT`},
		{"serve --dir F/made --advertise h:999999", exitUsage, `--advertise "h:999999": want HOST:PORT`},
		{"serve --dir F/made --hosts a,,b", exitUsage, `--hosts "": want a host name`},
		{"serve --dir F/made --listen=", exitUsage, "--listen is empty"},
		{"serve --dir F/made --name one --join-listen 127.0.0.1:00 --join a:1,b:1", exitUsage, `--join-listen "127.0.0.1:00": want a fixed port`},
		{"serve --dir F/made --name one --join-listen 127.0.0.1:6222 --join a:xx,b:1", exitUsage, `--join "a:xx": want HOST:PORT`},
		{"serve --dir F/made --name one --join-listen 127.0.0.1:6222 --join a:1,,b:1", exitUsage, `--join "": want HOST:PORT`},
		{"serve --dir F/made --name one --join-listen 127.0.0.1:6222 --join a:1,b:1 --join-advertise h:x", exitUsage, `--join-advertise "h:x": want HOST:PORT`},
		{"serve --dir F/other --name one --join-listen 127.0.0.1:6222 --join a:1,b:1", exitFailed, "copy it from one of the servers to join"},
		{"serve --dir F --name one --join-listen 127.0.0.1:6222 --join a:1", exitUsage, "--join needs at least two other servers"},
		{"serve --dir F --name one --join-listen 127.0.0.1:0 --join a:1,b:1", exitUsage, "want a fixed port"},
		{"serve --dir F --name a.b --join-listen 127.0.0.1:6222 --join a:1,b:1", exitUsage, "without blanks, dots, slashes"},
		{"serve --dir F --name one --join-listen 127.0.0.1:6222 --join a,b", exitUsage, `--join "a": want HOST:PORT`},
		{"serve --dir F/file", exitFailed, "not a directory"},
		{"key", exitUsage, "no ROLE and no NAME"},
		{"key --dir F client", exitUsage, "no NAME"},
		{"key client bob --dir F --out F/none/x", exitFailed, "no key was made: open "},
		{"revok --dir F ann", exitUsage, `no command "revok"; did you mean "revoke"?`},
		{"serve --dri F", exitUsage, "no flag --dri; did you mean --dir?"},
		{"version please", exitUsage, `unexpected argument "please"`},
		{"key client bob extra", exitUsage, `unexpected argument "extra"`},
		{"key --dir F/made king ann", exitUsage, `unknown role "king"`},
		{"key --dir F/made --out F/none/x client ann", exitFailed, "no key was made: open "},
		{"key --dir F/made --out F/file client ann", exitFailed, "file exists; no key was made"},
		{"key --dir F client ann", exitFailed, "there is a key of ann already"},
		{"key --dir F/made client a/b", exitUsage, "want at most 64 letters"},
		{"revoke --dir F bob", exitFailed, `no key of "bob"`},
		{"revoke --dir F/made ann", exitFailed, "there is no keyring in "},
		{"keys --dir F/made", exitFailed, "there is no keyring in "},
		{"keys --dir F/file", exitFailed, "not a directory"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.Fields(strings.ReplaceAll(c.args, "F", dir))
			code, out, errOut := concertd(t, args...)
			if code != c.code || out != "" || !strings.Contains(errOut, c.says) {
				t.Errorf("%s: exit code %d, output %q, %q; want %d and %q", c.args, code, out, errOut, c.code, c.says)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
		t.Error("a command that fails has created a keyring")
	}
	for _, c := range commands() {
		if code, out, errOut := concertd(t, c.name, "-h"); code != exitOK || !strings.Contains(out, "Usage: concertd "+c.name) || errOut != "" {
			t.Errorf("%s -h: %d, %q, %q", c.name, code, out, errOut)
		}
	}
	// If a key could not be printed, it must be revoked.
	if code := run(t.Context(), []string{"key", "--dir", dir, "client", "bob"}, broken{}, io.Discard); code != exitFailed {
		t.Errorf("a key that could not be printed: exit code %d", code)
	}
	if code, _, errOut := concertd(t, "key", "--dir", dir, "--out", file, "client", "bob"); code != exitFailed || !strings.HasSuffix(errOut, "file exists; no key was made\n") {
		t.Errorf("a file that exists: exit code %d, %q", code, errOut)
	}
	if _, out, _ := concertd(t, "keys", "--dir", dir); strings.Contains(out, "bob") {
		t.Errorf("the key that could not be printed was not revoked: %s", out)
	}
}

// broken is a writer that fails, as on a full disk.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestAddKey_CloseFails: if the file of a key cannot be closed, for example
// because a quota is used up, the key must be revoked. Then the next attempt
// can make the key.
func TestAddKey_CloseFails(t *testing.T) {
	dir := t.TempDir()
	if err := addKey(dir, server.Client, "ann", closeFails{io.Discard}, io.Discard); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v, want the error of Close", err)
	}
	if err := addKey(dir, server.Client, "ann", notClosed{io.Discard}, io.Discard); err != nil {
		t.Errorf("the second attempt: %v", err)
	}
}

// closeFails is a file whose Close returns an error.
type closeFails struct{ io.Writer }

func (closeFails) Close() error { return io.ErrShortWrite }

// TestFlagOf: if an error of server.Options.Check can name an option, this
// option must have a flag.
func TestFlagOf(t *testing.T) {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if err := serve(t.Context(), flags, []string{"-h"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	var fields []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[server.Options]()) {
		fields = append(fields, f.Name)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[server.Join]()) {
		fields = append(fields, "Join."+f.Name)
	}
	for _, field := range fields {
		if field == "Dir" || field == "Keyring" || field == "Join" { // no error of Check names these options
			continue
		}
		if name, ok := flagOf[field]; !ok || flags.Lookup(name) == nil {
			t.Errorf("server.Options.%s has no flag: %q", field, name)
		}
	}
}

// TestHelp: the help of a command must list its flags with their defaults, and
// must have at most 80 columns.
func TestHelp(t *testing.T) {
	var all bytes.Buffer
	help(&all)
	inWords := map[string]string{"hosts": "those of this machine", "out": "print the key", "dir": "a temporary directory"} // defaults that the help describes in words
	digitGroups := regexp.MustCompile(`(\d),(\d{3})`)
	for _, c := range commands() {
		flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
		if err := c.run(t.Context(), flags, []string{"-h"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s -h: %v, want ErrHelp", c.name, err)
		}
		var want, listed []string
		flags.VisitAll(func(f *flag.Flag) {
			text := "--" + f.Name
			if value := cmp.Or(f.DefValue, inWords[f.Name]); value != "" && value != "false" {
				text += " " + value
			}
			want = append(want, text)
		})
		for _, m := range regexp.MustCompile(`(?m)^  (--[a-z-]+).*\n(?:   .*\n)*`).FindAllStringSubmatch(c.help, -1) {
			text := strings.Join(strings.Fields(m[0]), " ")
			if value := regexp.MustCompile(`\(default ([^)]*)\)`).FindStringSubmatch(text); value != nil {
				m[1] += " " + digitGroups.ReplaceAllString(value[1], "$1$2")
			}
			listed = append(listed, m[1])
		}
		slices.Sort(listed)
		if !slices.Equal(listed, want) {
			t.Errorf("the help of %s lists the flags %q, want %q", c.name, listed, want)
		}
		all.WriteString(c.help)
	}
	for line := range strings.Lines(all.String()) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
