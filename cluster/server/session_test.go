package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"concert/cluster/internal/wire"
)

// TestSession_Limit: if a client has as many sessions as permitted, the server
// must refuse further sessions. When one session has ended, the server must
// accept one further session.
func TestSession_Limit(t *testing.T) {
	t.Parallel()
	_, greedy, other := fourSessions(t)

	for _, c := range []struct {
		stream, name, refused string
	}{
		{wire.ResultStream, "a", ""},
		{wire.KeptStream, "a", ""},
		{wire.ResultStream, "b", ""},
		{wire.ResultStream, "c", ""},
		{wire.ResultStream, "d", "there are 4 sessions of this key already"},
		{wire.KeptStream, "c", "there are 4 sessions of this key already"},
		{wire.ResultStream, "a", ""}, // this session exists already
		{wire.KeptStream, "a", ""},
	} {
		if got := greedy.handshake(c.stream, c.name); c.refused == "" && got != "" || !strings.HasPrefix(got, c.refused) {
			t.Errorf("session %s of %s: %q, want %q", c.name, c.stream, got, c.refused)
		}
	}
	if got := other.handshake(wire.ResultStream, "e"); got != "" {
		t.Errorf("another client: %s", got)
	}
	if got := other.handshake(wire.ResultStream, "a"); got == "" {
		t.Error("the server gives a client the session of another client")
	}
	if err := greedy.js.DeleteConsumer(t.Context(), wire.ResultStream, "b"); err != nil {
		t.Fatal(err)
	}
	if got := greedy.handshake(wire.ResultStream, "d"); got != "" {
		t.Errorf("a session after one has ended: %s", got)
	}
	if got := greedy.handshake(wire.ResultStream, "f"); got == "" {
		t.Error("the server accepts two sessions after one has ended")
	}
}

// fourSessions returns a server that permits four sessions for each key, and
// two connected clients.
func fourSessions(t *testing.T) (s *Server, one, other *keyHolder) {
	t.Helper()
	k, err := NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	one, other = holder(t, k, Client, "one"), holder(t, k, Client, "other")
	if s, err = New(&Options{Listen: "127.0.0.1:0", Keyring: k, Sessions: 4}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	one.connect(s)
	other.connect(s)
	return s, one, other
}

type keyHolder struct {
	*testing.T
	role   Role
	public string
	pair   nkeys.KeyPair
	tls    *tls.Config
	nc     *client.Conn
	js     jetstream.JetStream
}

func holder(t *testing.T, k *Keyring, role Role, name string) *keyHolder {
	t.Helper()
	text, err := k.Add(role, name)
	if err != nil {
		t.Fatal(err)
	}
	v := &keyHolder{T: t, role: role, tls: &tls.Config{RootCAs: x509.NewCertPool()}}
	v.tls.RootCAs.AppendCertsFromPEM(text)
	if v.pair, err = nkeys.ParseDecoratedNKey(text); err != nil {
		t.Fatal(err)
	}
	if v.public, err = v.pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *keyHolder) connect(s *Server) {
	v.Helper()
	var err error
	v.nc, err = client.Connect(s.URL(), client.Secure(v.tls), client.Nkey(v.public, v.pair.Sign), client.ErrorHandler(func(*client.Conn, *client.Subscription, error) {}))
	if err != nil {
		v.Fatal(err)
	}
	v.Cleanup(v.nc.Close)
	api := wire.ClientAPI
	if v.role == Admin {
		api = jetstream.DefaultAPIPrefix
	}
	if v.js, err = jetstream.NewWithAPIPrefix(v.nc, api); err != nil {
		v.Fatal(err)
	}
}

// handshake requests a session, and returns the error in the reply, or "".
func (v *keyHolder) handshake(stream, session string) string {
	v.Helper()
	return v.handshakes(wire.Handshake{Session: session, Stream: stream}).Error
}

// handshakes sends a Handshake, and returns the reply. It repeats the request
// after a transient error.
func (v *keyHolder) handshakes(k wire.Handshake) wire.HandshakeReply {
	v.Helper()
	body, err := wire.Marshal(&k)
	if err != nil {
		v.Fatal(err)
	}
	for {
		answer, err := v.nc.Request(wire.HandshakeSubject(v.public), body, 5*time.Second)
		if err != nil {
			v.Fatal(err)
		}
		var w wire.HandshakeReply
		if err := wire.Unmarshal(answer.Data, &w); err != nil {
			v.Fatal(err)
		}
		if !w.Transient {
			return w
		}
		time.Sleep(100 * time.Millisecond) // a pause before the next attempt
	}
}

// TestService_ManyHandshakes: if a client sends very many handshakes, a
// handshake of another client must succeed, and the limit of sessions must
// hold.
func TestService_ManyHandshakes(t *testing.T) {
	s, rude, other := fourSessions(t)
	for i := range 5 {
		rude.handshake(wire.ResultStream, fmt.Sprint("first", i))
	}
	const handshakes = 20_000
	for i := range handshakes {
		body, err := wire.Marshal(&wire.Handshake{Session: fmt.Sprint("s", i), Stream: wire.ResultStream})
		if err != nil {
			t.Fatal(err)
		}
		if err := rude.nc.PublishRequest(wire.HandshakeSubject(rude.public), rude.nc.NewInbox(), body); err != nil {
			t.Fatal(err)
		}
	}
	if err := rude.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := other.handshake(wire.ResultStream, "e"); got != "" {
		t.Error(got)
	}
	s.service.mu.Lock()
	defer s.service.mu.Unlock()
	if n := len(s.service.sessions[rude.public]); n > s.options.Sessions {
		t.Errorf("%d sessions of one key, want at most Options.Sessions", n)
	}
}

// TestService_QueueForEachKey: if the requests of a key fill its queue,
// requests of another key must be served. When the server continues, it must
// serve the waiting requests of the first key.
func TestService_QueueForEachKey(t *testing.T) {
	s, rude, other := fourSessions(t)
	q := s.service.queues[rude.public]
	for range cap(q.handshakes) { // as if the requests took long
		q.handshakes <- struct{}{}
	}
	body, err := wire.Marshal(&wire.Handshake{})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := rude.nc.SubscribeSync("answers")
	if err != nil {
		t.Fatal(err)
	}
	for range queueLimit + 1000 {
		if err := rude.nc.PublishRequest(wire.HandshakeSubject(rude.public), "answers", body); err != nil {
			t.Fatal(err)
		}
	}
	if err := rude.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := other.handshake(wire.ResultStream, "e"); got != "" {
		t.Error(got)
	}
	for range cap(q.handshakes) { // as if these requests had been served
		<-q.handshakes
	}
	for n := 0; n < queueLimit/2; n++ {
		if _, err := answers.NextMsg(time.Minute); err != nil {
			t.Fatalf("after %d answers: %v", n, err)
		}
	}
}

// TestSession_LimitOption: if Options.Sessions is 0, a key must be able to have
// 64 sessions. If Options.Sessions is negative, New must return an error.
func TestSession_LimitOption(t *testing.T) {
	if s, err := New(&Options{Sessions: -1}); err == nil || !strings.Contains(err.Error(), "Options.Sessions is -1") {
		t.Errorf("%v, %v", s, err)
	}
	k, err := NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	one := holder(t, k, Client, "one")
	s, err := New(&Options{Listen: "127.0.0.1:0", Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	one.connect(s)
	for i := range 64 {
		if got := one.handshake(wire.ResultStream, fmt.Sprint("s", i)); got != "" {
			t.Fatalf("session %d: %s", i, got)
		}
	}
	if got := one.handshake(wire.KeptStream, "more"); !strings.Contains(got, "there are 64 sessions") {
		t.Errorf("another session: %q", got)
	}
}
