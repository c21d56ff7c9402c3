package executor_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"concert"
	"concert/executor"
)

// handExecutor keeps its tasks, and the test claims their calls.
type handExecutor struct {
	group *executor.WorkerGroup

	// mu guards the fields below while other goroutines may use them. The
	// test reads the fields without mu after synctest.Wait, or if there are
	// no other goroutines.
	mu    sync.Mutex
	tasks []*executor.Task
	kinds []concert.EventKind
}

func newHandExecutor() *handExecutor {
	e := &handExecutor{}
	e.group = executor.NewRemoteGroup(handQueue{e}, executor.Limits{}, func(ev concert.Event) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.kinds = append(e.kinds, ev.Kind)
	})
	return e
}

func (e *handExecutor) Execute(_ context.Context, t *executor.Task) error {
	e.group.Adopt(t)
	e.keep(t)
	return nil
}

func (e *handExecutor) keep(t *executor.Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tasks = append(e.tasks, t)
}

func (*handExecutor) Width() int { return 1 }

func (e *handExecutor) Stats() concert.Stats { return e.group.Stats() }

func (e *handExecutor) Watch(o concert.Observer) func() { return e.group.Watch(o) }

func (*handExecutor) Close() error { return nil }

func (*handExecutor) Shutdown(context.Context) error { return nil }

// handQueue is the queue of a handExecutor.
type handQueue struct{ e *handExecutor }

func (q handQueue) Again(t *executor.Task) { q.e.keep(t) }

// Withdraw returns true: any call can be canceled.
func (handQueue) Withdraw(*executor.Task) bool { return true }

func (handQueue) Dropped() {}

var lengthOf = concert.Register("concert_test.lengthOf", func(_ context.Context, b []byte) (int, error) { return len(b), nil })

// TestBatch_Withdrawn: if a call is canceled after it was claimed, it must not
// start. A later result for this call must change nothing.
func TestBatch_Withdrawn(t *testing.T) {
	ex := newHandExecutor()
	f := concert.Submit(t.Context(), ex, lengthOf, []byte("abc"))
	batch, again := ex.tasks[0].Claim(1, 1<<20)
	if batch == nil || again || len(batch.Args) != 1 {
		t.Fatalf("Claim() = %+v, %v", batch, again)
	}
	if !f.Cancel() {
		t.Error("Cancel() of a call that was claimed = false, want true")
	}
	if batch.Start(0, 3) {
		t.Error("a canceled call starts")
	}
	batch.Settle(0, 3, executor.Encoded{}, errors.New("too late"))
	if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
		t.Errorf("Result() = %v, want ErrCanceled", err)
	}
	if want := []concert.EventKind{concert.TaskSubmitted, concert.TaskFinished}; !slices.Equal(ex.kinds, want) {
		t.Errorf("events %v, want %v", ex.kinds, want)
	}
}

// TestBatch_Map: a Claim of a Map takes at most the given number of calls, and
// stops at the given size of arguments. Each call starts once and settles once.
func TestBatch_Map(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := newHandExecutor()
		_, arg, err := executor.Prepare(lengthOf, make([]byte, 1000))
		if err != nil || len(arg.Bytes) < 1000 {
			t.Fatal(err)
		}
		type outcome struct {
			n   int
			err error
		}
		var got []outcome
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n, err := range concert.Map(t.Context(), ex, lengthOf, slices.Values(slices.Repeat([][]byte{make([]byte, 1000)}, 4))) {
				got = append(got, outcome{n, err})
			}
		}()
		synctest.Wait()
		task := ex.tasks[0]
		bySize, again := task.Claim(100, 1500)
		if bySize == nil || len(bySize.Args) != 2 || !again {
			t.Fatalf("Claim(100, 1500) of arguments of 1000 bytes: %d, %v; want 2, and more to come", len(bySize.Args), again)
		}
		byNumber, again := task.Claim(1, 1<<20)
		if byNumber == nil || len(byNumber.Args) != 1 || !again {
			t.Fatalf("Claim(1, 1 MiB): %d, %v; want 1, and more to come", len(byNumber.Args), again)
		}
		result := func(n int) executor.Encoded {
			_, v, err := executor.Prepare(number, n)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if !bySize.Start(0, 0) || bySize.Start(0, 0) {
			t.Error("a call does not start exactly once")
		}
		bySize.Settle(0, 0, result(10), nil)
		bySize.Settle(0, 0, result(11), nil)
		if bySize.Start(0, 0) {
			t.Error("a call that has settled starts")
		}
		bySize.Settle(1, -1, executor.Encoded{}, errors.New("the second"))
		byNumber.Settle(0, 0, result(12), nil)
		last, _ := task.Claim(10, 1<<20)
		if last == nil || len(last.Args) != 1 {
			t.Fatalf("the last Claim: %+v", last)
		}
		last.Settle(0, 0, result(13), nil)
		<-done
		if len(got) != 4 || got[0].n != 10 || got[1].err == nil || got[2].n != 12 || got[3].n != 13 {
			t.Errorf("results %v", got)
		}
		if in := concert.InputOf(got[1].err); in == nil || in.Index != 1 {
			t.Errorf("the error %v has the Input %+v", got[1].err, in)
		}
	})
}

// TestBatch_SettleList: SettleList does the same as Start and Settle for
// each call, with and without an observer.
func TestBatch_SettleList(t *testing.T) {
	for _, observed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ex := newHandExecutor()
			if !observed {
				ex.group = executor.NewRemoteGroup(handQueue{ex}, executor.Limits{}, nil)
			}
			type outcome struct {
				n      int
				failed bool
			}
			var got []outcome
			done := make(chan struct{})
			go func() {
				defer close(done)
				for n, err := range concert.Map(t.Context(), ex, number, slices.Values(make([]int, 4))) {
					got = append(got, outcome{n, err != nil})
				}
			}()
			synctest.Wait()
			batch, _ := ex.tasks[0].Claim(3, 1<<20)
			if batch == nil || len(batch.Args) != 3 {
				t.Fatalf("Claim: %+v", batch)
			}
			kind := batch.Args[0].Kind
			batch.Start(0, 5)
			batch.Settle(1, 5, executor.Encoded{Kind: kind, Bytes: []byte("\x07\x00\x00\x00\x00\x00\x00\x00")}, nil)
			if !batch.SettleList(0, 5, executor.List{Kind: kind, Bytes: []byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00")}) {
				t.Error("SettleList has not settled the items of a Map")
			}
			synctest.Wait()
			if len(got) != 2 {
				t.Errorf("the consumer has %d results, want 2", len(got))
			}
			if !batch.SettleList(2, 5, executor.List{Kind: kind + 2, Bytes: []byte("\x03\x00\x00\x00\x00\x00\x00\x00")}) { // a float64 instead of an int
				t.Error("SettleList has not settled the items of a Map")
			}
			synctest.Wait()
			if want := []outcome{{1, false}, {7, false}, {0, true}}; !slices.Equal(got, want) {
				t.Errorf("observed: %v: outcomes %v, want %v", observed, got, want)
			}
			last, _ := ex.tasks[len(ex.tasks)-1].Claim(3, 1<<20)
			last.SettleList(0, 5, executor.List{Kind: kind, Bytes: []byte("\x04\x00\x00\x00\x00\x00\x00\x00")})
			<-done
			if len(got) != 4 || got[3] != (outcome{4, false}) {
				t.Errorf("observed: %v: outcomes %v", observed, got)
			}
			started := 0
			for _, kind := range ex.kinds {
				if kind == concert.TaskStarted {
					started++
				}
			}
			if observed && started != 3 { // the test has not started call 1
				t.Errorf("%d events of starts, want 3: %v", started, ex.kinds)
			}
		})
	}
}

// late is an input whose MarshalText waits until its channel is closed.
type late struct {
	name  string
	ready chan struct{}
}

func (l late) MarshalText() ([]byte, error) {
	<-l.ready
	return []byte(l.name), nil
}

func (l *late) UnmarshalText(b []byte) error {
	l.name = string(b)
	return nil
}

var lengthOfLate = concert.Register("concert_test.lengthOfLate", func(_ context.Context, l late) (int, error) { return len(l.name), nil })

// TestBatch_SettleListOutOfOrder: a batch has its items in the order in
// which their arguments were encoded. If a consumer waits for one of the
// settled items, SettleList must wake this consumer, even while other items
// are running.
func TestBatch_SettleListOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := newHandExecutor()
		ex.group = executor.NewRemoteGroup(handQueue{ex}, executor.Limits{}, nil)
		inputs := make([]late, 3)
		for i := range inputs {
			inputs[i] = late{"abc"[:i+1], make(chan struct{})}
		}
		got := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n, err := range concert.Map(t.Context(), ex, lengthOfLate, slices.Values(inputs)) {
				if got++; err != nil || n != got {
					t.Errorf("item %d: %d, %v", got-1, n, err)
				}
			}
		}()
		synctest.Wait()
		last := func() *executor.Task { return ex.tasks[len(ex.tasks)-1] }
		last().Claim(3, 1<<20) // begins to encode the items
		for _, i := range []int{1, 0, 2} {
			close(inputs[i].ready)
			synctest.Wait()
		}
		batch, _ := last().Claim(2, 1<<20)
		rest, _ := last().Claim(2, 1<<20)
		if batch == nil || len(batch.Args) != 2 || batch.Index(0) != 1 || batch.Index(1) != 0 || rest == nil {
			t.Fatalf("Claim: %+v, %+v; want items 1 and 0, and then item 2", batch, rest)
		}
		_, value, err := executor.Prepare(number, 0)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the consumer sleeps
		batch.SettleList(0, 5, executor.List{Kind: value.Kind, Bytes: []byte("\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")})
		synctest.Wait()
		if got != 2 {
			t.Errorf("the consumer has %d results, want 2", got)
		}
		rest.SettleList(0, 5, executor.List{Kind: value.Kind, Bytes: []byte("\x03\x00\x00\x00\x00\x00\x00\x00")})
		<-done
		if got != 3 {
			t.Errorf("the consumer has %d results, want 3", got)
		}
	})
}

// TestMap_DropsEncoded: when the loop of a Map has been left, each item with
// an event TaskSubmitted also has an event TaskFinished. This includes items
// that were encoded and that no worker has claimed since.
func TestMap_DropsEncoded(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	t.Run("too many bytes for a batch", func(t *testing.T) {
		testDropsEncoded(t, lengthOf, [][]byte{[]byte("a"), []byte("b"), []byte("c")})
	})
	t.Run("encoded by methods", func(t *testing.T) {
		testDropsEncoded(t, lengthOfLate, []late{{"a", ready}, {"b", ready}, {"c", ready}})
	})
}

func testDropsEncoded[In any](t *testing.T, f func(context.Context, In) (int, error), inputs []In) {
	synctest.Test(t, func(t *testing.T) {
		ex := newHandExecutor()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range concert.MapUnordered(t.Context(), ex, f, slices.Values(inputs)) {
				break // after the first settled call: items that methods encode are claimed in any order
			}
		}()
		var batch *executor.Batch
		for batch == nil {
			synctest.Wait()
			batch, _ = ex.tasks[len(ex.tasks)-1].Claim(len(inputs), 1) // the size is that of one argument
		}
		batch.Settle(0, -1, executor.Encoded{}, errors.New("one error"))
		<-done
		count := map[concert.EventKind]int{}
		for _, kind := range ex.kinds {
			count[kind]++
		}
		if n := count[concert.TaskSubmitted]; n < 2 || count[concert.TaskFinished] != n {
			t.Errorf("%d calls were submitted, and %d have finished", n, count[concert.TaskFinished])
		}
	})
}

var bytesOf = concert.Register("concert_test.bytesOf", func(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil })

// TestMap_WindowOfLargeValues: if arguments or results are large, a Map takes
// few inputs ahead of the results.
func TestMap_WindowOfLargeValues(t *testing.T) {
	large := make([]byte, 250<<10)
	_, small, err := executor.Prepare(number, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, result, err := executor.Prepare(lengthOf, large)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("arguments", func(t *testing.T) { testWindow(t, lengthOf, large, small) })
	t.Run("results", func(t *testing.T) { testWindow(t, bytesOf, len(large), result) })
}

func testWindow[In, Out any](t *testing.T, f func(context.Context, In) (Out, error), in In, result executor.Encoded) {
	synctest.Test(t, func(t *testing.T) {
		ex := newHandExecutor()
		taken, ended := 0, 0
		inputs := func(yield func(In) bool) {
			for taken = 1; yield(in); taken++ {
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range concert.Map(t.Context(), ex, f, inputs) {
				if ended++; ended == 500 {
					break
				}
			}
		}()
		most := 0
		for synctest.Wait(); ended < 500; synctest.Wait() {
			most = max(most, taken-ended)
			batch, _ := ex.tasks[len(ex.tasks)-1].Claim(1024, 1<<30)
			if batch == nil {
				continue // the items are being encoded
			}
			for i := range batch.Args {
				batch.Settle(i, 0, result, nil)
			}
		}
		<-done
		if most > 150 { // 37 MB
			t.Errorf("the Map took %d inputs ahead of the results", most)
		}
	})
}

var number = concert.Register("concert_test.number", func(_ context.Context, n int) (int, error) { return n, nil })

// sharingExecutor is a handExecutor that stores values.
type sharingExecutor struct {
	*handExecutor
	released int
}

// Share implements executor.Sharer.
func (e *sharingExecutor) Share(context.Context, func(executor.SharedCodec) (executor.Encoded, error)) (*executor.Stored, error) {
	return &executor.Stored{Group: e.group, Release: func() { e.released++ }}, nil
}

var sharedLength = concert.Register("concert_test.sharedLength", func(_ context.Context, s *concert.Shared[[]byte]) (int, error) {
	return len(s.Value()), nil
})

// TestBatch_SharedClosed: a batch of a Submit or of a Map must report that a
// handle in its arguments was closed.
func TestBatch_SharedClosed(t *testing.T) {
	ex := &sharingExecutor{handExecutor: newHandExecutor()}
	share := func() *concert.Shared[[]byte] {
		s, err := concert.Share(t.Context(), ex, make([]byte, 1000))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	check := func(s *concert.Shared[[]byte], b *executor.Batch, calls int) {
		t.Helper()
		if len(b.Args) != calls || len(b.Args[0].Bytes) > 100 {
			t.Errorf("%d calls, the first with %d bytes; want %d calls with references", len(b.Args), len(b.Args[0].Bytes), calls)
		}
		if err := b.SharedClosed(); err != nil {
			t.Errorf("SharedClosed() before Close = %v", err)
		}
		s.Close()
		if err := b.SharedClosed(); err == nil || ex.released == 0 {
			t.Errorf("SharedClosed() after Close = %v; released %d times", err, ex.released)
		}
		for i := range b.Args {
			b.Drop(i, context.Canceled)
		}
	}
	one := share()
	concert.Submit(t.Context(), ex, sharedLength, one)
	b, _ := ex.tasks[0].Claim(1, 1<<20)
	check(one, b, 1)

	synctest.Test(t, func(t *testing.T) {
		many := share()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range concert.Map(t.Context(), ex, sharedLength, slices.Values([]*concert.Shared[[]byte]{many, many})) {
			}
		}()
		synctest.Wait()
		b, _ := ex.tasks[1].Claim(100, 1<<20)
		check(many, b, 2)
		<-done
	})
}
