package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
	"concert/goroutines"
)

// network connects to a server in this process. A test can cut its connections.
type network struct {
	mu    sync.Mutex
	to    *server.Server // guarded by mu: nil while the network is cut
	conns []net.Conn     // guarded by mu
}

func (n *network) InProcessConn() (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.to == nil {
		return nil, errors.New("the network is cut")
	}
	c, err := n.to.InProcessConn()
	if err == nil {
		n.conns = append(n.conns, c)
	}
	return c, err
}

func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to = nil
	for _, c := range n.conns {
		c.Close()
	}
	n.conns = nil
}

func (n *network) heal(s *server.Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to = s
}

// embedded returns a server in this process. The server is closed when the test
// ends.
func embedded(t *testing.T, dir string) *server.Server {
	t.Helper()
	s, err := server.New(&server.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// dial returns a client that is closed when the test ends.
func dial(t *testing.T, access cluster.Access) *cluster.Executor {
	t.Helper()
	ex, err := cluster.Dial(t.Context(), "", &cluster.Options{Access: access, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	return ex
}

// serve starts a worker. The worker ends when the test ends, or when stop is
// called.
func serve(t *testing.T, access cluster.Access, places int) (stop func()) {
	t.Helper()
	return serveOn(t, access, goroutines.New(places, nil))
}

// serveOn starts a worker that runs tasks on a pool. The pool is closed when
// the worker has ended.
func serveOn(t *testing.T, access cluster.Access, pool concert.Executor) (stop func()) {
	t.Helper()
	return serveWith(t, &cluster.ServeOptions{Access: access, Notice: func(string) {}}, pool)
}

// serveWith does the same as serveOn, for a worker with the given options.
func serveWith(t *testing.T, opts *cluster.ServeOptions, pool concert.Executor) (stop func()) {
	t.Helper()
	cluster.ShortPulls(opts, 100*time.Millisecond, 200*time.Millisecond) // a test often ends when its worker has drained
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := cluster.Serve(ctx, "", pool, opts); err != nil {
			panic(err) // otherwise callers that wait for a worker would wait forever
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		serving.Wait()
		pool.Close()
	})
	t.Cleanup(stop)
	return stop
}

var (
	runs  sync.Map // number of runs of count, by argument
	count = concert.Register("cluster_test.count", func(_ context.Context, n int) (int, error) {
		runs.LoadOrStore(n, new(atomic.Int64))
		v, _ := runs.Load(n)
		v.(*atomic.Int64).Add(1)
		return n * n, nil
	})

	holding sync.Map // *hold, by name
	held    = concert.Register("cluster_test.held", func(ctx context.Context, name string) (string, error) {
		c, _ := holding.Load(name)
		h := c.(*hold)
		h.began <- struct{}{}
		select {
		case <-h.let:
			return name, nil
		case <-ctx.Done():
			h.canceled.Add(1)
			return "", context.Cause(ctx)
		}
	})

	reverse = concert.Register("cluster_test.reverse", func(_ context.Context, b []byte) ([]byte, error) {
		b = slices.Clone(b)
		slices.Reverse(b)
		return b, nil
	})
)

// hold controls the tasks of the function held whose argument is the name of
// the hold. Each of these tasks sends an element to the channel began. Then
// it blocks until it receives an element from the channel let.
type hold struct {
	began    chan struct{}
	let      chan struct{}
	canceled atomic.Int64
	failed   atomic.Bool
}

func newHold(t *testing.T) (name string, h *hold) { return t.Name(), holdOf(t.Name()) }

// holdOf makes a hold, and stores it in holding under its name.
func holdOf(name string) *hold {
	h := &hold{began: make(chan struct{}, 100), let: make(chan struct{})}
	holding.Store(name, h)
	return h
}

// TestSubmit_NoWorker: if no worker offers the function of a task, Notice must
// be called, and the task must run when a worker starts. A task that is
// canceled in the meantime must not run.
func TestSubmit_NoWorker(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	notices := make(chan string, 10)
	ex, err := cluster.Dial(t.Context(), "", &cluster.Options{Access: cluster.Access{InProcess: s}, Notice: func(s string) { notices <- s }})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	fut := concert.Submit(t.Context(), ex, count, 1_000_001)
	if got := <-notices; got != "no worker offers the function cluster_test.count: its tasks wait until a worker offers it" {
		t.Errorf("notice %q", got)
	}
	gone := concert.Submit(t.Context(), ex, count, 1_000_002)
	if !gone.Cancel() {
		t.Error("a task that waits in this process cannot be canceled")
	}
	serve(t, cluster.Access{InProcess: s}, 1)
	if n, err := fut.Result(t.Context()); n != 1_000_001*1_000_001 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, ran := runs.Load(1_000_002); ran {
		t.Error("the canceled task ran")
	}
}

// TestClose_QueuedTaskExpires: if the context of a task ends while no worker
// offers its function, the task must be dropped, and Close must not wait for
// it.
func TestClose_QueuedTaskExpires(t *testing.T) {
	ex := dial(t, cluster.Access{InProcess: embedded(t, "")})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	why := errors.New("no longer needed")
	other, stop := context.WithCancelCause(t.Context())
	late, unwanted := concert.Submit(ctx, ex, count, 5_000_001), concert.Submit(other, ex, count, 5_000_002)
	stop(why)
	if _, err := late.Result(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := unwanted.Result(t.Context()); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	for _, err := range concert.Map(ctx, ex, count, slices.Values([]int{1, 2, 3})) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	}
	ex.Close()
}

// TestServe_WorkerCutOff: if a worker loses its connection, its task must run
// on another worker. When the first worker reconnects and publishes its result,
// no task and no result may remain on the servers.
func TestServe_WorkerCutOff(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	lost := &network{to: s}
	direct := cluster.ShortLease(cluster.Access{InProcess: s}, 600*time.Millisecond)
	ex := dial(t, direct)
	name, h := newHold(t)
	serve(t, cluster.ShortLease(cluster.Access{InProcess: lost}, 600*time.Millisecond), 1)
	fut := concert.Submit(t.Context(), ex, held, name)
	<-h.began
	lost.cut()
	serve(t, direct, 1)
	<-h.began // the task runs again, on the other worker
	close(h.let)
	if got, err := fut.Result(t.Context()); got != name || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	lost.heal(s) // the first worker publishes its result now
	drained(t, ex)
}

// drained waits until the servers hold no tasks and no results. An
// acknowledgment can be lost with its connection. Then the servers deliver the
// task again when its lease ends, and the worker acknowledges it again. So
// drained fails only if nothing changes for two leases.
func drained(t *testing.T, ex *cluster.Executor) {
	t.Helper()
	var last [2]uint64
	for changed := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		tasks, results := ex.Stored(t)
		if tasks == 0 && results == 0 {
			return
		}
		if now := [2]uint64{tasks, results}; now != last {
			last, changed = now, time.Now()
		}
		if time.Since(changed) > 2*wire.Lease {
			t.Fatalf("the servers still hold %d tasks and %d results", tasks, results)
		}
	}
}

// closedContext is a context of a type that the program defines. Its method Err
// panics after the channel of Done was closed.
type closedContext struct {
	context.Context
	done chan struct{}
}

// Done returns the channel of this type.
func (c closedContext) Done() <-chan struct{} { return c.done }

// Err panics after the channel of Done was closed.
func (c closedContext) Err() error {
	select {
	case <-c.done:
		panic("a method of the context")
	default:
		return nil
	}
}

// TestServe_ContextPanics: if a method of the context of Serve panics when the
// context ends, the program must continue, and Serve must return.
func TestServe_ContextPanics(t *testing.T) {
	t.Parallel()
	ctx := closedContext{context.Background(), make(chan struct{})}
	pool := goroutines.New(1, nil)
	defer pool.Close()
	ready := make(chan struct{})
	served := make(chan error, 1)
	access := cluster.Access{InProcess: embedded(t, "")}
	go func() {
		served <- cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access, Ready: func() { close(ready) }})
	}()
	<-ready
	close(ctx.done)
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v", err)
	}
}

// TestServe_Drains: if workers start and stop while tasks run, each task must
// run once, and no result may be lost.
func TestServe_Drains(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex := dial(t, access)
	const tasks = 3000
	stop := serve(t, access, 4)
	n := 0
	for got, err := range concert.Map(t.Context(), ex, count, func(yield func(int) bool) {
		for i := range tasks {
			if !yield(i) {
				return
			}
		}
	}) {
		if err != nil || got != n*n {
			t.Fatalf("result %d: %d, %v", n, got, err)
		}
		if n++; n%500 == 0 {
			next := serve(t, access, 4)
			stop()
			stop = next
		}
	}
	for i := range tasks {
		v, _ := runs.Load(i)
		if got := v.(*atomic.Int64).Load(); got != 1 {
			t.Errorf("task %d ran %d times", i, got)
		}
	}
	drained(t, ex)
}

// TestServer_Restarts: if the server is closed and started again with its data,
// all tasks must return their results.
func TestServer_Restarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := embedded(t, dir)
	n := &network{to: s}
	access := cluster.ShortLease(cluster.Access{InProcess: n}, 3*time.Second) // if the server is closed while it sends a task, the task waits for a lease
	ex := dial(t, access)
	stop := serve(t, access, 2)
	results := 0
	for got, err := range concert.Map(t.Context(), ex, reverse, func(yield func([]byte) bool) {
		for i := range 400 {
			if !yield(fmt.Append(nil, i, "!")) {
				return
			}
		}
	}) {
		if want := fmt.Append(nil, results, "!"); err != nil || len(got) != len(want) || got[0] != '!' {
			t.Fatalf("result %d: %q, %v", results, got, err)
		}
		if results++; results == 100 {
			n.cut()
			s.Close()
			s = embedded(t, dir)
			n.heal(s)
		}
	}
	if results != 400 {
		t.Errorf("%d results", results)
	}
	drained(t, ex)
	stop()
	ex.Close()
	s.Close()
}

// TestLargeValue_ServersAway: if the servers cannot be reached, large arguments
// and results must be stored when the connection is restored. A task that is
// canceled in the meantime must settle at once, because no worker has it.
func TestLargeValue_ServersAway(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	client, work := &network{to: s}, &network{to: s}
	ex := dial(t, cluster.Access{InProcess: client})
	serve(t, cluster.Access{InProcess: work}, 2)
	if _, err := concert.Submit(t.Context(), ex, reverse, []byte("small")).Result(t.Context()); err != nil { // after that, the client has the list of the worker's functions
		t.Fatal(err)
	}
	name, h := newHold(t)
	large := strings.Repeat("large", 1<<18)
	holding.Store(large, h)

	client.cut()
	stays, leaves := concert.Submit(t.Context(), ex, held, large), concert.Submit(t.Context(), ex, held, name+large)
	for ex.Sent() < 3 {
		time.Sleep(time.Millisecond)
	}
	leaves.Cancel()
	if _, err := leaves.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) || errors.Is(err, cluster.ErrLost) {
		t.Errorf("%v, want ErrCanceled, and not ErrLost", err)
	}
	client.heal(s)
	<-h.began
	work.cut()
	close(h.let)
	time.AfterFunc(100*time.Millisecond, func() { work.heal(s) })
	if got, err := stays.Result(t.Context()); got != large || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	select {
	case <-h.began:
		t.Error("the task ran again")
	default:
	}
	drained(t, ex)
}

// TestCancel_RunningTask: if a task is canceled, or its context ends, the
// context of its function in the worker must end.
func TestCancel_RunningTask(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex := dial(t, access)
	serve(t, access, 3)
	name, h := newHold(t)
	one := concert.Submit(t.Context(), ex, held, name)
	ctx, cancel := context.WithCancel(t.Context())
	two := concert.Submit(ctx, ex, held, name)
	late, over := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer over()
	three := concert.Submit(late, ex, held, name)
	for range 3 {
		<-h.began
	}
	one.Cancel()
	cancel()
	for _, f := range []*concert.Future[string]{one, two} {
		if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	if _, err := three.Result(t.Context()); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n := h.canceled.Load(); n != 3 {
		t.Errorf("the context of %d functions has ended, want 3", n)
	}
}

// TestCancel_ServersUnreachable: if a task is canceled while no server can be
// reached, it must settle with ErrLost.
func TestCancel_ServersUnreachable(t *testing.T) {
	s := embedded(t, "")
	n := &network{to: s}
	ex, err := cluster.Dial(t.Context(), "", &cluster.Options{Access: cluster.Access{InProcess: n}, Grace: 50 * time.Millisecond, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	name, h := newHold(t)
	serve(t, cluster.Access{InProcess: s}, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	fut := concert.Submit(ctx, ex, held, name)
	<-h.began
	n.cut()
	why := errors.New("not interested")
	cancel(why)
	if _, err := fut.Result(t.Context()); !errors.Is(err, cluster.ErrLost) || !strings.Contains(err.Error(), why.Error()) {
		t.Errorf("%v", err)
	}
	close(h.let)
	n.heal(s)
	ex.Close()
}

// TestLargeValue_Parts: values that do not fit into a message must arrive
// unchanged. At the end, no part of these values may remain on the servers.
func TestLargeValue_Parts(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex := dial(t, access)
	serve(t, access, 2)
	inputs := [][]byte{make([]byte, 3<<20), {1, 2, 3}, make([]byte, 256<<10+1), make([]byte, 256<<10)}
	for _, b := range inputs {
		for i := range b {
			b[i] = byte(i * 7)
		}
	}
	i := 0
	for got, err := range concert.Map(t.Context(), ex, reverse, slices.Values(inputs)) {
		want := slices.Clone(inputs[i])
		slices.Reverse(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("input %d: %d bytes, %v", i, len(got), err)
		}
		i++
	}
	drained(t, ex)
	for begin := time.Now(); ex.Loads(t) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%d parts remain, want 0", ex.Loads(t))
		}
	}
}

// TestWithID_RunsOnce: if a task has run with an id, the task must not run
// again when the same or another program of the client submits it with this id.
func TestWithID_RunsOnce(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 2)
	first := dial(t, access)
	id := cluster.WithID(t.Context(), "the only one")
	both := []*concert.Future[int]{concert.Submit(id, first, count, 2_000_001), concert.Submit(id, first, count, 2_000_001)}
	for _, f := range both {
		if n, err := f.Result(t.Context()); n != 2_000_001*2_000_001 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	second := dial(t, access) // like a program that starts again after a crash
	if n, err := concert.Submit(id, second, count, 2_000_002).Result(t.Context()); n != 2_000_001*2_000_001 || err != nil {
		t.Errorf("%d, %v; want the outcome of the first run", n, err)
	}
	if _, ran := runs.Load(2_000_002); ran {
		t.Error("the task of the second program ran")
	}
	v, _ := runs.Load(2_000_001)
	if n := v.(*atomic.Int64).Load(); n != 1 {
		t.Errorf("the task ran %d times, want once", n)
	}
	// Each input of a Map must have its own id.
	for range 2 {
		i := 0
		for n, err := range concert.Map(id, second, count, slices.Values([]int{2_000_010, 2_000_011})) {
			if want := 2_000_010 + i; n != want*want || err != nil {
				t.Errorf("input %d: %d, %v", i, n, err)
			}
			i++
		}
	}
	// If a task with an id is canceled while it runs, it must settle as
	// canceled.
	name, h := newHold(t)
	ctx, cancel := context.WithCancel(cluster.WithID(t.Context(), "another one"))
	gone := concert.Submit(ctx, first, held, name)
	<-h.began
	cancel()
	if _, err := gone.Result(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	drained(t, first)
}

// TestServe_ReplacedByOtherProgram: if all workers with the capability set of a
// task are lost, the task must go to workers of another program that offers the
// function of the task.
func TestServe_ReplacedByOtherProgram(t *testing.T) {
	s := embedded(t, "")
	ex := dial(t, cluster.ShortSilence(cluster.Access{InProcess: s}, 100*time.Millisecond))
	lost := &network{to: s}
	serve(t, cluster.ShortSilence(cluster.Access{InProcess: lost}, 100*time.Millisecond), 1)
	name, h := newHold(t)
	fut := concert.Submit(t.Context(), ex, held, name)
	<-h.began
	lost.cut()
	concert.Register("cluster_test.anything", func(context.Context, int) (int, error) { return 0, nil }) // so that the next worker has another capability set
	serve(t, cluster.ShortSilence(cluster.Access{InProcess: s}, 100*time.Millisecond), 1)
	<-h.began
	close(h.let)
	if got, err := fut.Result(t.Context()); got != name || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	lost.heal(s)
}

// TestDeadLetter_Replay: if a task loses its worker five times, it must become
// a dead letter. After Replay, the task must run again, and the dead letter
// must be removed.
func TestDeadLetter_Replay(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct := cluster.ShortLease(cluster.Access{InProcess: s}, 300*time.Millisecond)
	ex := dial(t, direct)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), "deadly")
	fut := concert.Submit(id, ex, held, name)
	var lost []*network
	for range 5 {
		n := &network{to: s}
		lost = append(lost, n)
		serve(t, cluster.ShortLease(cluster.Access{InProcess: n}, 300*time.Millisecond), 1)
		<-h.began
		n.cut()
	}
	serve(t, direct, 1)
	if _, err := fut.Result(t.Context()); !errors.Is(err, cluster.ErrDead) {
		t.Errorf("%v, want ErrDead", err)
	}
	in, err := cluster.Inspect(t.Context(), "", &direct)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	letters, err := in.DeadLetters(t.Context(), 0, 10)
	if err != nil || len(letters) != 1 {
		t.Fatalf("%+v, %v; want one", letters, err)
	}
	l := letters[0]
	if l.Function != "cluster_test.held" || l.Client != "anyone" || !strings.Contains(l.Reason, "5 times") || l.At.IsZero() {
		t.Errorf("%+v", l)
	}
	workers := in.Workers()
	if i := slices.IndexFunc(workers, func(w cluster.Worker) bool { return w.ID == l.Worker }); i < 0 || !slices.Contains(workers[i].Functions, "cluster_test.held") {
		t.Errorf("the worker of the dead letter is not among %+v", workers)
	}
	if err := in.Replay(t.Context(), l.Number); err != nil {
		t.Fatal(err)
	}
	<-h.began
	if queues, err := in.Queues(t.Context()); err != nil || len(queues) != 1 || queues[0].Tasks != 1 || queues[0].Client != "anyone" {
		t.Errorf("%+v, %v", queues, err)
	}
	again := concert.Submit(id, ex, held, name) // receives the result of the replayed task
	close(h.let)
	if got, err := again.Result(t.Context()); got != name || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if letters, err := in.DeadLetters(t.Context(), 0, 10); err != nil || len(letters) != 0 {
		t.Errorf("%+v, %v", letters, err)
	}
	if err := in.Replay(t.Context(), l.Number); err == nil || !strings.Contains(err.Error(), "there is no dead letter") {
		t.Errorf("Replay() of a letter that was replayed: %v", err)
	}
	for _, n := range lost {
		n.heal(s)
	}
}

// TestQueue_FairAmongClients: if a client has many tasks of a function, a task
// of another client must run as soon as one of these many tasks has ended.
func TestQueue_FairAmongClients(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 1)
	many, one := dial(t, access), dial(t, access)
	holdAt := func(name string) *hold {
		h := &hold{began: make(chan struct{}, 100), let: make(chan struct{})}
		holding.Store(name, h)
		return h
	}
	first, second := holdAt("many"), holdAt("one")
	var futures []*concert.Future[string]
	for range 5 {
		futures = append(futures, concert.Submit(t.Context(), many, held, "many"))
	}
	<-first.began
	futures = append(futures, concert.Submit(t.Context(), one, held, "one"))
	for tasks := uint64(0); tasks < 2; tasks, _ = one.Stored(t) {
		time.Sleep(time.Millisecond)
	}
	first.let <- struct{}{} // one of the many tasks ends
	select {
	case <-second.began:
	case <-first.began:
		t.Error("another task of the client with many tasks runs first")
	}
	close(first.let)
	close(second.let)
	for _, f := range futures {
		if _, err := f.Result(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestQueue_SlowFunctionGetsSlots: if a client has many quick tasks of one
// function, tasks of another function must still get slots.
func TestQueue_SlowFunctionGetsSlots(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 2)
	ctx, stop := context.WithCancel(t.Context())
	quick := make(chan struct{}, 1)
	done := concert.Go(ctx, func(ctx context.Context) (int, error) {
		n := 0
		for range concert.MapUnordered(ctx, ex, square, upTo(1<<40)) {
			if n++; n == 3000 {
				quick <- struct{}{}
			}
		}
		return n, nil
	})
	<-quick
	name, h := newHold(t)
	close(h.let)
	for range 5 {
		soon, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if got, err := concert.Submit(soon, ex, held, name).Result(soon); got != name || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		cancel()
	}
	stop()
	done.Result(context.Background())
}
