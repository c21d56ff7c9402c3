package loop_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"concert/loop"
)

func TestSmoke(t *testing.T) {
	n := 0
	start := time.Now()
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		for range 10 {
			g.Go(func(ctx context.Context) error {
				for range 100 {
					n++
					if err := loop.Yield(ctx); err != nil {
						return err
					}
				}
				return loop.Sleep(ctx, 10*time.Millisecond)
			})
		}
		return nil
	})
	if n != 1000 || err != nil {
		t.Error(n, err)
	}
	t.Log(time.Since(start))
}

func TestSmokeDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e loop.Event
		err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error { return e.Wait(ctx) })
			_, cancel := loop.WithTimeout(ctx, time.Hour)
			defer cancel()
			return loop.Sleep(ctx, time.Minute)
		})
		t.Log(err)
		if _, ok := errors.AsType[*loop.DeadlockError](err); !ok {
			t.Error(err)
		}
	})
}
func BenchmarkYield(b *testing.B) {
	loop.Run(b.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error {
			for loop.Yield(ctx) == nil {
			}
			return nil
		})
		for b.Loop() {
			loop.Yield(ctx)
		}
		return nil
	})
}
func BenchmarkSpawnAwait(b *testing.B) {
	b.ReportAllocs()
	loop.Run(b.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		for b.Loop() {
			g.Go(func(ctx context.Context) error { return nil }).Wait(ctx)
		}
		return nil
	})
}
func BenchmarkGroup1000(b *testing.B) {
	b.ReportAllocs()
	loop.Run(b.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		for b.Loop() {
			loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
				for range 1000 {
					g.Go(func(ctx context.Context) error { return nil })
				}
				return nil
			})
		}
		return nil
	})
}
func BenchmarkQueue(b *testing.B) {
	b.ReportAllocs()
	loop.Run(b.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		q := loop.NewQueue[int](1)
		g.Background(func(ctx context.Context) error {
			for range q.All(ctx) {
			}
			return nil
		})
		for b.Loop() {
			q.Put(ctx, 1)
		}
		q.Close()
		return nil
	})
}
