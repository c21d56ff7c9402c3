package executortest

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"concert"
)

// The functions of the cases. Each returns what it finds in the shared value.
var (
	sharedSum    = concert.Register("executortest.sharedSum", sharedSumFunc)
	sharedText   = concert.Register("executortest.sharedText", func(_ context.Context, s *concert.Shared[string]) (string, error) { return s.Value(), nil })
	sharedSize   = concert.Register("executortest.sharedSize", func(_ context.Context, s *concert.Shared[[]byte]) (int, error) { return len(s.Value()), nil })
	sharedKeys   = concert.Register("executortest.sharedKeys", func(_ context.Context, s *concert.Shared[map[string]int]) (int, error) { return len(s.Value()), nil })
	sharedRecord = concert.Register("executortest.sharedRecord", func(_ context.Context, s *concert.Shared[sharedRow]) (string, error) { return s.Value().Name, nil })
	sharedAlone  = concert.Register("executortest.sharedAlone", func(_ context.Context, s concert.Shared[[]float64]) (float64, error) { return total(s.Value()), nil })
	sharedNested = concert.Register("executortest.sharedNested", sharedNestedFunc)
	sharedInAny  = concert.Register("executortest.sharedInAny", sharedInAnyFunc)
	sharedHeld   = concert.Register("executortest.sharedHeld", sharedHeldFunc)
)

// sharedRow is a shared value that is not a slice of numbers.
type sharedRow struct {
	Name    string
	Numbers []float64
}

// sharedPart is an argument with a handle: a part of the shared numbers.
type sharedPart struct {
	Numbers  *concert.Shared[[]float64]
	From, To int
}

func sharedSumFunc(_ context.Context, p sharedPart) (float64, error) {
	return total(p.Numbers.Value()[p.From:p.To]), nil
}

func total(numbers []float64) (sum float64) {
	for _, n := range numbers {
		sum += n
	}
	return sum
}

// sharedTree has handles at several places.
type sharedTree struct {
	Nil   *concert.Shared[[]float64]
	Slice []*concert.Shared[[]float64]
	Map   map[string]*concert.Shared[[]float64]
	Value concert.Shared[[]float64]
}

func sharedNestedFunc(_ context.Context, t sharedTree) (float64, error) {
	if t.Nil != nil {
		return 0, fmt.Errorf("the nil handle has arrived as %v", t.Nil.Value())
	}
	sum := total(t.Value.Value())
	for _, s := range slices.Concat(t.Slice, slices.Collect(maps.Values(t.Map))) {
		sum += total(s.Value())
	}
	return sum, nil
}

func sharedInAnyFunc(_ context.Context, v any) (float64, error) {
	return total(v.(*concert.Shared[[]float64]).Value()), nil
}

// heldShared is the argument of a call that blocks at a gate, and then uses the
// shared value.
type heldShared struct {
	Gate    gate
	Numbers *concert.Shared[[]float64]
}

func sharedHeldFunc(ctx context.Context, h heldShared) (float64, error) {
	if _, err := holdFunc(ctx, h.Gate); err != nil {
		return 0, err
	}
	return total(h.Numbers.Value()), nil
}

// numbers returns 0, 1, 2 and so on.
func numbers(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(i)
	}
	return v
}

var sharedCases = []testCase{
	{"SharedValue", "a call that gets a handle of Share gets its value", func(s *suite) {
		ex := s.executor(Config{})
		// Small values and large ones may be sent in different ways.
		for _, n := range []int{0, 5, 100_000} {
			grid := must[*concert.Shared[[]float64]](s)(concert.Share(s.ctx, ex, numbers(n)))
			want := total(numbers(n))
			if got := must[float64](s)(concert.Submit(s.ctx, ex, sharedSum, sharedPart{grid, 0, n}).Result(s.ctx)); got != want {
				s.Errorf("the sum of %d numbers = %v, want %v", n, got, want)
			}
			if got := must[float64](s)(concert.Submit(s.ctx, ex, sharedAlone, *grid).Result(s.ctx)); got != want {
				s.Errorf("the sum of %d numbers by a copy of the handle = %v, want %v", n, got, want)
			}
			if got := grid.Value(); len(got) != n {
				s.Errorf("Value() has %d numbers, want %d", len(got), n)
			}
			must[any](s)(nil, grid.Close())
		}
		text := must[*concert.Shared[string]](s)(concert.Share(s.ctx, ex, strings.Repeat("text", 10_000)))
		if got := must[string](s)(concert.Submit(s.ctx, ex, sharedText, text).Result(s.ctx)); got != text.Value() {
			s.Errorf("the text has arrived as %.10q... of %d bytes", got, len(got))
		}
		blob := must[*concert.Shared[[]byte]](s)(concert.Share(s.ctx, ex, make([]byte, 100_000)))
		if got := must[int](s)(concert.Submit(s.ctx, ex, sharedSize, blob).Result(s.ctx)); got != 100_000 {
			s.Errorf("the size of the bytes = %d, want 100000", got)
		}
		keys := must[*concert.Shared[map[string]int]](s)(concert.Share(s.ctx, ex, map[string]int{"a": 1, "b": 2}))
		if got := must[int](s)(concert.Submit(s.ctx, ex, sharedKeys, keys).Result(s.ctx)); got != 2 {
			s.Errorf("the size of the map = %d, want 2", got)
		}
		row := must[*concert.Shared[sharedRow]](s)(concert.Share(s.ctx, ex, sharedRow{"name", numbers(50_000)}))
		if got := must[string](s)(concert.Submit(s.ctx, ex, sharedRecord, row).Result(s.ctx)); got != "name" {
			s.Errorf("the name = %q", got)
		}
	}},

	{"SharedNested", "handles may be in slices, maps and fields, and may be nil", func(s *suite) {
		ex := s.executor(Config{})
		grid := must[*concert.Shared[[]float64]](s)(concert.Share(s.ctx, ex, numbers(10_000)))
		small := must[*concert.Shared[[]float64]](s)(concert.Share(s.ctx, ex, numbers(3)))
		tree := sharedTree{
			Slice: []*concert.Shared[[]float64]{grid, small, grid},
			Map:   map[string]*concert.Shared[[]float64]{"small": small},
			Value: *grid,
		}
		want := 3*total(numbers(10_000)) + 2*total(numbers(3))
		if got := must[float64](s)(concert.Submit(s.ctx, ex, sharedNested, tree).Result(s.ctx)); got != want {
			s.Errorf("the sum = %v, want %v", got, want)
		}
		if s.Foreign {
			return
		}
		if got := must[float64](s)(concert.Submit(s.ctx, ex, sharedInAny, any(small)).Result(s.ctx)); got != 3 {
			s.Errorf("the sum of a handle in an interface = %v, want 3", got)
		}
	}},

	{"SharedMany", "many calls on all workers use one shared value, also of several Maps", func(s *suite) {
		ex := s.executor(Config{Workers: 4})
		const n = 20_000
		grid := must[*concert.Shared[[]float64]](s)(concert.Share(s.ctx, ex, numbers(n)))
		calls := s.many(400)
		parts := func(yield func(sharedPart) bool) {
			for i := range calls {
				if !yield(sharedPart{grid, n * i / calls, n * (i + 1) / calls}) {
					return
				}
			}
		}
		for range 2 {
			sum := total(must[[]float64](s)(concert.Collect(s.ctx, ex, sharedSum, parts)))
			if want := total(numbers(n)); sum != want {
				s.Errorf("the sum of all parts = %v, want %v", sum, want)
			}
		}
	}},

	{"SharedElsewhere", "a handle works with every executor, not only with that of Share", func(s *suite) {
		ex, other := s.executor(Config{}), s.executor(Config{})
		grid := must[*concert.Shared[[]float64]](s)(concert.Share(s.ctx, other, numbers(10_000)))
		if got := must[float64](s)(concert.Submit(s.ctx, ex, sharedSum, sharedPart{grid, 0, 10_000}).Result(s.ctx)); got != total(numbers(10_000)) {
			s.Errorf("the sum = %v, want %v", got, total(numbers(10_000)))
		}
	}},

	{"SharedClosed", "a running call keeps the value after Close; a later call of a worker in another process fails", func(s *suite) {
		ex := s.executor(Config{})
		grid := must[*concert.Shared[[]float64]](s)(concert.Share(s.ctx, ex, numbers(10_000)))
		g := s.gate()
		running := concert.Submit(s.ctx, ex, sharedHeld, heldShared{g, grid})
		s.eventually("the task starts", func() bool { return g.entered() == 1 })
		for range 2 {
			must[any](s)(nil, grid.Close())
		}
		g.open()
		if got := must[float64](s)(running.Result(s.ctx)); got != total(numbers(10_000)) {
			s.Errorf("the sum of the running call = %v, want %v", got, total(numbers(10_000)))
		}
		got, err := concert.Submit(s.ctx, ex, sharedSum, sharedPart{grid, 0, 3}).Result(s.ctx)
		if s.Shared {
			if got != 3 || err != nil {
				s.Errorf("after Close: %v, %v; want 3", got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), "the shared value is closed") {
			s.Errorf("after Close: %v, %v; want an error that the shared value is closed", got, err)
		}
		if got := grid.Value(); len(got) != 10_000 {
			s.Errorf("Value() after Close has %d numbers", len(got))
		}
	}},

	{"SharedUnreachable", "if the program has no handle, the calls that use it still get the value", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		g, first := s.held(ex)
		queued := concert.Submit(s.ctx, ex, sharedSum, sharedPart{must[*concert.Shared[[]float64]](s)(concert.Share(s.ctx, ex, numbers(10_000))), 0, 10_000})
		collectGarbage()
		g.open()
		must[string](s)(first.Result(s.ctx))
		if got := must[float64](s)(queued.Result(s.ctx)); got != total(numbers(10_000)) {
			s.Errorf("the sum = %v, want %v", got, total(numbers(10_000)))
		}
	}},
}

// collectGarbage collects garbage, and runs the cleanups of objects that are
// unreachable.
func collectGarbage() {
	for range 3 {
		runtime.GC()
		done := make(chan struct{})
		runtime.AddCleanup(new([16]byte), func(done chan struct{}) { close(done) }, done)
		runtime.GC()
		<-done
	}
}
