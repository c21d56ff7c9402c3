package cluster_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/loopback"
)

// grid is an argument with a handle.
type grid struct {
	Numbers *concert.Shared[[]float64]
	At      int
}

var pick = concert.Register("cluster_test.pick", func(_ context.Context, g grid) (float64, error) { return g.Numbers.Value()[g.At], nil })

// heldGrid is the argument of a function that waits at a hold.
type heldGrid struct {
	Hold    string
	Numbers *concert.Shared[[]float64]
}

var pickHeld = concert.Register("cluster_test.pickHeld", func(ctx context.Context, g heldGrid) (int, error) {
	c, _ := holding.Load(g.Hold)
	h := c.(*hold)
	h.began <- struct{}{}
	<-h.let
	return len(g.Numbers.Value()), nil
})

// numbers returns n numbers, each of which is its index.
func numbers(n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = float64(i)
	}
	return all
}

func share(t *testing.T, ex concert.Executor, n int) *concert.Shared[[]float64] {
	t.Helper()
	h, err := concert.Share(t.Context(), ex, numbers(n))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// parts returns the number of parts of a value of n numbers.
func parts(n int) int { return (8*n + wire.PartBytes - 1) / wire.PartBytes }

// transfers counts the parts of values that clients have stored, and that
// workers have read.
type transfers struct {
	t        *testing.T
	nc       *nats.Conn
	up, down *nats.Subscription
}

func watchTransfers(t *testing.T, s *server.Server) *transfers {
	t.Helper()
	nc, _ := raw(t, s)
	w := &transfers{t: t, nc: nc}
	var err1, err2 error
	w.up, err1 = nc.SubscribeSync("concert.load.>")
	w.down, err2 = nc.SubscribeSync("$JS.API.DIRECT.GET." + wire.BlobStream + ".>")
	if err := errors.Join(err1, err2, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	return w
}

// taken returns the numbers of parts that were stored, and read, since the
// last call. It does not count messages that delete a part.
func (w *transfers) taken() (uploads, downloads int) {
	w.t.Helper()
	if err := w.nc.Flush(); err != nil { // earlier messages have arrived now
		w.t.Fatal(err)
	}
	for n, _, _ := w.up.Pending(); n > 0; n-- {
		m, err := w.up.NextMsg(time.Minute)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(m.Data) > 0 {
			uploads++
		}
	}
	for n, _, _ := w.down.Pending(); n > 0; n-- {
		if _, err := w.down.NextMsg(time.Minute); err != nil {
			w.t.Fatal(err)
		}
		downloads++
	}
	return uploads, downloads
}

// expect checks the numbers that the method taken returns.
func (w *transfers) expect(what string, uploads, downloads int) {
	w.t.Helper()
	if up, down := w.taken(); up != uploads || down != downloads {
		w.t.Errorf("%s: %d parts were stored and %d were read, want %d and %d", what, up, down, uploads, downloads)
	}
}

// pickAll submits n calls, and checks their results.
func pickAll(t *testing.T, ex concert.Executor, h *concert.Shared[[]float64], n int) {
	t.Helper()
	futures := make([]*concert.Future[float64], n)
	for i := range futures {
		futures[i] = concert.Submit(t.Context(), ex, pick, grid{h, i})
	}
	for i, fut := range futures {
		if got, err := fut.Result(t.Context()); got != float64(i) || err != nil {
			t.Fatalf("call %d: %v, %v", i, got, err)
		}
	}
}

// TestShare_StoredOnce: a client must store a shared value once, and each
// worker must download it once, even if many calls need it at the same time.
func TestShare_StoredOnce(t *testing.T) {
	t.Parallel()
	for name, pool := range map[string]func() concert.Executor{
		"goroutines": func() concert.Executor { return goroutines.New(8, nil) },
		"loopback":   func() concert.Executor { return loopback.New(8, loopback.Options{}) },
		"another cluster": func() concert.Executor {
			s := embedded(t, "")
			ex := dial(t, cluster.Access{InProcess: s})
			serve(t, cluster.Access{InProcess: s}, 4)
			return ex
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := embedded(t, "")
			access := cluster.Access{InProcess: s}
			ex := dial(t, access)
			w := watchTransfers(t, s)
			const n = 200_000
			h := share(t, ex, n)
			stop := serveOn(t, access, pool())
			pickAll(t, ex, h, 100)
			w.expect("the first worker", parts(n), parts(n))
			pickAll(t, ex, h, 100)
			w.expect("further calls", 0, 0)
			stop()
			serveOn(t, access, pool())
			pickAll(t, ex, h, 100)
			w.expect("a new worker", 0, parts(n))
			if got := ex.Loads(t); got != parts(n) {
				t.Errorf("%d parts are stored, want %d", got, parts(n))
			}
			h.Close()
			deleted(t, ex)
		})
	}
}

// TestShare_TwoRelays: if workers of one cluster pass their tasks to a
// second cluster, they use the same IDs there. Their calls must not disturb
// each other. Values of earlier workers must not disturb a worker that
// starts later.
func TestShare_TwoRelays(t *testing.T) {
	outer, inner := cluster.Access{InProcess: embedded(t, "")}, cluster.Access{InProcess: embedded(t, "")}
	serve(t, inner, 4)
	ex := dial(t, outer)
	h := share(t, ex, 100_000)
	first := serveOn(t, outer, dial(t, inner))
	pickAll(t, ex, h, 10)
	serveOn(t, outer, dial(t, inner))
	pickAll(t, ex, h, 100)
	first()
	pickAll(t, ex, h, 10)
}

// deleted waits until the servers hold no parts of values.
func deleted(t *testing.T, ex *cluster.Executor) {
	t.Helper()
	for begin := time.Now(); ex.Loads(t) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("the servers still hold %d parts", ex.Loads(t))
		}
	}
}

// TestShare_ClosedExecutor: when a client ends, the servers must delete its
// shared values.
func TestShare_ClosedExecutor(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex, other := dial(t, access), dial(t, access)
	serve(t, access, 2)
	h := share(t, ex, 200_000)
	pickAll(t, ex, h, 3)
	ex.Close()
	deleted(t, other)
	if _, err := concert.Submit(t.Context(), other, pick, grid{share(t, other, 10), 3}).Result(t.Context()); err != nil {
		t.Error(err)
	}
	h.Close()
}

// TestShare_PartsLost: if the servers lose a shared value, a worker that does
// not have it must report it, and the client must store the value again. If the
// handle is closed, the call must fail.
func TestShare_PartsLost(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct := cluster.Access{InProcess: s}
	ex := dial(t, direct)
	const n = 200_000
	h := share(t, ex, n)
	stop := serve(t, direct, 4)
	pickAll(t, ex, h, 3)
	stop()
	cluster.Purge(t, direct, wire.BlobStream, wire.TaskStream, 0)
	w := watchTransfers(t, s)
	work := &network{to: s}
	stop = serve(t, cluster.Access{InProcess: work}, 4)
	pickAll(t, ex, h, 20)
	if up, _ := w.taken(); up != parts(n) {
		t.Errorf("%d parts were stored again, want %d", up, parts(n))
	}
	stop()
	drained(t, ex)
	work = &network{to: s}
	stop = serve(t, cluster.Access{InProcess: work}, 1)
	name, hold := newHold(t)
	first := concert.Submit(t.Context(), ex, held, name)
	<-hold.began
	fut := concert.Submit(t.Context(), ex, pick, grid{h, 3})
	for ex.Queued() < 2 {
		time.Sleep(time.Millisecond)
	}
	h.Close()
	deleted(t, ex)
	close(hold.let)
	if _, err := first.Result(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := fut.Result(t.Context()); err == nil || !strings.Contains(err.Error(), "the shared value is closed") {
		t.Errorf("a call with a closed handle: %v, %v; want an error that says so", got, err)
	}
	stop()
}

// TestShare_Renewed: a client must store a shared value again before the
// servers delete it because of its age.
func TestShare_Renewed(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	access := cluster.ShortValueAge(cluster.ShortSilence(cluster.Access{InProcess: s}, 50*time.Millisecond), 20*time.Millisecond)
	ex := dial(t, access)
	stop := serve(t, access, 2)
	h := share(t, ex, 100_000)
	pickAll(t, ex, h, 3)
	w := watchTransfers(t, s)
	for begin, up := time.Now(), 0; up < 3*parts(100_000); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d parts were stored again in a minute", up)
		}
		again, _ := w.taken()
		up += again
	}
	if got := ex.Loads(t); got != parts(100_000) {
		t.Errorf("%d parts are stored, want %d", got, parts(100_000))
	}
	h.Close()
	stop()
}

// TestShare_Memory: a worker must keep the shared values that were used last,
// as far as its memory permits. A value that is too large for the memory must
// be usable, too, and be downloaded once for all calls that use it.
func TestShare_Memory(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex := dial(t, access)
	stop := serveWith(t, &cluster.ServeOptions{Access: access, MaxBytes: 16 << 20, Notice: func(string) {}}, goroutines.New(4, nil))
	const n = 600_000 // 4.6 MiB: two values fit into 12 MiB
	a, b, c := share(t, ex, n), share(t, ex, n), share(t, ex, n)
	w := watchTransfers(t, s)
	for _, h := range []*concert.Shared[[]float64]{a, b, a} {
		pickAll(t, ex, h, 4)
	}
	w.expect("two values", 2*parts(n), 2*parts(n))
	pickAll(t, ex, c, 4) // evicts b
	pickAll(t, ex, a, 4)
	w.expect("the third value, and the first one", parts(n), parts(n))
	pickAll(t, ex, b, 4)
	w.expect("the value that was evicted", 0, parts(n))
	const large = 2_000_000 // 15 MiB
	d := share(t, ex, large)
	pickAll(t, ex, d, 50)
	w.expect("a value larger than the memory", parts(large), parts(large))

	// A value that is in use stays, and other values wait for its memory.
	name, hold := newHold(t)
	running := concert.Submit(t.Context(), ex, pickHeld, heldGrid{name, d})
	<-hold.began
	waiting := concert.Submit(t.Context(), ex, pick, grid{a, 1})
	pickAll(t, ex, share(t, ex, 0), 0)
	if n, err := concert.Submit(t.Context(), ex, count, 6_000_000).Result(t.Context()); n == 0 || err != nil {
		t.Errorf("a task without a shared value: %d, %v", n, err)
	}
	w.expect("while a call uses the large value", 0, 0)
	close(hold.let)
	if got, err := running.Result(t.Context()); got != large || err != nil {
		t.Errorf("the running call: %d, %v", got, err)
	}
	if got, err := waiting.Result(t.Context()); got != 1 || err != nil {
		t.Errorf("the waiting call: %v, %v", got, err)
	}
	stop()
}

// TestShare_ManyValues: a worker must keep a limited number of values that no
// task uses, because a pool needs a file descriptor for each of them.
func TestShare_ManyValues(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex := dial(t, access)
	stop := serve(t, access, 4)
	w := watchTransfers(t, s)
	var all []*concert.Shared[[]float64]
	for range 300 {
		all = append(all, share(t, ex, 10))
		pickAll(t, ex, all[len(all)-1], 1)
	}
	w.expect("300 values", 300, 300)
	pickAll(t, ex, all[299], 1)
	w.expect("the last value", 0, 0)
	pickAll(t, ex, all[0], 1)
	w.expect("the first value", 0, 1)
	stop()
}

// TestShare_OtherClient: a task must not read or replace the shared value of
// another client, even if the task knows its ID and its name.
func TestShare_OtherClient(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	stop := serve(t, access, 4)
	ex := dial(t, access)
	contract := contractOf(t, access, ex, 6_000_001)
	nc, js := raw(t, s)
	tasks, err := nc.SubscribeSync("concert.task.>")
	if err != nil || nc.Flush() != nil {
		t.Fatal(err)
	}
	h := share(t, ex, 1000)
	pickAll(t, ex, h, 1)
	m, err := tasks.NextMsg(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	victim, err := new(wire.Verifier).Open(m.Data, m.Subject, false)
	if err != nil || len(victim.Shared) != 1 {
		t.Fatalf("the task has %d shared values, %v", len(victim.Shared), err)
	}
	own := victim.Shared[0]
	own.Value = storeParts(t, js, "rogue", executor.Encoded{Kind: own.Kind, Bytes: make([]byte, 8000)})
	absent := victim.Shared[0]
	absent.ID[0]++
	for name, shared := range map[string]wire.SharedValue{"the name": victim.Shared[0], "the ID": own, "the name with another ID": absent} {
		t.Run(name, func(t *testing.T) {
			o := rogueTask(t, nc, contract, victim, shared)
			if !o.Dropped || o.Err == nil {
				t.Errorf("the task of another client has run: %+v", o)
			}
		})
	}
	pickAll(t, ex, h, 10)
	stop()
}

// rogueTask publishes a copy of a task as a task of the client "rogue", and
// returns its outcome.
func rogueTask(t *testing.T, nc *nats.Conn, contract string, e wire.Envelope, shared wire.SharedValue) wire.Outcome {
	t.Helper()
	e.Session, e.Try, e.Shared = "s", wire.NewToken(), []wire.SharedValue{shared}
	e.ID = wire.TaskID{Client: "rogue", Session: e.Session, Number: e.Try}
	results, err := nc.SubscribeSync(wire.ResultSubject(e.ID))
	if err != nil {
		t.Fatal(err)
	}
	subject := wire.TaskSubject(contract, "rogue")
	msgs, err := wire.EncodeTasks([]wire.OutgoingTask{{Envelope: e, Subject: subject}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish(subject, msgs[0]); err != nil {
		t.Fatal(err)
	}
	m, err := results.NextMsg(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	o, err := wire.DecodeOutcome(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestShare_Map: the items of a Map, and Maps at the same time, must use the
// same stored value.
func TestShare_Map(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex := dial(t, access)
	stop := serve(t, access, 4)
	w := watchTransfers(t, s)
	const n = 100_000
	h := share(t, ex, n)
	var maps sync.WaitGroup
	for range 3 {
		maps.Go(func() {
			i := 0
			for got, err := range concert.Map(t.Context(), ex, pick, func(yield func(grid) bool) {
				for i := range 300 {
					if !yield(grid{h, i}) {
						return
					}
				}
			}) {
				if got != float64(i) || err != nil {
					t.Errorf("item %d: %v, %v", i, got, err)
				}
				i++
			}
		})
	}
	maps.Wait()
	w.expect("three Maps", parts(n), parts(n))
	stop()
}

// TestShare_RelayedAfterRelease: if a call of executor.Relay refers to a value
// that was released, the call must fail.
func TestShare_RelayedAfterRelease(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex := dial(t, access)
	serve(t, access, 1)
	settles(t, concert.Submit(t.Context(), ex, greet, "x"), "x")
	_, value, err := executor.Prepare(greet, "value")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := executor.RelayShared(t.Context(), ex, executor.SharedID{1}, value)
	if err != nil {
		t.Fatal(err)
	}
	stored.Release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = executor.Relay(ctx, ex, executor.Call{Name: "cluster_test.greet", Arg: value, Shared: []*executor.Stored{stored}}).Result(ctx)
	if err == nil || !strings.Contains(err.Error(), "was released") {
		t.Errorf("the result is %v, want an error that says that the value was released", err)
	}
}
