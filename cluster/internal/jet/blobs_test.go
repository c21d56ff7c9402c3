package jet

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/server"
)

// TestLastMessage_SuspendedServer: if a server was suspended and then answers
// that there is no message, LastMessage must repeat the request, and return the
// message of another server. If all servers answer that there is no message, it
// must return ErrAbsent.
func TestLastMessage_SuspendedServer(t *testing.T) {
	s, err := server.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const patience = 20 * time.Millisecond
	asked := 0
	absent := &nats.Msg{Header: nats.Header{"Status": {"404"}}}
	_, err = nc.Subscribe("test.DIRECT.GET.S.late", func(m *nats.Msg) {
		if asked++; asked == 1 {
			time.Sleep(2 * patience)
			m.RespondMsg(absent)
			return
		}
		m.Respond([]byte("here"))
	})
	if err == nil {
		_, err = nc.Subscribe("test.DIRECT.GET.S.none", func(m *nats.Msg) { m.RespondMsg(absent) })
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{NC: nc, api: "test."}
	if m, err := c.LastMessage(t.Context(), "S", "late", patience); err != nil || string(m.Data) != "here" {
		t.Errorf("%v, %v, want the message", m, err)
	}
	if _, err := c.LastMessage(t.Context(), "S", "none", patience); !errors.Is(err, ErrAbsent) {
		t.Errorf("%v, want %v", err, ErrAbsent)
	}
}
