package loop_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"concert/goroutines"
	"concert/loop"
)

// inLoop runs a benchmark as the main coroutine of a loop.
func inLoop(b *testing.B, main func(ctx context.Context, g *loop.Group)) {
	b.ReportAllocs()
	loop.Run(b.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		main(ctx, g)
		g.Cancel()
		return nil
	})
}

func nothing(context.Context) error { return nil }

// BenchmarkCreate starts a coroutine and waits for its end. The comparison is a
// goroutine with a channel.
func BenchmarkCreate(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		inLoop(b, func(ctx context.Context, g *loop.Group) {
			for b.Loop() {
				g.Go(nothing).Wait(ctx)
			}
		})
	})
	b.Run("goroutine", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			done := make(chan error, 1)
			go func() { done <- nothing(context.Background()) }()
			<-done
		}
	})
}

// BenchmarkGroup starts a thousand coroutines in a group, and reports the time
// per coroutine.
func BenchmarkGroup(b *testing.B) {
	const n = 1000
	perTask := func(b *testing.B) { b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/task") }
	b.Run("loop", func(b *testing.B) {
		inLoop(b, func(ctx context.Context, g *loop.Group) {
			for b.Loop() {
				loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
					for range n {
						g.Go(nothing)
					}
					return nil
				})
			}
		})
		perTask(b)
	})
	b.Run("goroutine", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var all sync.WaitGroup
			for range n {
				all.Go(func() { nothing(context.Background()) })
			}
			all.Wait()
		}
		perTask(b)
	})
}

// BenchmarkYield lets two coroutines take turns, and reports the time per turn.
func BenchmarkYield(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		inLoop(b, func(ctx context.Context, g *loop.Group) {
			turns := b.N / 2
			other := g.Go(func(ctx context.Context) error {
				for range turns {
					loop.Yield(ctx)
				}
				return nil
			})
			b.ResetTimer()
			for range turns {
				loop.Yield(ctx)
			}
			other.Wait(ctx)
		})
	})
	b.Run("goroutine", func(b *testing.B) {
		turns := b.N / 2
		ping, pong := make(chan struct{}, 1), make(chan struct{}, 1)
		go func() {
			for range turns {
				<-ping
				pong <- struct{}{}
			}
		}()
		b.ResetTimer()
		for range turns {
			ping <- struct{}{}
			<-pong
		}
	})
	b.Run("alone", func(b *testing.B) {
		inLoop(b, func(ctx context.Context, g *loop.Group) {
			for b.Loop() {
				loop.Yield(ctx)
			}
		})
	})
}

// BenchmarkQueue sends items through a queue with capacity one.
func BenchmarkQueue(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		inLoop(b, func(ctx context.Context, g *loop.Group) {
			q := loop.NewQueue[int](1)
			n := 0
			getter := g.Go(func(ctx context.Context) error {
				for range q.All(ctx) {
					n++
				}
				return nil
			})
			for b.Loop() {
				q.Put(ctx, 1)
			}
			q.Close()
			getter.Wait(ctx)
		})
	})
	b.Run("goroutine", func(b *testing.B) {
		b.ReportAllocs()
		q, done := make(chan int, 1), make(chan int)
		go func() {
			n := 0
			for range q {
				n++
			}
			done <- n
		}()
		for b.Loop() {
			q <- 1
		}
		close(q)
		<-done
	})
}

// BenchmarkEvent sets an event for a coroutine, which answers with another
// event.
func BenchmarkEvent(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		inLoop(b, func(ctx context.Context, g *loop.Group) {
			var ask, answer loop.Event
			g.Background(func(ctx context.Context) error {
				for ask.Wait(ctx) == nil {
					ask.Clear()
					answer.Set()
				}
				return nil
			})
			for b.Loop() {
				ask.Set()
				answer.Wait(ctx)
				answer.Clear()
			}
		})
	})
	b.Run("goroutine", func(b *testing.B) {
		b.ReportAllocs()
		ask, answer := make(chan struct{}), make(chan struct{})
		go func() {
			for range ask {
				answer <- struct{}{}
			}
		}()
		for b.Loop() {
			ask <- struct{}{}
			<-answer
		}
		close(ask)
	})
}

// BenchmarkOffload runs a function in a pool of goroutines, and awaits it.
func BenchmarkOffload(b *testing.B) {
	inLoop(b, func(ctx context.Context, g *loop.Group) {
		pool := goroutines.New(2, nil)
		defer pool.Close()
		for b.Loop() {
			loop.Offload(ctx, pool, func(_ context.Context, n int) (int, error) { return n, nil }, 1)
		}
	})
}

// BenchmarkBlock makes a call that returns at once, outside of the loop.
func BenchmarkBlock(b *testing.B) {
	inLoop(b, func(ctx context.Context, g *loop.Group) {
		for b.Loop() {
			loop.Block(ctx, func() error { return nil })
		}
	})
}

// BenchmarkTimeout makes a timeout and cancels it.
func BenchmarkTimeout(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		inLoop(b, func(ctx context.Context, g *loop.Group) {
			for b.Loop() {
				_, cancel := loop.WithTimeout(ctx, time.Hour)
				cancel()
			}
		})
	})
	b.Run("context", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, cancel := context.WithTimeout(b.Context(), time.Hour)
			cancel()
		}
	})
}
