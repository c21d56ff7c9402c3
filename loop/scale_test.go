package loop_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"concert/internal/race"
	"concert/loop"
)

// memory returns the memory in use, in bytes.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestServe_ManyConnections: one loop must serve 10,000 connections at the same
// time, as server and client. Every byte must be right.
func TestServe_ManyConnections(t *testing.T) {
	n := 10_000
	if testing.Short() || race.Enabled {
		n = 1_000
	}
	if limit := descriptors(2*n + 100); limit < 2*n+100 {
		n = (limit - 100) / 2
		t.Logf("only %d connections, because the process may open only %d files", n, limit)
	}
	quiet(t)
	before := memory()
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		l := listen(t)
		open, most := 0, 0
		var all loop.Event
		server := g.Background(func(ctx context.Context) error {
			return loop.Serve(ctx, l, func(ctx context.Context, c net.Conn) {
				open++
				most = max(most, open)
				if open == n {
					all.Set()
				}
				defer func() { open-- }()
				io.Copy(onlyWriter{c}, onlyReader{c})
			})
		})
		dials := loop.NewSemaphore(100) // the accept queue of the kernel is bounded
		err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
			for i := range n {
				g.Go(func(ctx context.Context) error {
					if err := dials.Acquire(ctx); err != nil {
						return err
					}
					c, err := loop.Dial(ctx, "tcp", l.Addr().String())
					dials.Release()
					if err != nil {
						return err
					}
					defer c.Close()
					if err := all.Wait(ctx); err != nil {
						return err
					}
					var out, in [64]byte
					for round := range 3 {
						for j := 0; j < len(out); j += 8 {
							binary.LittleEndian.PutUint64(out[j:], uint64(i)<<32+uint64(round)<<16+uint64(j))
						}
						if _, err := c.Write(out[:]); err != nil {
							return err
						}
						if _, err := io.ReadFull(c, in[:]); err != nil {
							return err
						}
						if in != out {
							return fmt.Errorf("connection %d got %x, want %x", i, in, out)
						}
					}
					return nil
				})
			}
			g.Go(func(ctx context.Context) error {
				if err := all.Wait(ctx); err != nil {
					return err
				}
				t.Logf("%d bytes of memory per connection, for server and client together", (memory()-before)/int64(n))
				return nil
			})
			return nil
		})
		server.Cancel()
		server.Wait(ctx)
		if most != n || open != 0 {
			t.Errorf("at most %d connections at the same time, want %d; %d are left", most, n, open)
		}
		return err
	})
	if err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// onlyReader and onlyWriter hide the other methods of a connection, so that
// io.Copy calls Read and Write, and not splice.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// TestSleep_ManyCoroutines: if 100,000 coroutines sleep and are canceled, all
// of them must wake.
func TestSleep_ManyCoroutines(t *testing.T) {
	n := 100_000
	if race.Enabled {
		n = 5_000
	}
	quiet(t)
	before := memory()
	woken := 0
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		for range n {
			g.Go(func(ctx context.Context) error {
				err := loop.Sleep(ctx, time.Hour)
				if !errors.Is(err, context.Canceled) {
					return fmt.Errorf("Sleep() = %v", err)
				}
				woken++
				return err
			})
		}
		loop.Yield(ctx)
		if p := loop.Pending(ctx); p != n {
			t.Errorf("%d coroutines sleep, want %d", p, n)
		}
		t.Logf("%d bytes of memory per coroutine", (memory()-before)/int64(n))
		g.Cancel()
		return nil
	})
	if err != nil || woken != n {
		t.Errorf("Run() = %v; %d were woken, want %d", err, woken, n)
	}
}
