package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"concert/cluster/server"
)

func TestKeyring(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keyring")
	if _, err := server.OpenKeyring(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenKeyring without a keyring: %v, want ErrNotExist", err)
	}
	k, err := server.NewKeyring(dir)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]bool{}
	for name, role := range map[string]server.Role{"ann": server.Client, "bob.local": server.Worker, "eve-1": server.Admin} {
		file, err := k.Add(role, name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(file), "BEGIN CERTIFICATE") || strings.Contains(string(file), "PRIVATE") {
			t.Errorf("the file of %s:\n%s", name, file)
		}
		for line := range strings.Lines(string(file)) {
			if strings.HasPrefix(line, "SU") {
				secrets[strings.TrimSpace(line)] = true
			}
		}
	}
	again, err := server.NewKeyring(dir) // opens the existing keyring
	if err != nil {
		t.Fatal(err)
	}
	holders, err := again.Holders()
	if err != nil || len(holders) != 3 || len(secrets) != 3 {
		t.Fatalf("%+v, %v, %d secrets", holders, err, len(secrets))
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Errorf("%v, %v; want four files", files, err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		text, _ := os.ReadFile(path)
		for s := range secrets {
			if strings.Contains(string(text), s) {
				t.Errorf("%s contains the secret key of a holder", f.Name())
			}
		}
		if info, _ := os.Stat(path); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v; want that only its owner can read it", f.Name(), info.Mode())
		}
	}
	for name, role := range map[string]server.Role{"ann": server.Client, "": server.Client, "a b": server.Client, "a\nadmin": server.Client, strings.Repeat("x", 65): server.Client, "fred": "king"} {
		if _, err := k.Add(role, name); err == nil {
			t.Errorf("Add accepts the name %q with the role %q", name, role)
		}
	}
	if err := k.Remove("absent"); err == nil {
		t.Error("Remove accepts a name without a key")
	}
	if err := k.Remove("ann"); err != nil {
		t.Fatal(err)
	}
	left, err := k.Holders()
	if err != nil || len(left) != 2 || left[0].Name == "ann" || left[1].Name == "ann" {
		t.Errorf("%+v, %v", left, err)
	}
	if _, err := k.Add(server.Client, "ann"); err != nil {
		t.Error(err)
	}
	if back, _ := k.Holders(); reflect.DeepEqual(back, holders) {
		t.Error("the new key of a revoked holder is the old key")
	}
	file := filepath.Join(dir, "keys")
	text, _ := os.ReadFile(file)
	for _, bad := range []string{"client", "king UABC fred", "client UABC fred", "client x"} {
		os.WriteFile(file, append(text, bad...), 0o600)
		if _, err := k.Holders(); err == nil || !strings.Contains(err.Error(), "line 5") {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := server.New(&server.Options{Keyring: k}); err == nil {
			t.Errorf("%q: a server starts", bad)
		}
	}
}

// TestKeyring_Concurrent: if several programs change a keyring at the same
// time, no change may be lost. Each change uses a Keyring of its own, as
// separate programs do.
func TestKeyring_Concurrent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keyring")
	const changes = 100 // number of removed keys, and of added keys
	var making sync.WaitGroup
	authorities := make([]string, 8)
	for i := range authorities { // the first goroutine creates the keyring, and the others open it
		making.Go(func() {
			if _, err := server.NewKeyring(dir); err != nil {
				t.Error(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, "authority.pem"))
			if err != nil {
				t.Error(err)
			}
			authorities[i] = string(text)
		})
	}
	making.Wait()
	for _, a := range authorities {
		if a != authorities[0] {
			t.Fatal("the goroutines have different authorities, want one")
		}
	}
	k, err := server.OpenKeyring(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range changes {
		if _, err := k.Add(server.Client, fmt.Sprint("old", i)); err != nil {
			t.Fatal(err)
		}
	}
	var changing sync.WaitGroup
	begin := make(chan struct{})
	change := func(by func(k *server.Keyring) error) {
		changing.Go(func() {
			own, err := server.OpenKeyring(dir)
			<-begin
			if err == nil {
				err = by(own)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for i := range changes {
		change(func(k *server.Keyring) error { return k.Remove(fmt.Sprint("old", i)) })
		change(func(k *server.Keyring) error {
			_, err := k.Add(server.Worker, fmt.Sprint("new", i))
			return err
		})
	}
	close(begin)
	changing.Wait()
	holders, err := k.Holders()
	if err != nil || len(holders) != changes {
		t.Errorf("%d holders, %v; want %d", len(holders), err, changes)
	}
	for _, h := range holders {
		if !strings.HasPrefix(h.Name, "new") {
			t.Errorf("%s was removed, and is in the keyring", h.Name)
		}
	}
}

// TestListen_WithKeyring: a server with a keyring must be able to listen on any
// address, and its URL must have the right host.
func TestListen_WithKeyring(t *testing.T) {
	k, err := server.NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opts server.Options
		want string // the beginning of the server's URL
	}{
		{server.Options{Listen: "0.0.0.0:0", Hosts: []string{"one.example"}}, "tls://one.example:"},
		{server.Options{Listen: "0.0.0.0:0", Hosts: []string{"one.example"}, Advertise: "proxy.example:99"}, "tls://proxy.example:99"},
		{server.Options{Listen: "[::]:0", Hosts: []string{"2001:db8::1"}}, "tls://[2001:db8::1]:"},
		{server.Options{Listen: "0.0.0.0:0"}, "tls://" + self + ":"},
		{server.Options{Listen: "127.0.0.1:0", Hosts: []string{"one.example"}}, "tls://127.0.0.1:"},
	} {
		t.Run(c.want, func(t *testing.T) {
			c.opts.Keyring = k
			s, err := server.New(&c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if u := s.URL(); !strings.HasPrefix(u, c.want) || strings.HasSuffix(u, ":0") {
				t.Errorf("%s, want %s...", u, c.want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestJoin_Refused(t *testing.T) {
	k, err := server.NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	others := []string{"one.example:6222", "two.example:6222"}
	for _, c := range []struct {
		keyring *server.Keyring
		listen  string
		join    server.Join
		want    string
	}{
		{nil, "127.0.0.1:0", server.Join{Name: "a", Listen: "0.0.0.0:6222", Others: others}, "without a keyring"},
		{k, "127.0.0.1:0", server.Join{Name: "a", Listen: "127.0.0.1:0", Others: others}, "want a fixed port"},
		{k, "127.0.0.1:0", server.Join{Name: "a", Others: others}, `Options.Join.Listen "": want an address and a port`},
		{k, "127.0.0.1:0", server.Join{Listen: "127.0.0.1:6222", Others: others}, `Options.Join.Name "": want a name`},
		{k, "127.0.0.1:0", server.Join{Name: "a", Listen: "127.0.0.1:6222", Others: others[:1]}, "at least two other servers"},
		{k, "127.0.0.1:0", server.Join{Name: "a", Listen: "127.0.0.1:6222", Others: []string{"one", "two"}}, "want HOST:PORT"},
		{k, "127.0.0.1:0", server.Join{Name: "a", Listen: "127.0.0.1:6222", Others: []string{"one:xx", "two:1"}}, `"one:xx": want HOST:PORT`},
		{k, "127.0.0.1:0", server.Join{Name: "a", Listen: "127.0.0.1:6222", Others: []string{"one:1", "two:65536"}}, `"two:65536": want HOST:PORT`},
		{k, "", server.Join{Name: "a", Listen: "127.0.0.1:6222", Others: others}, "listen on for clients"},
	} {
		t.Run(c.want, func(t *testing.T) {
			s, err := server.New(&server.Options{Keyring: c.keyring, Listen: c.listen, Join: &c.join})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err == nil {
				s.Close()
			}
		})
	}
}

// TestHolders_KeyTwice: if a keyring has the same key in two lines, reading it
// must fail with the numbers of both lines.
func TestHolders_KeyTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keyring")
	k, err := server.NewKeyring(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Add(server.Client, "one"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "keys")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	line := text[bytes.Index(text, []byte("client ")):]
	twice := slices.Concat(text, []byte("\n"), bytes.Replace(line, []byte("client"), []byte("admin"), 1))
	if err := os.WriteFile(name, twice, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Holders(); err == nil || !strings.Contains(err.Error(), "line 4: the key of line 2") {
		t.Errorf("Holders() = %v, %v, want an error with both lines", got, err)
	}
}
