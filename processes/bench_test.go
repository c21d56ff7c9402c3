package processes_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"testing"

	"concert"
	"concert/processes"
)

var (
	nop  = concert.Register("processes_test.nop", func(_ context.Context, n int) (int, error) { return n, nil })
	echo = concert.Register("processes_test.echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
)

func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func newPool(tb testing.TB, n int, o *processes.Options, settings ...processes.Setting) *processes.Pool {
	tb.Helper()
	if o == nil {
		o = new(processes.Options)
	}
	if o.Output == nil {
		o.Output = slog.New(slog.DiscardHandler)
	}
	p, err := processes.NewWith(n, o, settings...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	return p
}

// BenchmarkRoundTrip measures tasks that run sequentially.
func BenchmarkRoundTrip(b *testing.B) {
	p := newPool(b, 1, nil)
	for b.Loop() {
		if _, err := concert.Submit(b.Context(), p, nop, 1).Result(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPipe measures a lower bound for the time of a round trip: it
// sends 64 bytes to another goroutine and back, through two pipes and Go's
// poller.
func BenchmarkPipe(b *testing.B) {
	r1, w1, _ := os.Pipe()
	r2, w2, _ := os.Pipe()
	defer w1.Close()
	go func() {
		buf := make([]byte, 64)
		for {
			n, err := r1.Read(buf)
			if err != nil {
				w2.Close()
				return
			}
			w2.Write(buf[:n])
		}
	}()
	buf := make([]byte, 64)
	for b.Loop() {
		w1.Write(buf)
		r2.Read(buf)
	}
}

// BenchmarkOutstanding measures the time per task while n tasks are
// outstanding.
func BenchmarkOutstanding(b *testing.B) {
	for _, n := range []int{1, 16, 64, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := newPool(b, 2, nil)
			b.ReportAllocs()
			futures := make([]*concert.Future[int], n)
			i := 0
			for b.Loop() {
				if f := futures[i%n]; f != nil {
					if _, err := f.Result(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				futures[i%n] = concert.Submit(b.Context(), p, nop, i)
				i++
			}
		})
	}
}

func BenchmarkMap(b *testing.B) {
	p := newPool(b, 2, nil)
	b.ReportAllocs()
	for _, err := range concert.Map(b.Context(), p, nop, numbers(b.N)) {
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLarge sends 64 MiB to a worker and back.
func BenchmarkLarge(b *testing.B) {
	p := newPool(b, 1, nil)
	big := make([]byte, 64<<20)
	b.SetBytes(2 * int64(len(big)))
	for b.Loop() {
		if _, err := concert.Submit(b.Context(), p, echo, big).Result(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirst measures the time from the call of New to the first result.
// The pool has two workers.
func BenchmarkFirst(b *testing.B) {
	for b.Loop() {
		p, err := processes.New(2, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := concert.Submit(b.Context(), p, nop, 1).Result(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		p.Close()
		b.StartTimer()
	}
}
