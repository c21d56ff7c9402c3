package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

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
	ex.nacked(&nats.Msg{Subject: subject, Data: body}, cancellation{}, errors.New("the connection was lost"))
	for begin := time.Now(); len(Snapshot(t, access, wire.CancelStream, wire.CancelPrefix)) == 0; {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the servers do not have it")
		}
	}
}
