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

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

// keyring is one in a folder of the test.
type keyring struct {
	*server.Keyring
	t      *testing.T
	folder string
}

func newKeyring(t *testing.T) *keyring {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "keyring")
	k, err := server.NewKeyring(folder)
	if err != nil {
		t.Fatal(err)
	}
	return &keyring{k, t, folder}
}

// access makes a key for somebody.
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

// guarded is a server with a keyring in this process, that listens.
func guarded(t *testing.T, k *keyring) *server.Server {
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

// TestStrangers: who has no key, or another authority's, gets nowhere.
func TestStrangers(t *testing.T) {
	k := newKeyring(t)
	s := guarded(t, k)
	other := newKeyring(t)
	for name, access := range map[string]cluster.Access{
		"nobody":                      {},
		"nobody who takes any TLS":    {TLS: &tls.Config{InsecureSkipVerify: true}},
		"a holder of another's key":   other.access(server.Client, "other"),
		"the same, who takes any TLS": {Key: other.access(server.Admin, "another").Key, TLS: &tls.Config{InsecureSkipVerify: true}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if ex, err := cluster.Dial(ctx, s.URL(), &cluster.Options{Access: access}); err == nil {
			t.Errorf("%s gets in", name)
			ex.Close()
		}
		cancel()
	}
	// Nor does a holder take another server for this one.
	access := k.access(server.Client, "someone")
	if ex, err := cluster.Dial(t.Context(), guarded(t, other).URL(), &cluster.Options{Access: access}); err == nil {
		t.Error("it believes a server of another authority")
		ex.Close()
	} else if !errors.As(err, new(x509.UnknownAuthorityError)) && !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, want that the certificate is unknown", err)
	}
}

// TestRoles: everybody may do what the role says, with large payloads and ids; and not what that of others says.
func TestRoles(t *testing.T) {
	k := newKeyring(t)
	client, work, boss := k.access(server.Client, "someone"), k.access(server.Worker, "somewhere"), k.access(server.Admin, "boss")
	s := guarded(t, k)
	pool := goroutines.New(2, nil)
	defer pool.Close()

	err := cluster.Serve(t.Context(), s.URL(), pool, &cluster.ServeOptions{Access: client})
	if err == nil || !strings.Contains(err.Error(), "do not let this key") {
		t.Errorf("a client serves: %v", err)
	}
	if ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: work}); err == nil || !strings.Contains(err.Error(), "do not let this key") {
		t.Errorf("a worker submits: %v", err)
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

// TestClientsApart: with the key of a client, by whatever means, nobody reads or writes what is another client's.
func TestClientsApart(t *testing.T) {
	k := newKeyring(t)
	victim, rogue, work := k.access(server.Client, "victim"), k.access(server.Client, "rogue"), k.access(server.Worker, "somewhere")
	s := guarded(t, k)
	serveAt(t, s.URL(), work, 2)
	ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: victim, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	secret := make([]byte, 1<<20)
	if _, err := concert.Submit(cluster.WithID(t.Context(), "secret"), ex, reverse, secret).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, _ := keyOf(t, victim.Key)
	r, pair := keyOf(t, rogue.Key)
	violations := make(chan error, 100)
	text, _ := os.ReadFile(rogue.Key)
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM(text)
	nc, err := nats.Connect(s.URL(), nats.Secure(&tls.Config{RootCAs: authority}), nats.Nkey(r, pair.Sign), nats.CustomInboxPrefix("_INBOX_"+r),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	refused := func(what string) {
		t.Helper()
		nc.Flush()
		select {
		case err := <-violations:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: it is let", what)
		}
	}
	for _, subject := range []string{
		"concert.task.anything." + v, "concert.result." + v + ".session.1", "concert.kept." + v + ".1", "concert.load." + v + ".x.0",
		"$KV.CONCERT_CANCEL." + v + ".session.1", "$KV.CONCERT_WORKERS.me", "$KV.CONCERT_CONTRACTS.mine", "concert.dead.anything." + v, "concert.hint." + v + ".session",
		"$JS.API.STREAM.INFO.CONCERT_RESULTS", "$JS.API.STREAM.NAMES", "$JS.API.CONSUMER.NAMES.CONCERT_RESULTS", "$JS.API.CONSUMER.LIST.CONCERT_RESULTS",
		"$JS.API.STREAM.MSG.GET.CONCERT_RESULTS", "$JS.API.STREAM.MSG.GET.CONCERT_LOAD", "$JS.API.STREAM.PURGE.CONCERT_RESULTS", "$JS.API.STREAM.DELETE.CONCERT_TASKS",
		"$JS.API.STREAM.CREATE.MINE", "$JS.API.STREAM.UPDATE.CONCERT_RESULTS",
		"$JS.API.DIRECT.GET.CONCERT_KEPT.concert.kept." + v + ".1", "$JS.API.DIRECT.GET.CONCERT_LOAD.concert.load." + v + ".x.0", "$JS.API.DIRECT.GET.CONCERT_LOAD",
		"$JS.API.CONSUMER.CREATE.CONCERT_TASKS.x", "$JS.API.CONSUMER.CREATE.CONCERT_RESULTS.x", "$JS.API.CONSUMER.DURABLE.CREATE.CONCERT_RESULTS.x",
		"$JS.API.CONSUMER.CREATE.CONCERT_RESULTS.x.concert.result." + v + ".>", "$JS.API.CONSUMER.CREATE.CONCERT_KEPT.x.concert.kept." + v + ".>",
		"$JS.API.CONSUMER.MSG.NEXT.CONCERT_TASKS.x", "_INBOX_" + v + ".x",
	} {
		nc.Publish(subject, []byte("{}"))
		refused("publishing to " + subject)
	}
	for _, subject := range []string{">", "concert.>", "concert.hint." + v + ".>", "_INBOX_" + v + ".>", "$KV.>", "concert.task.*." + r} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		refused("subscribing to " + subject)
	}

	// The subject of the request is the rogue's, and what is in it asks for more.
	reply, err := nc.Request("$JS.API.CONSUMER.CREATE.CONCERT_KEPT.x.concert.kept."+r+".*",
		[]byte(`{"stream_name":"CONCERT_KEPT","config":{"name":"x","filter_subject":"concert.kept.`+v+`.*","ack_policy":"explicit"}}`), 5*time.Second)
	if err == nil && !strings.Contains(string(reply.Data), "error") {
		t.Errorf("it has a consumer of the other one's results: %s", reply.Data)
	}
	reply, err = nc.Request("$JS.API.CONSUMER.CREATE.CONCERT_KEPT.x.concert.kept."+r+".*",
		[]byte(`{"stream_name":"CONCERT_KEPT","config":{"name":"x","filter_subjects":["concert.kept.`+r+`.*","concert.kept.`+v+`.*"],"ack_policy":"explicit"}}`), 5*time.Second)
	if err == nil && !strings.Contains(string(reply.Data), "error") {
		t.Errorf("it has a consumer of both: %s", reply.Data)
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

// TestRevoked: a key that is taken away opens nothing any more, also where it has.
func TestRevoked(t *testing.T) {
	k := newKeyring(t)
	s := guarded(t, k)
	late := k.access(server.Client, "late") // after the server has started
	var ex *cluster.Executor
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var err error
		if ex, err = cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: late, Grace: time.Second, Notice: func(string) {}}); err == nil {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("the key is not known: %v", err)
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
			t.Fatal("the key still opens")
		}
	}
	ex.Close()
}

// serveAt has a worker at a server, until the test ends.
func serveAt(t *testing.T, url string, access cluster.Access, places int) {
	t.Helper()
	pool := goroutines.New(places, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := cluster.Serve(ctx, url, pool, &cluster.ServeOptions{Access: access, Places: places, Notice: func(string) {}}); err != nil {
			panic(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		pool.Close()
	})
}
