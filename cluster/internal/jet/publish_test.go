package jet

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/server"
)

// TestPublish_InOnNack: if OnNack publishes another message, the publication
// must not block. Package nats calls its error handler while it holds a lock
// that Publish needs.
func TestPublish_InOnNack(t *testing.T) {
	s, err := server.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := Connect(t.Context(), "", "test", Access{InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.publishTimeout = 50 * time.Millisecond
	if err := c.useAPI("$JS.API"); err != nil {
		t.Fatal(err)
	}
	told := make(chan any)
	c.OnNack = func(_ *nats.Msg, note any, _ error) {
		if note == "first" {
			c.Publish(&nats.Msg{Subject: "silence"}, "second")
		}
		told <- note
	}
	if _, err := c.NC.SubscribeSync("silence"); err != nil { // this subscription receives the messages and does not answer
		t.Fatal(err)
	}
	c.Publish(&nats.Msg{Subject: "silence"}, "first")
	for _, want := range []string{"first", "second"} {
		select {
		case got := <-told:
			if got != want {
				t.Errorf("OnNack was called with the %v, want the %v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("OnNack was not called with the %s", want)
		}
	}
}
