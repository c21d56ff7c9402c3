package processes_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"concert"
	"concert/executor"
	"concert/internal/race"
	"concert/internal/smaps"
	"concert/processes"
)

// series is an argument: it describes the series of numbers that the result
// must be.
type series struct {
	N     int     // the number of elements
	First float64 // the first element; each following element is larger by 1
}

var (
	makeMapped = concert.Register("processes_test.makeMapped", func(_ context.Context, m series) (*concert.Mapped[float64], error) {
		return concert.NewMapped(m.numbers()), nil
	})
	makeMappedValue = concert.Register("processes_test.makeMappedValue", func(_ context.Context, m series) (concert.Mapped[float64], error) {
		return *concert.NewMapped(m.numbers()), nil
	})
	// makeBoth returns a struct that contains a handle.
	makeBoth = concert.Register("processes_test.makeBoth", func(_ context.Context, m series) (both, error) {
		return both{concert.NewMapped(m.numbers()), m.N}, nil
	})
	dieSoon = concert.Register("processes_test.dieSoon", func(context.Context, int) (int, error) {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		return 0, nil
	})
)

// mapFunc is the type of concert.Map and concert.MapUnordered.
type mapFunc func(context.Context, executor.Executor, func(context.Context, series) (*concert.Mapped[float64], error), iter.Seq[series]) iter.Seq2[*concert.Mapped[float64], error]

type both struct {
	Numbers *concert.Mapped[float64]
	N       int
}

func (m series) numbers() []float64 {
	v := make([]float64, m.N)
	for i := range v {
		v[i] = m.First + float64(i)
	}
	return v
}

// check reports an error if v is not the result for m.
func (m series) check(t *testing.T, v []float64) {
	t.Helper()
	if !slices.Equal(v, m.numbers()) {
		t.Errorf("the result has %d elements that begin with %v, want %d that begin with %v and increase by 1", len(v), v[:min(3, len(v))], m.N, m.First)
	}
}

// mapped runs a task for m, and returns its mapped result.
func mapped(t *testing.T, p *processes.Pool, m series) *concert.Mapped[float64] {
	t.Helper()
	h, err := submit(t, p, makeMapped, m).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// mappedPages returns the memory of results that this process has mapped.
func mappedPages() (u smaps.Usage) {
	u.Add(os.Getpid(), "memfd:concert-result")
	return u
}

// TestMapped_OneCopy: a mapped result must be in memory only once, in the
// process of the pool. Close must release this memory. If the handle is
// unreachable, the garbage collector must release it.
func TestMapped_OneCopy(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	const kb = 32 << 10
	m := series{kb << 10 / 8, 1}
	for _, closes := range []bool{true, false} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h := mapped(t, p, m)
		sum := 0.0
		for _, n := range h.Value() {
			sum += n
		}
		runtime.ReadMemStats(&after)
		if want := float64(m.N) * float64(m.N+1) / 2; sum != want {
			t.Errorf("the sum = %v, want %v", sum, want)
		}
		if u := mappedPages(); u.Size != kb || u.Rss != kb || u.Pss != kb {
			t.Errorf("the result of %d KiB takes %+v, want its size once, and no other process with its pages", kb, u)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > kb<<10/4 && !race.Enabled {
			t.Errorf("the process of the pool has allocated %d bytes for a result of %d bytes", n, kb<<10)
		}
		for _, pid := range children(t) {
			var u smaps.Usage
			if u.Add(pid, "memfd:concert-result"); u != (smaps.Usage{}) {
				t.Errorf("a worker has mapped %+v of the result", u)
			}
		}
		if closes {
			h.Close()
			h.Close()
			if u := mappedPages(); u != (smaps.Usage{}) {
				t.Errorf("after Close, the result takes %+v", u)
			}
		}
		h = nil
		eventually(t, "the memory of the result is released", func() bool {
			if !closes {
				runtime.GC()
			}
			return mappedPages() == smaps.Usage{}
		})
	}
	works(t, p)
}

// TestMapped_Values: for all sizes, the handle must have the right value.
// This must also hold for a handle in a struct. The program must be able to
// change the value.
func TestMapped_Values(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, nil)
	for _, n := range []int{0, 1, 1000, 32<<10 - 1, 32 << 10, 100_000} {
		m := series{n, float64(n)}
		h := mapped(t, p, m)
		m.check(t, h.Value())
		if pages := mappedPages().Size > 0; pages != (n >= 32<<10) {
			t.Errorf("a result of %d bytes is mapped: %v", 8*n, pages)
		}
		if n > 0 {
			h.Value()[n-1] = -1
			if v := h.Value()[n-1]; v != -1 {
				t.Errorf("a changed element = %v, want -1", v)
			}
		}
		h.Close()

		value, err := submit(t, p, makeMappedValue, m).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.check(t, value.Value())
		value.Close()

		b, err := submit(t, p, makeBoth, m).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.check(t, b.Numbers.Value())
		b.Numbers.Close()
	}
}

// TestMapped_Closed: Value of a closed handle must panic.
func TestMapped_Closed(t *testing.T) {
	p := newPool(t, 1, nil)
	for _, n := range []int{1, 100_000} {
		h := mapped(t, p, series{n, 1})
		h.Close()
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, "after Close") {
					t.Errorf("Value of a closed handle panics with %q", text)
				}
			}()
			h.Value()
		}()
	}
}

// TestMapped_Death: a result must stay valid when its worker dies, and when the
// pool is closed.
func TestMapped_Death(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	m := series{100_000, 7}
	var handles []*concert.Mapped[float64]
	for range 3 {
		h := mapped(t, p, m)
		defer h.Close()
		handles = append(handles, h)
		if _, err := submit(t, p, dieSoon, 0).Result(t.Context()); err == nil {
			t.Error("the worker did not die")
		}
	}
	p.Close()
	for _, h := range handles {
		m.check(t, h.Value())
	}
}

// TestMapped_Map: each call must get its own result, also if several workers
// send results at the same time. If a loop ends early, no memory may be
// left.
func TestMapped_Map(t *testing.T) {
	leftovers(t)
	p := newPool(t, 3, nil)
	inputs := func(yield func(series) bool) {
		for i := range 60 {
			if !yield(series{(i % 3) * 40_000, float64(i)}) {
				return
			}
		}
	}
	n := 0
	for h, err := range concert.Map(t.Context(), p, makeMapped, inputs) {
		if err != nil {
			t.Fatal(err)
		}
		series{(n % 3) * 40_000, float64(n)}.check(t, h.Value())
		h.Close()
		n++
	}
	if n != 60 {
		t.Errorf("the Map has %d results, want 60", n)
	}
	if u := mappedPages(); u != (smaps.Usage{}) {
		t.Errorf("when all results are closed, they take %+v", u)
	}
	for _, Map := range []mapFunc{concert.Map[series, *concert.Mapped[float64]], concert.MapUnordered[series, *concert.Mapped[float64]]} {
		for h, err := range Map(t.Context(), p, makeMapped, inputs) {
			if err != nil {
				t.Fatal(err)
			}
			h.Close()
			break
		}
		if u := mappedPages(); u != (smaps.Usage{}) {
			t.Errorf("when the loop has ended early, the other results take %+v", u)
		}
	}
	works(t, p)
}

// TestMapped_Canceled: if a task is canceled after its worker has sent a mapped
// result, the memory must be released.
func TestMapped_Canceled(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	for range 50 {
		f := submit(t, p, makeMapped, series{100_000, 1})
		for f.State() == executor.Pending {
			runtime.Gosched()
		}
		f.Cancel()
		if h, err := f.Result(t.Context()); err == nil {
			h.Close()
		}
	}
	works(t, p)
	eventually(t, "the results are released", func() bool {
		runtime.GC()
		return mappedPages() == smaps.Usage{}
	})
}

// TestMapped_TooLarge: Options.MaxResult must also limit mapped results.
func TestMapped_TooLarge(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{MaxResult: 500_000})
	if _, err := submit(t, p, makeMapped, series{100_000, 1}).Result(t.Context()); !errors.Is(err, processes.ErrTooLarge) {
		t.Errorf("the error of a result of 800,000 bytes is %v, want ErrTooLarge", err)
	}
	m := series{50_000, 1}
	h := mapped(t, p, m)
	m.check(t, h.Value())
	h.Close()
}

// TestMapped_Without: if the worker cannot make files in memory, the result
// must be a copy.
func TestMapped_Without(t *testing.T) {
	leftovers(t)
	for name, o := range map[string]*processes.Options{
		"a sandbox": {Sandbox: &processes.Sandbox{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, 1, o)
			m := series{100_000, 1}
			h := mapped(t, p, m)
			m.check(t, h.Value())
			if u := mappedPages(); u != (smaps.Usage{}) {
				t.Errorf("the result is mapped: %+v", u)
			}
			h.Close()
		})
	}
}

// TestMapped_Relay: the result of a relayed call must be a copy, not a
// mapping.
func TestMapped_Relay(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	m := series{100_000, 1}
	name, arg, err := executor.Prepare(makeMapped, m)
	if err != nil {
		t.Fatal(err)
	}
	result, err := executor.Relay(t.Context(), p, executor.Call{Name: name, Arg: arg}).Result(t.Context())
	if err != nil || !result.Mapped() || len(result.Bytes) != 8*m.N {
		t.Errorf("the result has the kind %d and %d bytes, error %v", result.Kind, len(result.Bytes), err)
	}
	if u := mappedPages(); u != (smaps.Usage{}) {
		t.Errorf("the result of a relayed call takes %+v", u)
	}
}
