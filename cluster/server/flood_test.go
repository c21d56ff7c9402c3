package server

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// The limits in docs/security.md: the delay of a key by a flood of another
// key, and the memory that the flood may use.
const (
	floodDelay  = 10 * time.Second
	floodMemory = 128 << 20
)

// heap returns the bytes of the heap that are in use, without the memory that
// was allocated during the garbage collection. A flood that continues allocates
// much memory in this time if the machine is busy.
func heap() int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	runtime.GC() // frees memory that the first collection has finalized
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(after.TotalAlloc-before.TotalAlloc)
}

// unharmed fails the test if a handshake of another client takes longer than
// floodDelay, or if the heap has grown by more than floodMemory. The
// parameter before is the earlier size of the heap.
func unharmed(t *testing.T, other *keyHolder, before int64) {
	t.Helper()
	unharmedWithin(t, other, before, floodMemory)
}

// unharmedWithin makes the same checks as unharmed, with the parameter
// memory in place of floodMemory.
func unharmedWithin(t *testing.T, other *keyHolder, before, memory int64) {
	t.Helper()
	begin := time.Now()
	if got := other.handshake(wire.ResultStream, "unharmed"); got != "" {
		t.Error(got)
	}
	if took := time.Since(begin); took > floodDelay {
		t.Errorf("another client waits for %v, want at most floodDelay", took)
	}
	if got := heap() - before; got > memory {
		t.Errorf("the flood takes %d MiB of memory, want %d at most", got>>20, memory>>20)
	}
}

// TestFlood_MessageIDs: if a client publishes messages with long ids, the
// servers must not keep these ids in memory.
func TestFlood_MessageIDs(t *testing.T) {
	_, rude, other := fourSessions(t)
	before := heap()
	for i := range 3000 {
		id := fmt.Sprint(i, strings.Repeat("x", 60<<10))
		if _, err := rude.js.PublishMsg(t.Context(), &client.Msg{Subject: wire.TaskSubject("contract", rude.public), Header: client.Header{jetstream.MsgIDHeader: {id}}}); err != nil {
			t.Fatal(err)
		}
	}
	unharmed(t, other, before)
}

// TestFlood_Connections: if a client's key has as many connections as
// permitted, the server must refuse further connections of this key, and accept
// connections of other keys.
func TestFlood_Connections(t *testing.T) {
	s, rude, other := fourSessions(t)
	if s.options.Connections != DefaultConnections {
		t.Errorf("%d connections by default, want %d", s.options.Connections, DefaultConnections)
	}
	before := heap()
	connect := func(v *keyHolder) error {
		nc, err := client.Connect(s.URL(), client.Secure(v.tls), client.Nkey(v.public, v.pair.Sign), client.NoReconnect())
		if err == nil {
			t.Cleanup(nc.Close)
		}
		return err
	}
	n := 1 // the connection of rude
	for ; n < 400; n++ {
		if err := connect(rude); err != nil {
			if !strings.Contains(err.Error(), "maximum account active connections exceeded") {
				t.Error(err)
			}
			break
		}
	}
	if n != DefaultConnections {
		t.Errorf("%d connections of one key, want %d", n, DefaultConnections)
	}
	if err := connect(other); err != nil {
		t.Error(err)
	}
	unharmed(t, other, before)
}

// TestFlood_Subscriptions: the server must refuse subscriptions above the
// limit, and close a connection that sends a subject of more than a kilobyte.
// All subscriptions that a key may have must take little memory.
func TestFlood_Subscriptions(t *testing.T) {
	s, rude, other := fourSessions(t)
	before := heap()
	refused := make(chan error, 1)
	rude.nc.SetErrorHandler(func(_ *client.Conn, _ *client.Subscription, err error) {
		select {
		case refused <- err:
		default:
		}
	})
	for i := range 2 * maxSubscriptions {
		if _, err := rude.nc.Subscribe(fmt.Sprint("x", i), func(*client.Msg) {}); err != nil {
			break
		}
	}
	if err := <-refused; !strings.Contains(err.Error(), "maximum subscriptions exceeded") {
		t.Error(err)
	}
	const connections = DefaultConnections / 8
	took, long, heard := heap(), strings.Repeat("x", maxLineBytes-100), make(chan *client.Msg)
	for i := range connections {
		nc, err := client.Connect(s.URL(), client.Secure(rude.tls), client.Nkey(rude.public, rude.pair.Sign))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		for j := range maxSubscriptions {
			if _, err := nc.ChanSubscribe(fmt.Sprint(i, ".", j, ".", long), heard); err != nil {
				t.Fatal(err)
			}
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	// The client's connections, which are in this process too, use about half
	// of this memory.
	if took = (heap() - took) * DefaultConnections / connections; took > 2*floodMemory {
		t.Errorf("all subscriptions of a key take %d MiB, want less", took>>20)
	}
	closed := rude.nc.StatusChanged(client.RECONNECTING, client.CLOSED)
	if err := rude.nc.Publish("concert.load."+rude.public+"."+strings.Repeat("x", maxLineBytes)+".0", nil); err != nil {
		t.Fatal(err)
	}
	<-closed
	unharmed(t, other, before)
}

// TestFlood_Parts: if a client stores more parts of large values than
// permitted, the servers must remove the oldest ones, and no parts of another
// client.
func TestFlood_Parts(t *testing.T) {
	s, rude, other := fourSessions(t)
	if _, err := other.nc.Request("concert.load."+other.public+".name.0", []byte("part"), patience); err != nil {
		t.Fatal(err)
	}
	before := heap()
	name := strings.Repeat("x", 800)
	const flood = 3 * DefaultParts
	for i := range flood {
		if err := rude.nc.Publish(fmt.Sprint("concert.load.", rude.public, ".", name, i, ".0"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := rude.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		stream, err := s.service.js.Stream(t.Context(), wire.BlobStream)
		if err != nil {
			t.Fatal(err)
		}
		state := stream.CachedInfo().State
		if state.LastSeq > flood/2 && state.Msgs <= DefaultParts+DefaultParts/4+1 {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d parts are stored, want %d", state.Msgs, DefaultParts)
		}
	}
	if m, err := other.nc.Request(wire.ClientAPI+".DIRECT.GET.CONCERT_LOAD.concert.load."+other.public+".name.0", nil, patience); err != nil || string(m.Data) != "part" {
		t.Errorf("the part of another client: %v, %v", m, err)
	}
	unharmed(t, other, before)
}
