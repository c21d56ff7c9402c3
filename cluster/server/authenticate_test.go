package server

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
)

// TestSetHolders_OtherConnections: while keys are added and removed, another
// client must be able to connect and to subscribe, and must miss no message.
func TestSetHolders_OtherConnections(t *testing.T) {
	k, err := NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	one := holder(t, k, Client, "one")
	var others []Holder
	for i := range 4 {
		h := holder(t, k, []Role{Client, Worker}[i%2], fmt.Sprint("other", i))
		others = append(others, Holder{Role: h.role, Key: h.public})
	}
	s, err := New(&Options{Listen: "127.0.0.1:0", Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stay := []Holder{{Role: Client, Key: one.public}}
	stop := make(chan struct{})
	var changes sync.WaitGroup
	changes.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			s.auth.setHolders(slices.Concat(stay, others[:i%5]))
		}
	})
	defer changes.Wait()
	defer close(stop)
	for i := range 100 {
		nc, err := client.Connect(s.URL(), client.Secure(one.tls), client.Nkey(one.public, one.pair.Sign), client.NoReconnect())
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		hints, err := nc.SubscribeSync(wire.HintSubject(one.public, "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if err := s.service.nc.Publish(wire.HintSubject(one.public, "a", "b"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := hints.NextMsg(20 * time.Second); err != nil {
			t.Fatalf("connection %d misses a message: %v", i, err)
		}
		nc.Close()
	}
}

// TestSetHolders_Removed: if a key is removed, its connections must end, and
// the server must refuse the key until it is added again. Connections of other
// keys must stay. This holds for each role.
func TestSetHolders_Removed(t *testing.T) {
	k, err := NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stays := holder(t, k, Client, "stays")
	holders := map[Role]*keyHolder{}
	for _, role := range []Role{Client, Worker, Admin} {
		holders[role] = holder(t, k, role, string(role))
	}
	s, err := New(&Options{Listen: "127.0.0.1:0", Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stays.connect(s)
	for role, v := range holders {
		t.Run(string(role), func(t *testing.T) {
			set := func(all ...*keyHolder) {
				var holders []Holder
				for _, h := range all {
					holders = append(holders, Holder{Role: h.role, Key: h.public})
				}
				s.auth.setHolders(holders)
			}
			for range 2 {
				set(stays, v)
				closed := make(chan struct{})
				nc, err := client.Connect(s.URL(), client.Secure(v.tls), client.Nkey(v.public, v.pair.Sign), client.NoReconnect(), client.ClosedHandler(func(*client.Conn) { close(closed) }))
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				set(stays)
				select {
				case <-closed:
				case <-time.After(20 * time.Second):
					t.Fatal("the connection of a removed key stays open")
				}
				if _, err := client.Connect(s.URL(), client.Secure(v.tls), client.Nkey(v.public, v.pair.Sign)); !errors.Is(err, client.ErrAuthorization) {
					t.Fatalf("a connection with a removed key: %v, want %v", err, client.ErrAuthorization)
				}
			}
			if !stays.nc.IsConnected() || stays.nc.Stats().Reconnects > 0 {
				t.Error("the server has closed a connection of another key")
			}
		})
	}
}

// TestSetHolders_OtherRole: if the role of a key changes, its connections must
// end, and new connections must have the rights of the new role only.
func TestSetHolders_OtherRole(t *testing.T) {
	k, err := NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v := holder(t, k, Admin, "one")
	s, err := New(&Options{Listen: "127.0.0.1:0", Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	connect := func() (nc *client.Conn, closed chan struct{}) {
		closed = make(chan struct{})
		nc, err := client.Connect(s.URL(), client.Secure(v.tls), client.Nkey(v.public, v.pair.Sign), client.NoReconnect(), client.ClosedHandler(func(*client.Conn) { close(closed) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc, closed
	}
	_, closed := connect()
	for _, role := range []Role{Client, Worker, Client, Admin, Worker} {
		s.auth.setHolders([]Holder{{Role: role, Key: v.public}})
		select {
		case <-closed:
		case <-time.After(20 * time.Second):
			t.Fatalf("the connection stays open when the role of its key becomes %s", role)
		}
		var nc *client.Conn
		nc, closed = connect()
		// Only clients import the subject of hints. Admins have the account in
		// which the server publishes them.
		hints, err := nc.SubscribeSync(wire.HintSubject(v.public, "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.service.nc.Publish(wire.HintSubject(v.public, "a", "b"), nil); err != nil {
			t.Fatal(err)
		}
		wait := 20 * time.Second
		if role == Worker {
			wait = 100 * time.Millisecond
		}
		if _, err := hints.NextMsg(wait); (err == nil) == (role == Worker) {
			t.Errorf("a message for clients, as a %s: %v", role, err)
		}
	}
}

// TestAuthenticator_BadCredentials: a connection sends a public key. The
// server must refuse the connection if it has not signed the nonce with this
// key.
func TestAuthenticator_BadCredentials(t *testing.T) {
	s, one, other := fourSessions(t)
	for name, opts := range map[string][]client.Option{
		"no key":             {},
		"a password":         {client.UserInfo(one.public, "x")},
		"the key of another": {client.Nkey(one.public, other.pair.Sign)},
		"another nonce":      {client.Nkey(one.public, func([]byte) ([]byte, error) { return one.pair.Sign([]byte("nonce")) })},
		"no signature":       {client.Nkey(one.public, func([]byte) ([]byte, error) { return nil, nil })},
		"the server's key":   {client.Nkey(s.issuer.public, one.pair.Sign)},
	} {
		if nc, err := client.Connect(s.URL(), append(opts, client.Secure(one.tls))...); !errors.Is(err, client.ErrAuthorization) {
			t.Errorf("%s: %v, want %v", name, err, client.ErrAuthorization)
			if err == nil {
				nc.Close()
			}
		}
	}
}
