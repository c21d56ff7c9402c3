package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
)

// subscribed waits until n Submits wait for sent calls.
func subscribed(t *testing.T, ex *cluster.Executor, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ex.Subscribers() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d Submits wait for sent calls, want %d", ex.Subscribers(), n)
		}
	}
}

// canceled checks that a Submit settles as canceled, and not with ErrLost.
func canceled(t *testing.T, fut *concert.Future[string]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got, err := fut.Result(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, cluster.ErrLost) {
		t.Errorf("the result is %q, %v, want Canceled", got, err)
	}
}

// isSettled reports whether a Submit has settled.
func isSettled(fut *concert.Future[string]) bool {
	select {
	case <-fut.Done():
		return true
	default:
		return false
	}
}

// watched records the events of a client's executor.
type watched struct {
	mu     sync.Mutex
	events []concert.Event
}

func (w *watched) observe(e concert.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// await waits until n tasks have an event of a kind.
func (w *watched) await(t *testing.T, kind concert.EventKind, n int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		tasks := map[uint64]bool{}
		w.mu.Lock()
		for _, e := range w.events {
			if e.Kind == kind {
				tasks[e.Task] = true
			}
		}
		w.mu.Unlock()
		if len(tasks) == n {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d tasks have an event %v, want %d", len(tasks), kind, n)
		}
	}
}

// reporting reports its progress every 10 ms until the test closes its hold.
var reporting = concert.Register("cluster_test.reporting", func(ctx context.Context, name string) (string, error) {
	c, _ := holding.Load(name)
	h := c.(*hold)
	h.began <- struct{}{}
	for n := int64(1); ; n++ {
		select {
		case <-h.let:
			return name, nil
		case <-time.After(10 * time.Millisecond):
			concert.Progress(ctx, n, 0)
		}
	}
})

// TestSameID_OneCall: Submits with the same id must be one call. Each Submit
// must start, receive the progress, and settle with the outcome, even if it was
// submitted while the call ran.
func TestSameID_OneCall(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	serve(t, access, 4)
	var w watched
	ex, err := cluster.Dial(t.Context(), "", &cluster.Options{Access: access, Observer: w.observe})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), name)
	var all []*concert.Future[string]
	for i := range 4 {
		all = append(all, concert.Submit(id, ex, reporting, name))
		if i == 0 {
			<-h.began
			w.await(t, concert.TaskStarted, 1)
		}
	}
	tried, ok := concert.TrySubmit(id, ex, reporting, name)
	if !ok {
		t.Fatal("the queue is full")
	}
	all = append(all, tried)
	w.await(t, concert.TaskStarted, 5)
	w.await(t, concert.TaskProgress, 5)
	close(h.let)
	for _, f := range all {
		settles(t, f, name)
	}
	w.await(t, concert.TaskFinished, 5)
	if n := ex.Sent(); n != 1 {
		t.Errorf("there were %d calls, want 1", n)
	}
	if n := len(h.began); n > 0 {
		t.Errorf("the function ran again, %d times", n)
	}
	drained(t, ex)
}

// TestSameID_OneCanceled: if one of two Submits of a call is canceled, this
// Submit must settle at once, and neither the other Submit nor the function may
// be canceled. The cases cancel the first or the second Submit, by Cancel or by
// its context, in each state of the call.
func TestSameID_OneCanceled(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"before it is sent", "before it runs", "while it runs", "between attempts"} {
		for _, first := range []bool{true, false} {
			for _, byContext := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/first=%v/context=%v", state, first, byContext), func(t *testing.T) {
					t.Parallel()
					s := embedded(t, "")
					way, work := &network{to: s}, &network{to: s}
					ex := dial(t, cluster.Access{InProcess: way})
					serve(t, cluster.Access{InProcess: work}, 4)
					settles(t, concert.Submit(t.Context(), ex, greet, "x"), "x") // after that, the client has the list of the worker's functions
					drained(t, ex)
					name, h := newHold(t)
					id := cluster.WithID(t.Context(), name)
					fn := held
					let := func() { close(h.let) }
					switch state {
					case "before it is sent":
						way.cut()
						let = func() { way.heal(s); close(h.let) }
					case "before it runs":
						work.cut()
						let = func() { work.heal(s); close(h.let) }
					case "between attempts":
						id = cluster.WithRetry(id, &concert.RetryOptions{Attempts: 2, Delay: 2 * time.Second})
						fn = failing
						let = func() { close(h.let) }
					}
					leaving, cancel := context.WithCancel(id)
					defer cancel()
					ctxs := []context.Context{id, leaving}
					if first {
						slices.Reverse(ctxs)
					}
					futures := []*concert.Future[string]{concert.Submit(ctxs[0], ex, fn, name)}
					if state == "before it runs" {
						untilQueued(ex, 1)
					}
					if state == "while it runs" || state == "between attempts" {
						<-h.began
					}
					futures = append(futures, concert.Submit(ctxs[1], ex, fn, name))
					subscribed(t, ex, 2)
					if first {
						slices.Reverse(futures)
					}
					if byContext {
						cancel()
					} else {
						futures[1].Cancel()
					}
					canceled(t, futures[1])
					if isSettled(futures[0]) {
						t.Error("the other Submit has settled")
					}
					let()
					settles(t, futures[0], name)
					if n := h.canceled.Load(); n != 0 {
						t.Errorf("the function was canceled %d times", n)
					}
				})
			}
		}
	}
}

// TestSameID_NoFreeSlots: if the workers have no free slots, a Submit must
// still join a call with its id. Then the function must continue when the first
// Submit is canceled.
func TestSameID_NoFreeSlots(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 1)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), name)
	var all []*concert.Future[string]
	for range 3 {
		all = append(all, concert.Submit(id, ex, held, name))
	}
	subscribed(t, ex, 3)
	<-h.began
	all = append(all, concert.Submit(id, ex, held, name))
	subscribed(t, ex, 4)
	all[0].Cancel()
	canceled(t, all[0])
	close(h.let)
	for _, f := range all[1:] {
		settles(t, f, name)
	}
	if n := h.canceled.Load(); n != 0 {
		t.Errorf("the function was canceled %d times", n)
	}
	if n := ex.WaitingIDs(); n != 0 {
		t.Errorf("%d Submits with ids are still recorded as queued, want 0", n)
	}
}

// failing returns an error at its first call. At later calls, it waits until
// the test closes its hold.
var failing = concert.Register("cluster_test.failing", func(ctx context.Context, name string) (string, error) {
	c, _ := holding.Load(name)
	h := c.(*hold)
	if h.failed.CompareAndSwap(false, true) {
		h.began <- struct{}{}
		return "", errFussy
	}
	select {
	case <-h.let:
		return name, nil
	case <-ctx.Done():
		h.canceled.Add(1)
		return "", context.Cause(ctx)
	}
})

// TestSameID_AllCanceled: if all Submits of a call are canceled, the function
// must be canceled.
func TestSameID_AllCanceled(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 2)
	name, h := newHold(t)
	for range 5 {
		ctx, cancel := context.WithCancel(cluster.WithID(t.Context(), name))
		both := []*concert.Future[string]{concert.Submit(ctx, ex, held, name)}
		<-h.began
		both = append(both, concert.Submit(ctx, ex, held, name))
		subscribed(t, ex, 2)
		cancel()
		for _, f := range both {
			canceled(t, f)
		}
		drained(t, ex)
	}
	if n := h.canceled.Load(); n != 5 {
		t.Errorf("the function was canceled %d times, want 5", n)
	}
}

// TestSameID_CanceledNotKept: if a task with an id is canceled while it runs,
// or its deadline passes, its outcome must not be kept. When the task is
// submitted again, it must run.
func TestSameID_CanceledNotKept(t *testing.T) {
	t.Parallel()
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 2)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), "stopped")
	for _, end := range []func(context.Context) (context.Context, context.CancelFunc){
		context.WithCancel,
		func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 2*time.Second)
		},
	} {
		ctx, cancel := end(id)
		fut := concert.Submit(ctx, ex, held, name)
		select {
		case <-h.began:
		case <-fut.Done():
			_, err := fut.Result(t.Context())
			t.Fatalf("the call ended before its function began: %v", err)
		}
		if _, hasDeadline := ctx.Deadline(); !hasDeadline {
			cancel()
		}
		if _, err := fut.Result(t.Context()); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		cancel()
	}
	again := concert.Submit(id, ex, held, name)
	<-h.began
	close(h.let)
	settles(t, again, name)
	drained(t, ex)
}

// TestSameID_JoinsCanceled: if a Submit finds a canceled call with its id,
// the Submit must not settle with the outcome of this call, even if the
// cancellation has not arrived yet.
func TestSameID_JoinsCanceled(t *testing.T) {
	s := embedded(t, "")
	work := &network{to: s}
	ex := dial(t, cluster.Access{InProcess: s})
	serve(t, cluster.Access{InProcess: work}, 4)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), name)
	before := concert.Submit(id, ex, held, name)
	<-h.began
	work.cut()
	before.Cancel()
	for ex.Canceled() != 1 {
		time.Sleep(time.Millisecond)
	}
	after := concert.Submit(id, ex, held, name)
	canceled(t, before)
	untilQueued(ex, 1)
	if isSettled(after) {
		t.Error("the Submit has settled with the canceled call")
	}
	work.heal(s)
	<-h.began
	close(h.let)
	settles(t, after, name)
	if n := h.canceled.Load(); n != 1 {
		t.Errorf("the function was canceled %d times, want 1", n)
	}
}

// TestSameID_Deadlines: if the deadline of one Submit of a call passes, another
// Submit with a later deadline must not end.
func TestSameID_Deadlines(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		first  time.Duration // 0 for no deadline
		second time.Duration
		runs   int
	}{
		{"the first has one", 2 * time.Second, 0, 2},
		{"the first has the earlier one", 2 * time.Second, time.Hour, 2},
		{"the second has one", 0, 2 * time.Second, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			access := cluster.Access{InProcess: embedded(t, "")}
			ex := dial(t, access)
			serve(t, access, 4)
			// The client must have the list of the worker's functions before
			// the deadlines begin.
			if _, err := concert.Submit(t.Context(), ex, reverse, []byte("first")).Result(t.Context()); err != nil {
				t.Fatal(err)
			}
			name, h := newHold(t)
			submit := func(d time.Duration) *concert.Future[string] {
				ctx := cluster.WithID(t.Context(), name)
				if d > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, d)
					t.Cleanup(cancel)
				}
				return concert.Submit(ctx, ex, held, name)
			}
			short, long := submit(row.first), (*concert.Future[string])(nil)
			select {
			case <-h.began:
			case <-short.Done():
				t.Fatal("the first task ended before it began")
			}
			long = submit(row.second)
			if row.first == 0 {
				short, long = long, short
			}
			if got, err := short.Result(t.Context()); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, cluster.ErrLost) {
				t.Errorf("the result is %q, %v, want DeadlineExceeded", got, err)
			}
			if row.runs == 2 {
				<-h.began // the function was stopped, and runs again for the Submit with the later deadline
			}
			close(h.let)
			settles(t, long, name)
			if n := int(h.canceled.Load()); n != row.runs-1 {
				t.Errorf("the function was stopped %d times, want %d", n, row.runs-1)
			}
			drained(t, ex)
		})
	}
}

// TestSameID_Maps: inputs of two Maps with the same id and the same index
// must share a call. If the loop of one Map ends early, the shared calls
// must not be canceled. A Submit with the same id must have its own call.
func TestSameID_Maps(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 3)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), name)
	collect := func(ctx context.Context) *concert.Future[[]string] {
		return concert.Go(ctx, func(ctx context.Context) (all []string, err error) {
			for got, err := range concert.Map(ctx, ex, held, slices.Values([]string{name, name})) {
				if err != nil {
					return nil, err
				}
				all = append(all, got)
			}
			return all, nil
		})
	}
	leaving, leave := context.WithCancel(id)
	one, other := collect(leaving), collect(id)
	<-h.began
	<-h.began
	subscribed(t, ex, 4) // wait before the Submit uses the last slot, because then no input of a Map can join the calls
	single := concert.Submit(id, ex, held, name)
	<-h.began
	subscribed(t, ex, 5)
	if n := ex.Sent(); n != 3 {
		t.Errorf("there are %d calls, want 3", n)
	}
	leave()
	if _, err := one.Result(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("the Map that was canceled: %v", err)
	}
	subscribed(t, ex, 3)
	close(h.let)
	if got, err := other.Result(t.Context()); err != nil || !slices.Equal(got, []string{name, name}) {
		t.Errorf("the other Map: %q, %v", got, err)
	}
	settles(t, single, name)
	if n := h.canceled.Load(); n != 0 {
		t.Errorf("the function was canceled %d times", n)
	}
	drained(t, ex)
}

// TestSameID_Labels: if Submits of one call have different labels, the error of
// each Submit must have the label of this Submit.
func TestSameID_Labels(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 4)
	name := t.Name() + time.Now().String() // a new name in each run, because the worker counts the attempts of a name
	id := cluster.WithID(t.Context(), name)
	labels := []string{"one", "two", ""}
	var all []*concert.Future[int]
	for _, label := range labels {
		ctx := id
		if label != "" {
			ctx = concert.WithLabel(id, label)
		}
		all = append(all, concert.Submit(ctx, ex, fussy, trial{name, 1}))
	}
	for i, f := range all {
		_, err := f.Result(t.Context())
		label := ""
		if in := concert.InputOf(err); in != nil {
			label = in.Label
		}
		if !errors.Is(err, errFussy) || label != labels[i] {
			t.Errorf("the error %v has the label %q, want %q", err, label, labels[i])
		}
	}
}

// TestSameID_LargeArgument: if a Submit is canceled while its large argument is
// uploaded, this Submit must settle at once, and the argument of the other
// Submit must be uploaded.
func TestSameID_LargeArgument(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	ex := dial(t, access)
	serve(t, access, 4)
	settles(t, concert.Submit(t.Context(), ex, greet, "x"), "x")
	drained(t, ex)
	_, js := raw(t, s)
	if err := js.DeleteStream(t.Context(), wire.BlobStream); err != nil {
		t.Fatal(err)
	}
	id := cluster.WithID(t.Context(), t.Name())
	one, other := bytes.Repeat([]byte("one"), 200_000), bytes.Repeat([]byte("two"), 200_000)
	first := concert.Submit(id, ex, reverse, one)
	subscribed(t, ex, 1)
	second := concert.Submit(id, ex, reverse, other)
	subscribed(t, ex, 2)
	for ex.Uploading() != 1 {
		time.Sleep(time.Millisecond)
	}
	first.Cancel()
	if _, err := first.Result(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("the result is %v, want Canceled", err)
	}
	if err := cluster.Setup(t.Context(), "", 1, &access); err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(other)
	slices.Reverse(want)
	if got, err := second.Result(t.Context()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the result is %.10q, %v, want %.10q", got, err, want)
	}
	drained(t, ex)
}

// TestSameID_Shutdown: Shutdown must cancel all Submits of a call, and must
// count the Submits that had not started.
func TestSameID_Shutdown(t *testing.T) {
	s := embedded(t, "")
	serve(t, cluster.Access{InProcess: s}, 4)
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			way := &network{to: s}
			ex := dial(t, cluster.Access{InProcess: way})
			settles(t, concert.Submit(t.Context(), ex, greet, "x"), "x") // after that, the client has the list of the worker's functions
			name, h := newHold(t)
			id := cluster.WithID(t.Context(), name)
			if !running {
				way.cut()
			}
			var all []*concert.Future[string]
			for i := range 3 {
				all = append(all, concert.Submit(id, ex, held, name))
				subscribed(t, ex, i+1)
				if running && i == 0 {
					<-h.began
				}
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			err := ex.Shutdown(ended)
			way.heal(s)
			want := 0
			if !running {
				want = 3
			}
			var failure *concert.ShutdownError
			if !errors.As(err, &failure) || failure.Canceled != want || len(failure.Running) > 0 {
				t.Errorf("Shutdown() = %v, want %d Submits that had not started, and no running one", err, want)
			}
			for _, f := range all {
				if !isSettled(f) {
					t.Error("a Submit has not settled")
				}
				canceled(t, f)
			}
		})
	}
}

// TestSameID_OtherSession: if a task waits for a long time for the task of
// another session with the same id, this wait must not count as a loss of
// workers.
func TestSameID_OtherSession(t *testing.T) {
	t.Parallel()
	access := cluster.ShortLease(cluster.Access{InProcess: embedded(t, "")}, 300*time.Millisecond)
	serve(t, access, 2)
	one, other := dial(t, access), dial(t, access)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), "long")
	first := concert.Submit(id, one, held, name)
	<-h.began
	second := concert.Submit(id, other, held, name)
	for n := uint64(0); n < 2; n, _ = one.Stored(t) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(3 * time.Second) // ten leases
	close(h.let)
	for _, f := range []*concert.Future[string]{first, second} {
		settles(t, f, name)
	}
	drained(t, one)
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if n, err := in.Dead(t.Context()); n != 0 || err != nil {
		t.Errorf("%d dead letters, %v", n, err)
	}
}

// TestSameID_OtherSessionCanceled: if a task is canceled while it waits for the
// task of another session with the same id, the canceled task must settle at
// once, and not with ErrLost.
func TestSameID_OtherSessionCanceled(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	serve(t, access, 2)
	one, other := dial(t, access), dial(t, access)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), name)
	first := concert.Submit(id, one, held, name)
	<-h.began
	second := concert.Submit(id, other, held, name)
	untilQueued(other, 1)
	second.Cancel()
	canceled(t, second)
	close(h.let)
	settles(t, first, name)
	if n := h.canceled.Load(); n != 0 {
		t.Errorf("the function was canceled %d times", n)
	}
	drained(t, one)
}

// TestSameID_Random: two programs of one client submit tasks with a few ids at
// random times, and cancel some of them. Each task that was not canceled must
// have the result of its id. A canceled task must have the result or the error
// of its cancellation. At the end, the servers must store no tasks and no
// results.
func TestSameID_Random(t *testing.T) {
	t.Parallel()
	access := cluster.Access{InProcess: embedded(t, "")}
	programs := []*cluster.Executor{dial(t, access), dial(t, access)}
	serve(t, access, 4)
	serve(t, access, 4)
	t.Run("ids", func(t *testing.T) {
		for id := range 8 {
			t.Run(fmt.Sprint(id), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(uint64(id), 7))
				name, h := newHold(t)
				done := make(chan struct{})
				defer close(done)
				go func() { // empties the channel of the hold, because its buffer is limited
					for {
						select {
						case <-h.began:
						case <-done:
							return
						}
					}
				}()
				ctx := cluster.WithID(t.Context(), name)
				var waiting sync.WaitGroup
				for i := range 60 {
					mine, cancel := context.WithCancel(ctx)
					fut := concert.Submit(mine, programs[rng.IntN(2)], held, name)
					cancels := rng.IntN(4) > 0 && i < 59
					pause := time.Duration(rng.IntN(30)) * time.Millisecond
					waiting.Go(func() {
						defer cancel()
						if cancels {
							time.Sleep(pause)
							cancel()
						}
						got, err := fut.Result(t.Context())
						switch {
						case err == nil && got == name:
						case cancels && errors.Is(err, context.Canceled) && !errors.Is(err, cluster.ErrLost):
						default:
							t.Errorf("Submit %d, canceled %v: %q, %v", i, cancels, got, err)
						}
					})
					time.Sleep(time.Duration(rng.IntN(8)) * time.Millisecond)
					if i == 40 {
						close(h.let)
					}
				}
				waiting.Wait()
			})
		}
	})
	drained(t, programs[0])
}
