package tour

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"concert/goroutines"
	"concert/loop"
	"concert/progress"
)

const answerDelay = 10 * time.Millisecond // the time for which the server in the loop waits before it answers, as if for a database

func showLoop(ctx context.Context, t *tour) error {
	stalls := make(chan *loop.StallReport, 1)
	opts := &loop.Options{OnStall: func(r *loop.StallReport) {
		select {
		case stalls <- r:
		default:
		}
	}}
	return loop.Run(ctx, opts, func(ctx context.Context, g *loop.Group) error {
		if err := showConnections(ctx, t, g); err != nil {
			return err
		}
		return showStall(ctx, t, g, stalls)
	})
}

// showConnections counts visits in one map that all connections of a loop
// share.
func showConnections(ctx context.Context, t *tour, g *loop.Group) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("no server for the connections: %w", err)
	}
	visits := map[byte]int{} // shared by all connections, without a lock
	g.Background(func(ctx context.Context) error {
		return loop.Serve(ctx, listener, func(ctx context.Context, c net.Conn) {
			var b [1]byte
			if _, err := c.Read(b[:]); err != nil {
				return
			}
			before := visits[b[0]]
			visits[b[0]] = before + 1
			if loop.Sleep(ctx, answerDelay) == nil {
				c.Write(b[:])
			}
		})
	})
	visit := func(ctx context.Context) error {
		c, err := loop.Dial(ctx, "tcp", listener.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write([]byte("v")); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 1))
		return err
	}
	const few, many = 40, 400
	begin := time.Now()
	for range few {
		if err := visit(ctx); err != nil {
			return err
		}
	}
	alone := time.Since(begin)
	together := func(n int) (time.Duration, error) {
		begin := time.Now()
		err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
			for range n {
				g.Go(visit)
			}
			return nil
		})
		return time.Since(begin), err
	}
	all, err := together(few)
	if err != nil {
		return err
	}
	lot, err := together(many)
	if err != nil {
		return err
	}
	if n := visits['v']; n != 2*few+many {
		return fmt.Errorf("%d visits were counted, not %d", n, 2*few+many)
	}
	t.measured(fmt.Sprintf("%d visits, sequentially", few), alone, "the server waits 10 ms each")
	t.compared("at the same time", alone, all, speedup, "others run while one waits")
	t.measured(fmt.Sprintf("%d at the same time", many), lot, "counted in one map, without a lock")
	return nil
}

// showStall runs two coroutines. One coroutine computes, and the other one
// measures its own waiting time.
func showStall(ctx context.Context, t *tour, g *loop.Group, stalls <-chan *loop.StallReport) error {
	var longest time.Duration
	ticker := g.Background(func(ctx context.Context) error {
		for last := time.Now(); ; {
			if err := loop.Sleep(ctx, time.Millisecond); err != nil {
				return nil
			}
			now := time.Now()
			longest = max(longest, now.Sub(last))
			last = now
		}
	})
	defer ticker.Cancel()
	const size = 300_000_000
	var computed time.Duration
	compute := func(what string, compute func() error) (waited time.Duration, err error) {
		loop.Sleep(ctx, 10*time.Millisecond) // time for the ticker to tick
		longest = 0
		begin := time.Now()
		if err := compute(); err != nil {
			return 0, err
		}
		took := time.Since(begin)
		loop.Sleep(ctx, 2*time.Millisecond)
		waited, computed = longest, took
		t.measured(what, took, fmt.Sprintf("its neighbor waited for %s", progress.Duration(waited)))
		return waited, nil
	}
	if _, err := compute("a coroutine computes", func() error { _, err := sumOfSquares(ctx, size); return err }); err != nil {
		return err
	}
	select {
	case r := <-stalls:
		t.noted("which was reported", "at "+place(r.Stack))
	default:
		why := "as it took less than 100 ms"
		if computed >= 100*time.Millisecond {
			why = "as the machine is busy"
		}
		t.noted("which was not reported", why)
	}
	pool := goroutines.New(1, nil)
	defer pool.Close()
	_, err := compute("the same with loop.Offload", func() error { _, err := loop.Offload(ctx, pool, sumOfSquares, size); return err })
	return err
}

// place returns the innermost line of a stack, as file:line.
func place(stack string) string {
	line, _, _ := strings.Cut(stack, "\n")
	return filepath.Base(line[strings.LastIndexByte(line, ' ')+1:])
}
