package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

// TestPosting: who is told that there was no word of a message may publish
// another one. The library tells it with its lock, which that needs.
func TestPosting(t *testing.T) {
	before := postTime
	postTime = 50 * time.Millisecond
	defer func() { postTime = before }()
	s, err := server.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := &link{}
	told := make(chan any)
	l.failed = func(_ *nats.Msg, note any, _ error) {
		if note == "first" {
			l.post(&nats.Msg{Subject: "silence"}, "second")
		}
		told <- note
	}
	if err := (&Access{InProcess: s}).connect(t.Context(), "", "test", l); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if _, err := l.nc.SubscribeSync("silence"); err != nil { // somebody hears it, and says nothing
		t.Fatal(err)
	}
	l.post(&nats.Msg{Subject: "silence"}, "first")
	for _, want := range []string{"first", "second"} {
		select {
		case got := <-told:
			if got != want {
				t.Errorf("told of the %v, want the %v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody is told of the %s", want)
		}
	}
}

// TestCancellationAgain: a cancellation of which there was no word is sent once
// more.
func TestCancellationAgain(t *testing.T) {
	s, err := server.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	access := Access{InProcess: s}
	ex, err := Dial(t.Context(), "", &Options{Access: access})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	subject, body := wire.Cancellation("anyone", "session", "try")
	ex.unposted(&nats.Msg{Subject: subject, Data: body}, cancellation{}, errors.New("the connection was lost"))
	for begin := time.Now(); len(Snapshot(t, access, wire.CancelStream, wire.CancelPrefix)) == 0; {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the servers do not have it")
		}
	}
}
