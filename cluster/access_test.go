package cluster_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

// keyring is a keyring in a directory of the test.
type keyring struct {
	*server.Keyring
	t   testing.TB
	dir string
}

func newKeyring(t testing.TB) *keyring {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keyring")
	k, err := server.NewKeyring(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &keyring{k, t, dir}
}

// access makes a key with a role.
func (k *keyring) access(role server.Role, name string) cluster.Access {
	k.t.Helper()
	text, err := k.Add(role, name)
	if err != nil {
		k.t.Fatal(err)
	}
	file := filepath.Join(k.t.TempDir(), name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		k.t.Fatal(err)
	}
	return cluster.Access{Key: file}
}

// guarded starts a server in this process that listens and requires keys of
// the keyring, and returns it.
func guarded(t testing.TB, k *keyring) *server.Server {
	t.Helper()
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0", Keyring: k.Keyring})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAccess_UnknownKeys: if a program has no key, or a key of another keyring,
// the server must refuse the program. If a server has another keyring, the
// client must refuse the server.
func TestAccess_UnknownKeys(t *testing.T) {
	k := newKeyring(t)
	s := guarded(t, k)
	other := newKeyring(t)
	for name, row := range map[string]struct {
		access cluster.Access
		want   string
	}{
		"no key":                   {cluster.Access{}, "requires a key if it is concertd: make one with 'concertd key --out FILE ROLE NAME', then pass --key FILE"},
		"no key, any certificate":  {cluster.Access{TLS: &tls.Config{InsecureSkipVerify: true}}, "requires a key: make one with 'concertd key"},
		"a key of another keyring": {other.access(server.Client, "other"), "was made with another keyring"},
		"an admin of another keyring, with any TLS certificate": {cluster.Access{Key: other.access(server.Admin, "another").Key, TLS: &tls.Config{InsecureSkipVerify: true}}, "refuses the key"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if ex, err := cluster.Dial(ctx, s.URL(), &cluster.Options{Access: row.access}); err == nil {
				t.Errorf("%s: the server accepts the client", name)
				ex.Close()
			} else if !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %q, want %q", err, row.want)
			}
			cancel()
		})
	}
	// A client must not accept a server of another authority.
	access := k.access(server.Client, "someone")
	if ex, err := cluster.Dial(t.Context(), guarded(t, other).URL(), &cluster.Options{Access: access}); err == nil {
		t.Error("the client accepts a server of another authority")
		ex.Close()
	} else if !errors.As(err, new(x509.UnknownAuthorityError)) && !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, want that the certificate is unknown", err)
	}
}

// TestAccess_Roles: the key of each role must permit the operations of this
// role, also with large values and ids. It must refuse the operations of the
// other roles.
func TestAccess_Roles(t *testing.T) {
	k := newKeyring(t)
	client, work, boss := k.access(server.Client, "someone"), k.access(server.Worker, "somewhere"), k.access(server.Admin, "boss")
	s := guarded(t, k)
	pool := goroutines.New(2, nil)
	defer pool.Close()

	err := cluster.Serve(t.Context(), s.URL(), pool, &cluster.ServeOptions{Access: client})
	if err == nil || !strings.Contains(err.Error(), "has the role client; the role must be worker or admin") {
		t.Errorf("Serve with the key of a client: %v", err)
	}
	if ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: work}); err == nil || !strings.Contains(err.Error(), "has the role worker; the role must be client or admin") {
		t.Errorf("Dial with the key of a worker: %v", err)
		if err == nil {
			ex.Close()
		}
	}

	serveAt(t, s.URL(), work, 2)
	ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: client, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 3<<20)
	for i := range large {
		large[i] = byte(i * i >> 8)
	}
	for range 2 {
		for _, ctx := range []context.Context{t.Context(), cluster.WithID(t.Context(), "large")} {
			if got, err := concert.Submit(ctx, ex, reverse, large).Result(t.Context()); err != nil || len(got) != len(large) || got[0] != large[len(large)-1] {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}

	in, err := cluster.Inspect(t.Context(), s.URL(), &boss)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if len(in.Workers()) != 1 {
		t.Errorf("%+v, want one worker", in.Workers())
	}
}

func keyOf(t *testing.T, file string) (public string, pair nkeys.KeyPair) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if pair, err = nkeys.ParseDecoratedNKey(text); err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return public, pair
}

// TestAccess_RevokedKeys: if a key is made while the server runs, the server
// must accept the key. After the key was revoked, the server must refuse the
// key, and Close of an executor with this key must return.
func TestAccess_RevokedKeys(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	s := guarded(t, k)
	late := k.access(server.Client, "late") // made after the server has started
	var ex *cluster.Executor
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var err error
		if ex, err = cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: late, Grace: time.Second, Notice: func(string) {}}); err == nil {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("the server does not accept the new key: %v", err)
		}
	}
	if err := k.Remove("late"); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		again, err := cluster.Dial(ctx, s.URL(), &cluster.Options{Access: late})
		cancel()
		if err != nil {
			break
		}
		again.Close()
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the server still accepts the revoked key")
		}
	}
	ex.Close()
}

// serveAt runs a worker until the test ends. The worker is connected to the
// server at a URL.
func serveAt(t *testing.T, url string, access cluster.Access, places int) {
	t.Helper()
	pool := goroutines.New(places, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := cluster.Serve(ctx, url, pool, &cluster.ServeOptions{Access: access, Slots: places, Notice: func(string) {}}); err != nil {
			panic(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		pool.Close()
	})
}
