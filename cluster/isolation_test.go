package cluster_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
)

// wiretap is a connection with a key. It records all messages that it receives.
type wiretap struct {
	*nats.Conn
	t   *testing.T
	key string

	mu       sync.Mutex
	received []*nats.Msg // guarded by mu
}

func tap(t *testing.T, s *server.Server, file string) *wiretap {
	t.Helper()
	public, pair := keyOf(t, file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM(text)
	w := &wiretap{t: t, key: public}
	w.Conn, err = nats.Connect(s.URL(), nats.Secure(&tls.Config{RootCAs: authority}), nats.Nkey(public, pair.Sign), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	_, err = w.Subscribe(">", func(m *nats.Msg) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.received = append(w.received, m)
	})
	if err != nil || w.Flush() != nil {
		t.Fatal(err)
	}
	return w
}

// about waits for a message whose subject is the parameter last. Then it
// returns the subjects of the received messages for which the parameter
// which, a function, returns true. It skips all messages before the first
// one whose subject is the parameter first. If this parameter is "", it
// skips no messages.
func (w *wiretap) about(first, last string, which func(m *nats.Msg) bool) (subjects []string) {
	w.t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		w.mu.Lock()
		begun, over := first == "", false
		subjects = nil
		for _, m := range w.received {
			begun = begun || m.Subject == first
			over = over || m.Subject == last
			if begun && which(m) {
				subjects = append(subjects, m.Subject)
			}
		}
		w.mu.Unlock()
		if over {
			return subjects
		}
		if time.Since(begin) > 20*time.Second {
			w.t.Fatalf("%s was not received", last)
		}
	}
}

// TestClients_Isolated: a program with the key of a client must not be able to
// read or write data of another client, whatever it publishes.
func TestClients_Isolated(t *testing.T) {
	k := newKeyring(t)
	victim, rogue, work, boss := k.access(server.Client, "victim"), k.access(server.Client, "rogue"), k.access(server.Worker, "somewhere"), k.access(server.Admin, "boss")
	s := guarded(t, k)
	serveAt(t, s.URL(), work, 2)
	r, all := tap(t, s, rogue.Key), tap(t, s, boss.Key)
	v, _ := keyOf(t, victim.Key)

	// The victim runs tasks.
	ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: victim, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	for _, ctx := range []context.Context{t.Context(), cluster.WithID(t.Context(), "secret")} {
		for _, size := range []int{10, 1 << 20} {
			secret := bytes.Repeat([]byte("!SECRET!"), size)
			if _, err := concert.Submit(ctx, ex, reverse, secret).Result(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}

	first, last := "concert.load."+r.key+".first.0", "concert.load."+r.key+".last.0"
	if _, err := r.Request(first, nil, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	// The rogue publishes to the subjects of others, with and without a reply
	// subject.
	others := []string{
		"concert.task.anything." + v, "concert.result." + v + ".session.1", "concert.result." + r.key + ".session.1", "concert.kept." + v + ".1",
		"concert.kept." + r.key + ".1", "concert.load." + v + ".x.0", "concert.cancel." + v, "$KV.CONCERT_WORKERS.me", "$KV.CONCERT_CONTRACTS.mine",
		"concert.dead.anything." + v, "concert.dead.anything." + r.key, "concert.hint." + v + ".session", "concert.door." + v,
		"$JS.API.INFO", "$JS.API.STREAM.INFO.CONCERT_RESULTS", "$JS.API.STREAM.NAMES", "$JS.API.CONSUMER.NAMES.CONCERT_RESULTS", "$JS.API.CONSUMER.LIST.CONCERT_RESULTS",
		"$JS.API.STREAM.MSG.GET.CONCERT_RESULTS", "$JS.API.STREAM.MSG.GET.CONCERT_LOAD", "$JS.API.STREAM.PURGE.CONCERT_RESULTS", "$JS.API.STREAM.DELETE.CONCERT_TASKS",
		"$JS.API.STREAM.CREATE.MINE", "$JS.API.STREAM.UPDATE.CONCERT_RESULTS",
		"$JS.API.DIRECT.GET.CONCERT_KEPT.concert.kept." + v + ".1", "$JS.API.DIRECT.GET.CONCERT_LOAD.concert.load." + v + ".x.0", "$JS.API.DIRECT.GET.CONCERT_LOAD",
		"$JS.API.CONSUMER.CREATE.CONCERT_TASKS.x", "$JS.API.CONSUMER.CREATE.CONCERT_RESULTS.x", "$JS.API.CONSUMER.DURABLE.CREATE.CONCERT_RESULTS.x",
		"$JS.API.CONSUMER.CREATE.CONCERT_RESULTS.x.concert.result." + r.key + ".>", "$JS.API.CONSUMER.CREATE.KV_CONCERT_WORKERS.x",
		"$JS.API.CONSUMER.MSG.NEXT.CONCERT_TASKS.x", "$SYS.REQ.SERVER.PING", "$JS.ACK.CONCERT_TASKS.x.1.1.1.1.1", "_INBOX_" + v + ".x",
	}
	for _, subject := range others {
		r.Publish(subject, []byte("rogue"))
		r.PublishRequest(subject, r.NewInbox(), []byte("rogue"))
	}
	// The header Nats-Rollup must not remove messages of others from a stream.
	for _, subject := range []string{"concert.load." + r.key + ".y.0", "concert.cancel." + r.key, "concert.task.anything." + r.key} {
		for _, which := range []string{"all", "sub"} {
			m := &nats.Msg{Subject: subject, Data: []byte("x"), Header: nats.Header{"Nats-Rollup": {which}}}
			if answer, err := r.RequestMsg(m, 5*time.Second); err != nil || !bytes.Contains(answer.Data, []byte(`"error"`)) {
				t.Errorf("%s, rolling up %s: %v, %v", subject, which, answer, err)
			}
		}
	}
	// The rogue publishes to its own subjects with the subjects of others as
	// reply subjects: a server may publish an answer to any subject.
	mine := "concert.load." + r.key + ".x.0"
	if _, err := r.Request(mine, nil, 5*time.Second); err != nil { // a stored part of the rogue, for the requests below
		t.Fatal(err)
	}
	for _, subject := range []string{
		mine, "concert.task.anything." + r.key, "concert.cancel." + r.key, "concert.door." + r.key,
		"$JS.API.DIRECT.GET.CONCERT_LOAD." + mine, "$JS.API.DIRECT.GET.CONCERT_KEPT.concert.kept." + r.key + ".1", "$JS.API.DIRECT.GET.KV_CONCERT_WORKERS",
		"$JS.API.CONSUMER.INFO.CONCERT_RESULTS.x", "$JS.API.CONSUMER.MSG.NEXT.CONCERT_RESULTS.x", "$JS.ACK.CONCERT_RESULTS.x.1.1.1.1.1",
	} {
		for _, target := range others {
			r.PublishRequest(subject, target, nil)
		}
	}
	if _, err := r.Request(last, []byte("over"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	forbidden := map[string]bool{}
	for _, subject := range others {
		forbidden[subject] = true
	}
	if went := all.about(first, last, func(m *nats.Msg) bool {
		server := m.Reply != "" && !bytes.Contains(m.Data, []byte("rogue")) // a request of the server itself, which regularly asks for the size of streams
		return forbidden[m.Subject] && !server
	}); len(went) > 0 {
		t.Errorf("messages of the rogue in the account of the streams: %q", went)
	}
	if received := r.about("", last, func(m *nats.Msg) bool {
		return !forbidden[m.Subject] && strings.Contains(m.Subject, v) || bytes.Contains(m.Data, []byte("SECRET")) || bytes.Contains(m.Data, []byte("!TERCES"))
	}); len(received) > 0 {
		t.Errorf("the rogue received messages about the victim: %q", received)
	}
	for _, stream := range []string{"CONCERT_TASKS", "CONCERT_RESULTS", "CONCERT_KEPT", "CONCERT_LOAD", "CONCERT_DEAD"} {
		if info, err := all.Request("$JS.API.STREAM.INFO."+stream, nil, 5*time.Second); err != nil || bytes.Contains(info.Data, []byte(`"error"`)) {
			t.Errorf("%s is not there: %v", stream, err)
		}
	}

	// Servers must refuse to open a session of another client, or an invalid
	// session, for the rogue.
	sessions, err := all.Request("$JS.API.CONSUMER.NAMES.CONCERT_RESULTS", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_, names, _ := strings.Cut(string(sessions.Data), `"consumers":["`)
	session, _, found := strings.Cut(names, `"`)
	if !found {
		t.Fatalf("no session: %s", sessions.Data)
	}
	for _, request := range []map[int]string{
		{1: session, 2: "CONCERT_RESULTS"}, {1: "x", 2: "CONCERT_TASKS"}, {1: "x.y", 2: "CONCERT_RESULTS"}, {1: "x", 2: ""},
	} {
		body, err := cbor.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := r.Request("concert.door."+r.key, body, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var w struct {
			Role  string `cbor:"1,keyasint"`
			Error string `cbor:"2,keyasint"`
		}
		if err := cbor.Unmarshal(answer.Data, &w); err != nil || w.Error == "" || w.Role != "client" {
			t.Errorf("%v: %+v, %v", request, w, err)
		}
	}
}
