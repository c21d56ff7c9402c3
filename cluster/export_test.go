package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/client"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/jet/jettest"
	"concert/cluster/internal/wire"
)

// ShortLease returns an Access with another lease: the tasks of lost workers go
// to other workers after the time d. All clients and workers of the cluster
// must use the returned Access.
func ShortLease(a Access, d time.Duration) Access {
	times := jet.DefaultTimes()
	times.Lease = d
	a.times = &times
	return a
}

// ShortValueAge returns an Access whose clients upload shared values again
// after half of the time d. The parameter a must be a result of
// ShortSilence.
func ShortValueAge(a Access, d time.Duration) Access {
	a.times.ValueAge = d
	return a
}

// Loads returns the number of stored parts of large arguments and results.
func (e *Executor) Loads(t *testing.T) int {
	stream, err := e.client.Conn().JS.Stream(t.Context(), wire.BlobStream)
	if err != nil {
		t.Fatal(err)
	}
	return int(stream.CachedInfo().State.Msgs)
}

// Stored returns the numbers of tasks and results that the servers hold.
func (e *Executor) Stored(t *testing.T) (tasks, results uint64) {
	for _, s := range []struct {
		name string
		n    *uint64
	}{{wire.TaskStream, &tasks}, {wire.ResultStream, &results}} {
		stream, err := e.client.Conn().JS.Stream(t.Context(), s.name)
		if err != nil {
			t.Fatal(err)
		}
		*s.n = stream.CachedInfo().State.Msgs
	}
	return tasks, results
}

// ShortSilence returns an Access with frequent heartbeats, one every d. Workers
// without a heartbeat for 4*d count as lost. All clients and workers of the
// cluster must use the returned Access.
func ShortSilence(a Access, d time.Duration) Access {
	times := jet.DefaultTimes()
	times.HeartbeatPeriod, times.WorkerTimeout = d, 4*d
	a.times = &times
	return a
}

// ShortPulls sets the lifetimes of the first request of a worker and of its
// longest one, so that it drains soon.
func ShortPulls(o *ServeOptions, first, longest time.Duration) {
	o.pullTime, o.maxPullTime = first, longest
}

// Snapshot returns one line for each message of a stream, if the subject of the
// message has the prefix. The line has the rest of the subject, and the first
// 100 bytes of the message.
func Snapshot(t *testing.T, a Access, stream, prefix string) (all []string) {
	l := linked(t, a)
	defer l.Close()
	read := l.ReadAll(stream, prefix)
	if stream == wire.CancelStream {
		r := jet.NewCancelReader(l)
		defer r.Close(t.Context())
		read = r.Read
	}
	err := read(t.Context(), func(subject string, m *nats.Msg) {
		all = append(all, fmt.Sprintf("%s: %.100s", strings.TrimPrefix(subject, prefix+"."), m.Data))
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Forget makes the servers delete the session of the executor. It uses a new
// connection.
func (e *Executor) Forget(t *testing.T, a Access) {
	l := linked(t, a)
	defer l.Close()
	for _, stream := range []string{wire.ResultStream, wire.KeptStream} {
		if err := l.JS.DeleteConsumer(t.Context(), stream, e.client.Session()); err != nil {
			t.Fatal(stream, err)
		}
	}
}

// AuditAge is the time after which an outstanding call is audited.
const AuditAge = client.AuditAge

// Pause makes the servers deliver no results to a session until the given time.
func (e *Executor) Pause(t *testing.T, session *Executor, until time.Time) {
	t.Helper()
	stream, err := e.client.Conn().JS.Stream(t.Context(), wire.ResultStream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.PauseConsumer(t.Context(), session.client.Session(), until); err != nil {
		t.Fatal(err)
	}
}

// KeepResults changes the time for which the servers keep results.
func (e *Executor) KeepResults(t *testing.T, age time.Duration) {
	t.Helper()
	stream, err := e.client.Conn().JS.Stream(t.Context(), wire.ResultStream)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxAge = age
	if _, err := e.client.Conn().JS.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// Purge removes all messages of a stream, the parameter name. Before that,
// it waits until another stream, the parameter once, has at least msgs
// messages. It uses a new connection.
func Purge(t *testing.T, a Access, name, once string, msgs uint64) {
	l := linked(t, a)
	defer l.Close()
	for there := uint64(0); there < msgs; time.Sleep(time.Millisecond) {
		stream, err := l.JS.Stream(t.Context(), once)
		if err != nil {
			t.Fatal(err)
		}
		there = stream.CachedInfo().State.Msgs
	}
	stream, err := l.JS.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Remake replaces the stream of tasks by an empty stream. It uses a new
// connection.
func Remake(t *testing.T, a Access) {
	l := linked(t, a)
	defer l.Close()
	if err := l.JS.DeleteStream(t.Context(), wire.TaskStream); err != nil {
		t.Fatal(err)
	}
	if err := l.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

func linked(t *testing.T, a Access) *jet.Conn {
	t.Helper()
	conn, err := a.connect(t.Context(), "", "test")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// LateStore is jettest.LateStore with a new connection.
func LateStore(t *testing.T, a Access, stream, prefix string) (store func(key string, body []byte)) {
	l := linked(t, a)
	t.Cleanup(l.Close)
	return jettest.LateStore(t, l.JS, stream, prefix)
}

// Sent returns the number of calls that were sent, or are about to be sent.
func (e *Executor) Sent() int { return e.client.Sent() }

// Subscribers returns the number of Submits, and of inputs of a Map, that
// wait for sent calls.
func (e *Executor) Subscribers() int { return e.client.Subscribers() }

// WaitingIDs returns the number of queued Submits with ids.
func (e *Executor) WaitingIDs() int { return e.client.WaitingIDs() }

// Canceled returns the number of sent calls that are canceled.
func (e *Executor) Canceled() int { return e.client.Canceled() }

// Uploading returns the number of Submits that upload their large arguments,
// or have uploaded them.
func (e *Executor) Uploading() int { return e.client.Uploading() }

// Cancellations returns the cancellations that the client would publish to
// cancel all sent calls.
func (e *Executor) Cancellations() (client string, bodies [][]byte) {
	return e.client.Cancellations()
}

// Queued returns the number of calls that the servers have acknowledged.
func (e *Executor) Queued() int { return e.client.Queued() }

// AuditAfter audits the calls as if the time d had passed.
func (e *Executor) AuditAfter(t *testing.T, d time.Duration) {
	t.Helper()
	if err := e.client.Audit(d); err != nil {
		t.Fatal(err)
	}
}
