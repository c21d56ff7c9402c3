package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
)

// floodTime is the duration of a flood of messages in a test, if the server
// does not slow down the key that sends them.
const floodTime = 2 * time.Second

// flood publishes with several connections of a key, without waiting for
// answers, until the server is closed. The returned WaitGroup waits for the
// goroutines that publish.
func flood(t *testing.T, s *Server, v *keyHolder, publish func(nc *client.Conn, reply string)) *sync.WaitGroup {
	t.Helper()
	var all sync.WaitGroup
	for range 4 {
		nc, err := client.Connect(s.URL(), client.Secure(v.tls), client.Nkey(v.public, v.pair.Sign), client.NoReconnect(), client.ErrorHandler(func(*client.Conn, *client.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for i := 0; !nc.IsClosed(); i++ {
				publish(nc, fmt.Sprint("_INBOX_", v.public, ".", i))
			}
		})
	}
	return &all
}

// TestFlood_Messages: if a client publishes messages of any kind without
// waiting for the answers, this must delay another client, and Close, by at
// most floodDelay. It must use little memory.
func TestFlood_Messages(t *testing.T) {
	long := strings.Repeat("x", 700)
	big := make([]byte, 900<<10)
	task := func(v *keyHolder) string { return wire.TaskSubject("x", v.public) }
	for name, publish := range map[string]func(v *keyHolder, nc *client.Conn, reply string){
		"tasks":       func(v *keyHolder, nc *client.Conn, reply string) { nc.PublishRequest(task(v), reply, nil) },
		"large tasks": func(v *keyHolder, nc *client.Conn, reply string) { nc.PublishRequest(task(v), reply, big) },
		"acknowledgments": func(v *keyHolder, nc *client.Conn, reply string) {
			nc.PublishRequest("$JS.ACK.CONCERT_RESULTS.rude.1.1.1.1.1", reply+long, []byte("+NXT 100"))
		},
		"requests to the streams": func(v *keyHolder, nc *client.Conn, reply string) {
			nc.PublishRequest(wire.ClientAPI+".CONSUMER.DELETE.CONCERT_RESULTS.x", reply, nil)
		},
		"requests without an answer": func(v *keyHolder, nc *client.Conn, reply string) {
			nc.PublishRequest(wire.CancelPrefix+"."+v.public, reply, []byte("session.try"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, rude, other := fourSessions(t)
			if got := rude.handshake(wire.ResultStream, "rude"); got != "" {
				t.Fatal(got)
			}
			before := heap()
			flooding := flood(t, s, rude, func(nc *client.Conn, reply string) { publish(rude, nc, reply) })
			begin := time.Now()
			for !s.throttle.slows(rude.public) && time.Since(begin) < floodTime {
				sent := time.Now()
				if _, err := other.nc.Request(task(other), nil, floodDelay); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(sent); took > floodDelay {
					t.Errorf("a task of another client is stored after %v", took)
				}
			}
			memory := int64(floodMemory)
			if name == "large tasks" { // each connection and each queue holds some messages of nearly a megabyte
				memory = 192 << 20
			}
			unharmedWithin(t, other, before, memory)
			begin = time.Now()
			s.Close()
			if took := time.Since(begin); took > floodDelay {
				t.Errorf("Close() took %v, want at most floodDelay", took)
			}
			flooding.Wait()
		})
	}
}

// slows reports whether the throttle slows down a key.
func (t *throttle) slows(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paces[key] != nil
}

// TestThrottle_Busiest: busiest must return the key that has sent most, if the
// key exceeds a minimum rate.
func TestThrottle_Busiest(t *testing.T) {
	for _, c := range []struct {
		name  string
		sent  map[string]traffic // the traffic of each key in half a second
		after string
	}{
		{"no key", nil, ""},
		{"little", map[string]traffic{"a": {minMessageRate / 2, 100}}, ""},
		{"messages", map[string]traffic{"a": {minMessageRate, 100}, "b": {minMessageRate + 1, 100}}, "b"},
		{"bytes", map[string]traffic{"a": {minMessageRate, 100}, "b": {10, 2 * minByteRate}}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, after := map[string]traffic{"gone": {1 << 40, 1 << 40}}, map[string]traffic{}
			for key, sent := range c.sent {
				before[key] = traffic{100, 1000}
				after[key] = traffic{100 + sent.messages, 1000 + sent.bytes}
			}
			if got := busiest(before, after, 500*time.Millisecond); got != c.after {
				t.Errorf("busiest() = %q, want %q", got, c.after)
			}
		})
	}
}

// TestThrottle_Closed: a throttle must keep the open connections, and delete
// closed connections from time to time.
func TestThrottle_Closed(t *testing.T) {
	s, one, _ := fourSessions(t)
	for range 3 * 64 {
		nc, err := client.Connect(s.URL(), client.Secure(one.tls), client.Nkey(one.public, one.pair.Sign))
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	s.throttle.mu.Lock()
	defer s.throttle.mu.Unlock()
	if n := len(s.throttle.conns); n < 2 || n > 2*64+64 {
		t.Errorf("the throttle keeps %d connections, want 2 to 192", n)
	}
}
