package goroutines_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/goroutines"
)

// TestNew_ExtremeNumbers: a pool can have any number of workers that an int can
// hold, and runs tasks and Maps. If the number is too small, New and Resize
// panic with the number.
func TestNew_ExtremeNumbers(t *testing.T) {
	watch(t)
	// int64, so that the file compiles where an int has 32 bits.
	for _, n := range []int64{math.MaxInt32, math.MaxInt32 + 1, 1 << 32, 1<<32 + 1, math.MaxInt64 - 1, math.MaxInt64} {
		if int64(int(n)) != n {
			continue
		}
		for _, how := range []string{"New", "Resize", "New with a Limit", "Limit"} {
			t.Run(fmt.Sprintf("%s %d", how, n), func(t *testing.T) {
				opts := &goroutines.Options{Queue: math.MaxInt, Grace: math.MaxInt64}
				var ex *goroutines.Pool
				switch how {
				case "New":
					ex = goroutines.New(int(n), opts)
				case "Resize":
					ex = goroutines.New(1, opts)
					ex.Resize(int(n))
				case "New with a Limit":
					opts.Limit = fixedLimit(2)
					ex = goroutines.New(int(n), opts)
				case "Limit":
					opts.Limit = fixedLimit(n)
					ex = goroutines.New(0, opts)
				}
				defer ex.Close()
				if w := ex.Width(); w < 2 || how != "New with a Limit" && w != math.MaxInt32 {
					t.Errorf("Width() = %d", w)
				}
				if got, err := concert.Submit(t.Context(), ex, square, 3).Result(t.Context()); got != 9 || err != nil {
					t.Errorf("Result() = %d, %v; want 9", got, err)
				}
				sum := 0
				for got, err := range concert.Map(t.Context(), ex, square, upTo(100)) {
					if sum += got; err != nil {
						t.Fatal(err)
					}
				}
				if sum != 328350 {
					t.Errorf("sum of a Map = %d, want 328350", sum)
				}
			})
		}
	}
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"New", func() { goroutines.New(-2, nil) }, "goroutines: New: n is -2"},
		{"least int", func() { goroutines.New(math.MinInt, nil) }, "goroutines: New: n is -"},
		{"Resize", func() { goroutines.New(1, nil).Resize(0) }, "goroutines: Resize: n is 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, c.want) {
					t.Errorf("panic text %q, want %q in it", text, c.want)
				}
			}()
			c.do()
		})
	}
}

// TestShutdown_ExtremeGrace: Shutdown accepts the longest and the shortest
// grace period.
func TestShutdown_ExtremeGrace(t *testing.T) {
	watch(t)
	for _, grace := range []time.Duration{math.MinInt64, -1, math.MaxInt64} {
		t.Run(grace.String(), func(t *testing.T) {
			ex := goroutines.New(1, &goroutines.Options{Grace: grace})
			started, leave := make(chan struct{}), make(chan struct{})
			f := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (int, error) {
				close(started)
				<-ctx.Done()
				<-leave
				return 1, nil
			}, 0)
			<-started
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if grace > 0 {
				close(leave)
			}
			err := ex.Shutdown(ctx).(*concert.ShutdownError)
			if stayed := len(err.Running) == 1; stayed != (grace < 0) {
				t.Errorf("grace %v: Shutdown() = %v", grace, err)
			}
			if grace < 0 {
				close(leave)
			}
			f.Result(t.Context())
			ex.Close()
		})
	}
}

// fixedLimit is a Limit that never changes.
type fixedLimit int

func (n fixedLimit) Limit(concert.Event) int { return int(n) }

// upTo yields the numbers below n.
func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}
}
