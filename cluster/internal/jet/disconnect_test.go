package jet

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"concert/cluster/server"
	"concert/internal/logtest"
)

// TestConn_Disconnect: a program that has lost its servers must say so, and
// must say when they are back. A connection that is closed in peace says
// nothing.
func TestConn_Disconnect(t *testing.T) {
	var log logtest.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Connect(t.Context(), s.URL(), "a test", Access{})
	if err != nil {
		t.Fatal(err)
	}
	listen := s.URL()[len("nats://"):]
	s.Close()
	if s, err = server.New(&server.Options{Listen: listen}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for !c.NC.IsConnected() || len(log.Records(t, "cluster: a test: the connection to the servers is restored")) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	c.Close()
	var said []string
	for _, msg := range []string{"cluster: a test: lost the connection to the servers; trying to restore it", "cluster: a test: the connection to the servers is restored"} {
		said = append(said, slices.Repeat([]string{msg}, len(log.Records(t, msg)))...)
	}
	if len(said) != 2 {
		t.Errorf("%q", said)
	}
}
