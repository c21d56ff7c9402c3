package jet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/jet/jettest"
	"concert/cluster/internal/wire"
)

// newServer returns access to a new server in this process, with all streams,
// and a connection to the server. Both are closed at the end of the test.
func newServer(t *testing.T) (Access, *Conn) {
	t.Helper()
	a := Access{InProcess: jettest.NewServer(t)}
	consumer := dial(t, a)
	t.Cleanup(consumer.Close)
	return a, consumer
}

func dial(t *testing.T, a Access) *Conn {
	t.Helper()
	consumer, err := Connect(t.Context(), "", "test", a)
	if err != nil {
		t.Fatal(err)
	}
	return consumer
}

// TestConn_WatchStoredLate: if the servers deliver a message before Watch
// subscribes, and store it after the first read, Watch must still call take
// with this message. Each row is a stream that clients or workers watch, with
// its Reader.
func TestConn_WatchStoredLate(t *testing.T) {
	for _, row := range []struct {
		stream, prefix string
		read           func(c *Conn, stream, prefix string) Reader
	}{
		{wire.BucketStream(wire.CapabilityBucket), wire.BucketPrefix(wire.CapabilityBucket), (*Conn).ReadAll},
		{wire.BucketStream(wire.WorkerBucket), wire.BucketPrefix(wire.WorkerBucket), (*Conn).ReadAll},
		{wire.CancelStream, wire.CancelPrefix, func(c *Conn, stream, _ string) Reader { return (NewCancelReader(c)).Read }},
	} {
		t.Run(row.stream, func(t *testing.T) {
			a, own := newServer(t)
			put := jettest.LateStore(t, own.JS, row.stream, row.prefix)
			c := dial(t, a)
			life, end := context.WithCancel(t.Context())
			defer func() {
				end()
				c.Close()
			}()
			came := make(chan string, 1<<10)
			f := Watched{Stream: row.stream, Prefix: row.prefix, Read: row.read(c, row.stream, row.prefix), MaxPause: MinPause}
			err := c.Watch(t.Context(), life, f, func(key string, body []byte, gone bool, _ time.Time) { came <- fmt.Sprint(key, string(body), gone) })
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				put(fmt.Sprint("key", i), []byte("body"))
				for want := fmt.Sprintf("key%dbodyfalse", i); <-came != want; {
				}
			}
		})
	}
}

// TestConn_WatchReadHangs: if a read fails, it must be repeated. If a read does
// not end, published messages must arrive in the meantime.
func TestConn_WatchReadHangs(t *testing.T) {
	a, own := newServer(t)
	c := dial(t, a)
	life, end := context.WithCancel(t.Context())
	hangs, failed, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	reads := 0
	f := Watched{
		Stream: wire.CancelStream, Prefix: wire.CancelPrefix, MaxPause: time.Millisecond,
		Read: func(ctx context.Context, take func(string, *nats.Msg)) error {
			switch reads++; reads {
			case 1:
				return nil
			case 2:
				close(failed)
				return errors.New("the read fails")
			}
			close(hangs)
			<-ctx.Done()
			return ctx.Err()
		},
		OnEnd: func(context.Context) { close(closed) },
	}
	came := make(chan string, 1)
	if err := c.Watch(t.Context(), life, f, func(key string, _ []byte, _ bool, _ time.Time) { came <- key }); err != nil {
		t.Fatal(err)
	}
	<-failed
	<-hangs
	if err := own.NC.Publish(wire.CancelPrefix+".client", nil); err != nil {
		t.Fatal(err)
	}
	if got := <-came; got != "client" {
		t.Errorf("take was called with %q, want client", got)
	}
	end()
	c.Close()
	<-closed
}

// TestCancelReader_ConsumerGone: the reader must read each message once. If its
// consumer was deleted, it must read all messages again.
func TestCancelReader_ConsumerGone(t *testing.T) {
	_, own := newServer(t)
	r := NewCancelReader(own)
	defer r.Close(t.Context())
	read := func() (n int) {
		t.Helper()
		if err := r.Read(t.Context(), func(string, *nats.Msg) { n++ }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	put := func(n int) {
		t.Helper()
		for i := range n {
			if _, err := own.JS.Publish(t.Context(), wire.CancelPrefix+".client", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A server acknowledges a message before it informs a consumer, so a read
	// may miss the message. The next read finds it.
	expect := func(what string, want int) {
		t.Helper()
		got := read()
		for end := time.Now().Add(time.Minute); got < want && time.Now().Before(end); time.Sleep(time.Millisecond) {
			got += read()
		}
		if got != want {
			t.Errorf("%s: %d messages, want %d", what, got, want)
		}
	}
	expect("an empty stream", 0)
	put(BatchSize)
	expect("a full batch", BatchSize)
	expect("nothing new", 0)
	put(2)
	expect("two new messages", 2)
	if err := own.JS.DeleteConsumer(t.Context(), wire.CancelStream, r.consumer); err != nil {
		t.Fatal(err)
	}
	expect("after the consumer was deleted", BatchSize+2)
	expect("nothing new after that", 0)
}

// TestCancelReader_ReadEnds: whenever the context of a read ends, even while
// the servers create the consumer, no consumer may remain.
func TestCancelReader_ReadEnds(t *testing.T) {
	_, own := newServer(t)
	for i := range 100 {
		r := NewCancelReader(own)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		r.Read(ctx, func(string, *nats.Msg) {})
		r.Close(ctx)
		cancel()
	}
	stream, err := own.JS.Stream(t.Context(), wire.CancelStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers remain, want 0", n)
	}
}
