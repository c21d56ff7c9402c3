package loop_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"concert/internal/race"
	"concert/loop"
	"concert/loop/looptest"
)

// TestQueue_Operations: a queue must be first in, first out, must not exceed
// its capacity, and must refuse items after Close.
func TestQueue_Operations(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		q := loop.NewQueue[int](2)
		var got []int
		var lastPut time.Duration
		start := time.Now()
		g.Go(func(ctx context.Context) error {
			for i := range 10 {
				if err := q.Put(ctx, i); err != nil {
					return err
				}
			}
			lastPut = time.Since(start)
			q.Close()
			q.Close()
			if err := q.Put(ctx, 10); err != loop.ErrClosed || q.TryPut(10) {
				t.Errorf("Put() into a closed queue = %v", err)
			}
			return nil
		})
		for v, err := range q.All(ctx) {
			if err != nil {
				return err
			}
			got = append(got, v)
			if q.Len() > 2 {
				t.Errorf("%d items in a queue with capacity 2", q.Len())
			}
			loop.Sleep(ctx, time.Second)
		}
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(got, want) || lastPut != 7*time.Second {
			t.Errorf("got %v; the last was put after %v", got, lastPut)
		}
		if v, err := q.Get(ctx); v != 0 || err != loop.ErrClosed {
			t.Errorf("Get() from a closed queue = %d, %v", v, err)
		}
		return nil
	})
}

// TestQueue_Close: Close must end waits for items and for room. The sequence of
// All must end with the cause of its context.
func TestQueue_Close(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		empty, full := loop.NewQueue[string](1), loop.NewQueue[string](1)
		full.TryPut("")
		getter := loop.Spawn(g, func(ctx context.Context) (error, error) { _, err := empty.Get(ctx); return err, nil })
		putter := loop.Spawn(g, func(ctx context.Context) (error, error) { return full.Put(ctx, ""), nil })
		loop.Yield(ctx)
		empty.Close()
		full.Close()
		for _, f := range []*loop.Future[error]{getter, putter} {
			if err, _ := f.Result(ctx); err != loop.ErrClosed {
				t.Errorf("%v: %v", f, err)
			}
		}
		if _, err := full.Get(ctx); err != nil {
			t.Errorf("the item of a closed queue: %v", err)
		}
		short, cancel := loop.WithTimeout(ctx, time.Second)
		defer cancel()
		n := 0
		for _, err := range loop.NewQueue[int](0).All(short) {
			if n++; err != context.DeadlineExceeded {
				t.Errorf("All() yields %v", err)
			}
		}
		if n != 1 {
			t.Errorf("All() yielded %d pairs", n)
		}
		return nil
	})
}

// TestQueue_GettersInOrder: items must be handed to waiters in order. If a step
// cancels a waiter and then adds an item, this waiter must get no item.
func TestQueue_GettersInOrder(t *testing.T) {
	var got []string
	ok(t, func(ctx context.Context, g *loop.Group) error {
		q := loop.NewQueue[string](0)
		var tasks []*loop.Task
		for i := range 4 {
			tasks = append(tasks, g.Go(func(ctx context.Context) error {
				v, err := q.Get(ctx)
				if err == nil {
					got = append(got, fmt.Sprint(i, v))
				}
				return err
			}))
		}
		loop.Yield(ctx)
		tasks[0].Cancel()
		q.TryPut("a")
		tasks[1].Cancel() // too late: this coroutine has already got its item
		q.TryPut("b")
		if _, ok := q.TryGet(); ok {
			t.Error("TryGet() took an item that was handed to a waiter")
		}
		q.TryPut("c")
		return nil
	})
	if want := []string{"1a", "2b", "3c"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestQueue_Random: if cancellations happen at random, each item must be
// received once or still be in the queue, and the items of each producer must
// arrive in order. A Put that failed must have added no item.
func TestQueue_Random(t *testing.T) {
	seeds := 2000
	if race.Enabled {
		seeds = 200
	}
	looptest.Explore(t, seeds, func(ctx context.Context, g *loop.Group) error {
		random := looptest.Rand(ctx)
		q := loop.NewQueue[[2]int](random.IntN(3))
		put, got := map[[2]int]bool{}, map[[2]int]int{}
		last := map[[2]int]int{} // the last item that a consumer has got from a producer
		err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
			var tasks []*loop.Task
			for p := range 4 {
				tasks = append(tasks, g.Go(func(ctx context.Context) error {
					for i := range 8 {
						short, cancel := loop.WithTimeout(ctx, time.Duration(random.IntN(4)))
						item := [2]int{p, i}
						if q.Put(short, item) == nil {
							put[item] = true
						}
						cancel()
						loop.Sleep(ctx, time.Duration(random.IntN(3)))
					}
					return nil
				}))
			}
			for c := range 3 {
				tasks = append(tasks, g.Go(func(ctx context.Context) error {
					for range 10 {
						short, cancel := loop.WithTimeout(ctx, time.Duration(random.IntN(4)))
						if item, err := q.Get(short); err == nil {
							got[item]++
							if before, ok := last[[2]int{item[0], c}]; ok && before >= item[1] {
								return fmt.Errorf("item %v after %d", item, before)
							}
							last[[2]int{item[0], c}] = item[1]
						}
						cancel()
						loop.Sleep(ctx, time.Duration(random.IntN(3)))
					}
					return nil
				}))
			}
			loop.Sleep(ctx, time.Duration(random.IntN(10)))
			for range 2 {
				tasks[random.IntN(len(tasks))].Cancel()
			}
			return nil
		})
		for {
			item, ok := q.TryGet()
			if !ok {
				break
			}
			got[item]++
		}
		for item, n := range got {
			if n != 1 || !put[item] {
				err = errors.Join(err, fmt.Errorf("item %v was received %d times; it was put: %v", item, n, put[item]))
			}
		}
		if len(put) != len(got) {
			err = errors.Join(err, fmt.Errorf("%d items were put, %d received", len(put), len(got)))
		}
		return err
	})
}
