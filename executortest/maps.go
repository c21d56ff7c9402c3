package executortest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"concert"
)

// counting yields 0, 1, 2 and so on without end, and counts the yielded
// values.
func counting(taken *atomic.Int64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; ; i++ {
			taken.Add(1)
			if !yield(i) {
				return
			}
		}
	}
}

var mapCases = []testCase{
	{"MapOrder", "Map yields results in the order of the inputs; MapUnordered yields each result once", func(s *suite) {
		ex := s.executor(Config{Workers: 3})
		for _, n := range []int{0, 1, 2, 15, 16, 17, 1000, s.many(5000)} {
			inputs := make([]int, n)
			for i := range inputs {
				inputs[i] = i
			}
			i := 0
			for got, err := range concert.Map(s.ctx, ex, square, slices.Values(inputs)) {
				if err != nil || got != i*i {
					s.Fatalf("Map() of %d: result %d = %d, %v; want %d", n, i, got, err, i*i)
				}
				i++
			}
			if i != n {
				s.Fatalf("Map() of %d inputs gave %d results", n, i)
			}
			var all []int
			for got, err := range concert.MapUnordered(s.ctx, ex, square, slices.Values(inputs)) {
				if err != nil {
					s.Fatal(err)
				}
				all = append(all, got)
			}
			slices.Sort(all)
			if len(all) != n || n > 0 && all[n-1] != (n-1)*(n-1) || len(slices.Compact(all)) != n {
				s.Fatalf("MapUnordered() of %d inputs gave %d results, or not each once", n, len(all))
			}
		}
	}},

	{"MapErrors", "a call of a Map that fails affects no other call", func(s *suite) {
		ex := s.executor(Config{})
		hows := []string{"a", "sentinel", "b", "panic", "c", "goexit", "goexit", "d", "error"}
		for _, f := range []func(context.Context, concert.Executor, func(context.Context, string) (string, error), iter.Seq[string]) iter.Seq2[string, error]{
			concert.Map[string, string], concert.MapUnordered[string, string],
		} {
			var ok []string
			kinds := map[string]int{}
			for got, err := range f(s.ctx, ex, fail, slices.Values(hows)) {
				var p *concert.PanicError
				switch {
				case err == nil:
					ok = append(ok, strings.TrimPrefix(got, "no failure: "))
				case errors.Is(err, errOurs):
					kinds["sentinel"]++
				case errors.As(err, &p):
					kinds["panic"]++
				case errors.Is(err, concert.ErrGoexit):
					kinds["goexit"]++
				default:
					kinds["other"]++
				}
			}
			slices.Sort(ok)
			if fmt.Sprint(ok, kinds) != "[a b c d] map[goexit:2 other:1 panic:1 sentinel:1]" {
				s.Errorf("Map() over failing items: %v, %v", ok, kinds)
			}
		}
	}},

	{"MapLazy", "a Map takes only a bounded number of inputs ahead of its results", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		var taken atomic.Int64
		n, all := 0, s.many(50_000)
		for got, err := range concert.Map(s.ctx, ex, square, counting(&taken)) {
			if err != nil || got != n*n {
				s.Fatalf("result %d = %d, %v", n, got, err)
			}
			n++
			if ahead := taken.Load() - int64(n); ahead > 1<<15 {
				s.Fatalf("Map() is %d inputs ahead of the results", ahead)
			}
			if n == all {
				break
			}
		}
		if n != all {
			s.Fatalf("Map() over an endless input ended after %d", n)
		}
		// If calls are slow, the Map must not take inputs far ahead.
		g := s.gate()
		taken.Store(0)
		gates := func(yield func(gate) bool) {
			for n := range counting(&taken) {
				if n == ex.Width() { // the Map has taken one input for each worker
					for g.entered() < 2 && s.ctx.Err() == nil { // s.eventually is not possible here: only the goroutine of the test may call Fatal
						time.Sleep(time.Millisecond)
					}
				}
				if !yield(g) {
					return
				}
			}
		}
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range concert.Map(ctx, ex, hold, gates) {
			}
		})
		s.eventually("two calls are held", func() bool { return g.entered() == 2 })
		s.eventually("Map() takes no more inputs", func() bool {
			before := taken.Load()
			time.Sleep(20 * time.Millisecond)
			return taken.Load() == before
		})
		if n := int(taken.Load()); n > 8*ex.Width() {
			s.Errorf("Map() took %d inputs for 2 workers that are held", n)
		}
		cancel()
		wg.Wait()
	}},

	{"Collect", "Collect returns all results in order, or the first error, which cancels the other calls", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		for _, n := range []int{0, 1, 17, s.many(1000)} {
			got, err := concert.Collect(s.ctx, ex, square, upTo(n))
			if err != nil || len(got) != n {
				s.Fatalf("Collect() of %d inputs = %d results, %v", n, len(got), err)
			}
			for i := range got {
				if got[i] != i*i {
					s.Fatalf("Collect() of %d inputs: result %d = %d, want %d", n, i, got[i], i*i)
				}
			}
		}

		sizes := []int{4 << 20, 0, 1, 2, 3, 4, 5, 6} // the first result is ready last
		blobs := must[[][]byte](s)(concert.Collect(s.ctx, ex, blob, slices.Values(sizes)))
		for i, size := range sizes {
			if len(blobs) != len(sizes) || len(blobs[i]) != size {
				s.Fatalf("Collect() of %d inputs = %d results, and result %d is not that of its input", len(sizes), len(blobs), i)
			}
		}

		// The first call is held until it is canceled. The second one fails,
		// because the directory of its gate does not exist. So the error that
		// happens first is not the first in the order of the inputs.
		shut, broken := s.gate(), gate{filepath.Join(s.dir, "nodirectory", "gate")}
		got, err := concert.Collect(s.ctx, ex, hold, func(yield func(gate) bool) {
			if !yield(shut) {
				return
			}
			for shut.entered() == 0 && s.ctx.Err() == nil { // s.eventually is not possible here: only the goroutine of the test may call Fatal
				time.Sleep(time.Millisecond)
			}
			for next := broken; yield(next); next = shut { // yields endless inputs
			}
		})
		if got != nil || err == nil || !strings.Contains(err.Error(), "nodirectory") {
			s.Errorf("Collect() = %d results, %v; want the error of the second call", len(got), err)
		}
		if shut.entered() == 0 || shut.left() != shut.entered() {
			s.Errorf("after Collect, %d calls had begun and %d had ended", shut.entered(), shut.left())
		}

		func() {
			defer func() {
				if p, ok := recover().(*concert.PanicError); !ok || fmt.Sprint(p.Value) != "no more inputs" {
					s.Errorf("Collect panicked with %v, want the *PanicError of the inputs", p)
				}
			}()
			got, err := concert.Collect(s.ctx, ex, square, func(yield func(int) bool) {
				yield(1)
				panic("no more inputs")
			})
			s.Errorf("Collect() = %v, %v; want a panic", got, err)
		}()
		got2, err := concert.Collect(s.ctx, ex, square, upTo(3))
		if !slices.Equal(got2, []int{0, 1, 4}) || err != nil {
			s.Errorf("Collect() = %v, %v after the failures", got2, err)
		}
	}},

	{"MapMemory", "a Map keeps only a bounded number of results in memory", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		const size, results = 1 << 20, 200
		inputs := func(yield func(int) bool) {
			for yield(size) {
			}
		}
		var first, peak uint64 // the maximum of the heap during the first quarter of the results, and during all of them
		n := 0
		for b, err := range concert.Map(s.ctx, ex, blob, inputs) {
			if err != nil || len(b) != size || b[77<<12] != 77 {
				s.Fatalf("result %d: %d bytes, %v", n, len(b), err)
			}
			if n++; n%10 == 0 {
				heap := liveHeap()
				if n <= results/4 {
					first = max(first, heap)
				}
				peak = max(peak, heap)
			}
			if n == results {
				break
			}
		}
		if limit := first*3/2 + 48<<20; peak > limit {
			s.Errorf("the heap grew to %d MiB while a Map returned %d results of 1 MiB; during the first quarter of the results, it had at most %d MiB", peak>>20, results, first>>20)
		}
	}},

	{"MapSlowInput", "a Map yields finished results while it waits for the next input", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		for _, f := range []func(context.Context, concert.Executor, func(context.Context, int) (int, error), iter.Seq[int]) iter.Seq2[int, error]{
			concert.Map[int, int], concert.MapUnordered[int, int],
		} {
			got := make(chan struct{}, 1)
			inputs := func(yield func(int) bool) {
				for i := range 20 {
					if !yield(i) {
						return
					}
					select {
					case <-got: // the next input comes only after the last result was received
					case <-s.ctx.Done():
						return
					}
				}
			}
			n := 0
			for _, err := range f(s.ctx, ex, square, inputs) {
				if err != nil {
					s.Fatal(err)
				}
				n++
				got <- struct{}{}
			}
			if n != 20 {
				s.Errorf("%d results of 20", n)
			}
		}
	}},

	{"MapSlowItem", "one slow call of a Map does not delay the other calls, and does not change the order of results", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		slow := s.gate()
		open := openGate(s)
		gates := []gate{slow}
		for range 7 {
			gates = append(gates, open)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			s.eventually("all quick calls ran beside the slow one", func() bool { return open.left() == 7 })
			slow.open()
		})
		n := 0
		for got, err := range concert.Map(s.ctx, ex, hold, slices.Values(gates)) {
			if got != "passed" || err != nil {
				s.Errorf("result %d = %q, %v", n, got, err)
			}
			n++
		}
		wg.Wait()
		if n != len(gates) {
			s.Errorf("%d results of %d", n, len(gates))
		}
	}},

	{"MapInputPanics", "a panic of the input sequence reaches the caller after the earlier results, and the executor continues", func(s *suite) {
		ex := s.executor(Config{})
		inputs := func(yield func(int) bool) {
			for i := range 10 {
				if !yield(i) {
					return
				}
			}
			panic("no more inputs")
		}
		n := 0
		func() {
			defer func() {
				p, ok := recover().(*concert.PanicError)
				if !ok || fmt.Sprint(p.Value) != "no more inputs" {
					s.Errorf("the loop panicked with %v, want the *PanicError of the inputs", p)
				}
			}()
			for _, err := range concert.Map(s.ctx, ex, square, inputs) {
				if err != nil {
					s.Fatal(err)
				}
				n++
			}
			s.Error("the loop ended normally")
		}()
		if n != 10 {
			s.Errorf("%d results before the panic, want 10", n)
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 1).Result(s.ctx))
	}},

	{"MapBreak", "if the loop of a Map is left, the Map cancels its calls and waits for them", func(s *suite) {
		var started, finished atomic.Int64
		ex := s.executor(Config{Workers: 2, Observer: func(e concert.Event) {
			switch e.Kind {
			case concert.TaskStarted:
				started.Add(1)
			case concert.TaskFinished:
				if e.Worker >= 0 {
					finished.Add(1)
				}
			}
		}})
		for _, how := range []string{"break", "panic"} {
			open, shut := openGate(s), s.gate()
			func() {
				defer func() { recover() }()
				for _, err := range concert.Map(s.ctx, ex, hold, slices.Values([]gate{open, shut, shut, shut})) {
					if err != nil {
						s.Error(err)
					}
					s.eventually("a second call is held", func() bool { return shut.entered() > 0 })
					if how == "break" {
						break
					}
					panic("out of the loop")
				}
			}()
			if shut.left() != shut.entered() || started.Load() != finished.Load() {
				s.Errorf("after %s: %d calls began and %d ended; %d started, %d finished", how,
					shut.entered(), shut.left(), started.Load(), finished.Load())
			}
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 1).Result(s.ctx))
	}},

	{"MapContextEnds", "a Map whose context ends yields the cause as its last error", func(s *suite) {
		ex := s.executor(Config{})
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(s.ctx)
		defer cancel(nil)
		var taken atomic.Int64
		n, last := 0, error(nil)
		for _, err := range concert.Map(ctx, ex, square, counting(&taken)) {
			if last != nil {
				s.Fatalf("an item after the error %v", last)
			}
			if n++; n == 100 {
				cancel(why)
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				last = err
			}
		}
		if last != why {
			s.Errorf("Map() ended with %v, want the context's cause", last)
		}
	}},

	{"MapAgain", "each range over a Map runs it anew", func(s *suite) {
		ex := s.executor(Config{})
		seq := concert.Map(s.ctx, ex, square, slices.Values([]int{1, 2, 3}))
		for range 2 {
			sum := 0
			for got, err := range seq {
				sum += got
				if err != nil {
					s.Fatal(err)
				}
			}
			if sum != 14 {
				s.Errorf("sum = %d, want 14", sum)
			}
		}
	}},

	{"MapSharesFairly", "other tasks run before a long Map has ended", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		var taken atomic.Int64
		n := 0
		for _, err := range concert.Map(s.ctx, ex, square, counting(&taken)) {
			if err != nil {
				s.Fatal(err)
			}
			if n++; n%s.many(1000) == 0 {
				must[int](s)(concert.Submit(s.ctx, ex, square, n).Result(s.ctx))
			}
			if n == s.many(10_000) {
				break
			}
		}
	}},

	{"MapsAndSubmits", "endless Maps do not prevent Submit from getting room in the queue", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Queue: 1})
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				var taken atomic.Int64
				for range concert.Map(ctx, ex, square, counting(&taken)) {
				}
			})
		}
		for i := range 40 {
			must[int](s)(concert.Submit(s.ctx, ex, square, i).Result(s.ctx))
		}
		cancel()
		wg.Wait()
	}},

	{"MapConcurrent", "concurrent Maps on one executor each yield their own results", func(s *suite) {
		ex := s.executor(Config{Workers: 2, Queue: 1})
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				sum := 0
				for got, err := range concert.MapUnordered(s.ctx, ex, square, upTo(1000)) {
					if err != nil {
						s.Error(err)
						return
					}
					sum += got
				}
				if sum != 332833500 {
					s.Errorf("sum of squares = %d", sum)
				}
			})
		}
		wg.Wait()
	}},
}

// mapSquares runs a Map of n items. It fails the case if an item fails.
func (s *suite) mapSquares(ex concert.Executor, n int) {
	s.Helper()
	for _, err := range concert.Map(s.ctx, ex, square, upTo(n)) {
		if err != nil {
			s.Error(err)
		}
	}
}

// upTo yields 0 to n-1.
func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
