package cluster

import (
	"testing"
	"time"

	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

// TestCancel_NotAcknowledged: if the servers do not acknowledge a cancellation,
// the client must publish it again.
func TestCancel_NotAcknowledged(t *testing.T) {
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
	ex.client.LoseCancellation("session", "try")
	for begin := time.Now(); len(Snapshot(t, access, wire.CancelStream, wire.CancelPrefix)) == 0; {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the servers do not have the cancellation")
		}
	}
}
