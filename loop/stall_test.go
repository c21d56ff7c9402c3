package loop_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/loop"
)

// hold blocks the calling goroutine, like a coroutine that stalls the loop.
func hold(d time.Duration) { time.Sleep(d) }

// TestStall_Reported: if a coroutine holds the loop for too long, the loop must
// report the coroutine once, with its stack, while the coroutine still runs.
func TestStall_Reported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []*loop.StallReport
		var during, holding atomic.Bool
		opts := &loop.Options{Name: "mine", OnStall: func(r *loop.StallReport) {
			reports = append(reports, r)
			during.Store(holding.Load())
		}}
		loop.Run(t.Context(), opts, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error { // waits: not reported
				return loop.Sleep(ctx, time.Minute)
			})
			g.Go(func(ctx context.Context) error { // blocks outside of the loop: not reported
				return loop.Block(ctx, func() error { hold(time.Minute); return nil })
			})
			loop.Sleep(ctx, time.Second)
			g.Go(func(ctx context.Context) error {
				hold(70 * time.Millisecond)
				loop.Yield(ctx)
				hold(70 * time.Millisecond) // each step is too short for a report
				loop.Sleep(ctx, time.Second)
				holding.Store(true)
				hold(time.Second)
				holding.Store(false)
				return nil
			}).SetName("culprit")
			return nil
		})
		synctest.Wait()
		if len(reports) != 1 || !during.Load() {
			t.Fatalf("%d reports, want 1; the report came during the stall: %v", len(reports), during.Load())
		}
		r := reports[0]
		if r.Loop != "mine" || r.Coroutine != "culprit" || r.For < 100*time.Millisecond || r.For > 150*time.Millisecond || !strings.Contains(r.Spawned, "stall_test.go:") {
			t.Errorf("report %+v", r)
		}
		if lines := strings.Split(r.Stack, "\n"); len(lines) < 2 || !strings.Contains(r.Stack, "loop_test.hold ") || !strings.Contains(r.Stack, "stall_test.go:") || strings.Contains(r.Stack, "Block") {
			t.Errorf("stack:\n%s", r.Stack)
		}
		if text := r.String(); !strings.Contains(text, `coroutine culprit has held loop "mine" for 1`) || !strings.Contains(text, "Offload") {
			t.Errorf("String() = %s", text)
		}
	})
}

// TestStall_Computing: if main, a child, or a function of a portal computes for
// too long, the loop must report it.
func TestStall_Computing(t *testing.T) {
	reports := make(chan *loop.StallReport, 1)
	opts := &loop.Options{Stall: 20 * time.Millisecond, OnStall: func(r *loop.StallReport) { reports <- r }}
	spin := func() {
		for len(reports) == 0 {
		}
	}
	check := func(where, coroutine string) {
		t.Helper()
		r := <-reports
		if !strings.Contains(r.Coroutine, coroutine) || !strings.Contains(r.Stack, "TestStall_Computing") {
			t.Errorf("in %s: %v", where, r)
		}
	}
	loop.Run(t.Context(), opts, func(ctx context.Context, g *loop.Group) error {
		spin()
		check("main", "TestStall_Computing")
		return g.Go(func(ctx context.Context) error { spin(); return nil }).SetName("child").Wait(ctx)
	})
	check("a child", "child")
	p := loop.Open(t.Context(), opts)
	p.Run(t.Context(), func(context.Context) error { spin(); return nil })
	check("a portal", "TestStall_Computing")
	p.Close()
}

// TestStall_Logged: without OnStall, a stall must be logged, unless
// Options.Stall is negative.
func TestStall_Logged(t *testing.T) {
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	for _, threshold := range []time.Duration{-1, 0} {
		t.Run(fmt.Sprint("threshold ", threshold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := loop.Run(t.Context(), &loop.Options{Stall: threshold}, func(ctx context.Context, g *loop.Group) error {
					hold(time.Second)
					return nil
				})
				synctest.Wait() // until the report is logged
				if err != nil || (log.Len() > 0) != (threshold == 0) {
					t.Errorf("threshold %v: %q", threshold, log.String())
				}
			})
		})
	}
	if text := log.String(); !strings.Contains(text, "Offload") || !strings.Contains(text, "hold") {
		t.Errorf("logged: %s", text)
	}
}

// TestStall_IdleLoop: while the loop is idle, it must not check the clock.
func TestStall_IdleLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := runtime.NumGoroutine()
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			loop.Sleep(ctx, 100*365*24*time.Hour) // with 40 checks per second, this test would take too long
			return nil
		})
		if n := runtime.NumGoroutine(); n > start {
			t.Errorf("%d goroutines remain", n-start)
		}
	})
}

// TestStall_ReportFails: if OnStall or the handler of slog fails, the loop must
// continue.
func TestStall_ReportFails(t *testing.T) {
	for name, fail := range map[string]func(){"panics": func() { panic("out of ink") }, "exits": runtime.Goexit} {
		for _, where := range []string{"OnStall", "slog"} {
			t.Run(where+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					before := slog.Default()
					defer slog.SetDefault(before)
					slog.SetDefault(slog.New(failingHandler{slog.DiscardHandler, fail}))
					opts := &loop.Options{}
					if where == "OnStall" {
						opts.OnStall = func(*loop.StallReport) { fail() }
					}
					err := loop.Run(t.Context(), opts, func(context.Context, *loop.Group) error {
						time.Sleep(time.Second)
						return nil
					})
					if err != nil {
						t.Errorf("Run() = %v", err)
					}
				})
			})
		}
	}
}

// failingHandler is a log handler whose Handle fails.
type failingHandler struct {
	slog.Handler
	fail func()
}

func (h failingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h failingHandler) Handle(context.Context, slog.Record) error { h.fail(); return nil }

// TestStall_OtherGoroutines: the report must have the stack of the coroutine
// that holds the loop, even if other coroutines make calls outside of the loop.
func TestStall_OtherGoroutines(t *testing.T) {
	var deep func(n int)
	deep = func(n int) {
		if n > 0 {
			deep(n - 1)
			return
		}
		hold(time.Second)
	}
	for name, other := range map[string]func(ctx context.Context) error{
		"Read": func(ctx context.Context) error {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			_, err := loop.Conn(ctx, a).Read(make([]byte, 1))
			return err
		},
		"Block": func(ctx context.Context) error {
			return loop.Block(ctx, func() error { <-ctx.Done(); return nil })
		},
		"Result": func(ctx context.Context) error {
			_, err := concert.Go(ctx, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil }).Result(ctx)
			return err
		},
		"another portal": func(ctx context.Context) error {
			return loop.Block(ctx, func() error {
				p := loop.Open(context.Background(), nil)
				defer p.Close()
				return p.Run(ctx, func(inner context.Context) error {
					return loop.Block(inner, func() error { <-ctx.Done(); return nil })
				})
			})
		},
	} {
		for what, culprit := range map[string]func(){
			"plain": func() { hold(time.Second) },
			"deep":  func() { deep(300) },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					reports := make(chan *loop.StallReport, 10)
					opts := &loop.Options{OnStall: func(r *loop.StallReport) { reports <- r }}
					loop.Run(t.Context(), opts, func(ctx context.Context, g *loop.Group) error {
						for range 2 {
							g.Background(other)
						}
						loop.Sleep(ctx, time.Second)
						if what == "plain" {
							loop.Block(ctx, func() error { // Run changes the labels of this goroutine
								return loop.Run(context.Background(), nil, func(context.Context, *loop.Group) error { return nil })
							})
						}
						culprit()
						return nil
					})
					synctest.Wait()
					close(reports)
					n := 0
					for r := range reports {
						if n++; !strings.Contains(r.Stack, "loop_test.hold ") {
							t.Errorf("report: %v", r)
						}
					}
					if n != 1 {
						t.Errorf("%d reports", n)
					}
				})
			})
		}
	}
}
