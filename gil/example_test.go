package gil_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"concert"
	"concert/gil"
	"concert/goroutines"
)

// engine may only be used by one goroutine at a time.
type engine struct{ steps int }

func (e *engine) step() { e.steps++ }

func Example() {
	lock := gil.New(nil)
	var shared engine
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			lock.Do(func(held gil.Held) {
				for range 1000 {
					shared.step()
					held.Checkpoint()
				}
			})
		})
	}
	all.Wait()
	fmt.Println(shared.steps)
	// Output: 4000
}

// A goroutine waits for a message that another goroutine sends. Both goroutines
// need the lock.
func ExampleHeld_Conn() {
	lock := gil.New(nil)
	here, there := net.Pipe()
	var all sync.WaitGroup
	all.Go(func() {
		lock.Do(func(held gil.Held) {
			message := make([]byte, 5)
			n, err := held.Conn(here).Read(message) // releases the lock
			fmt.Println(string(message[:n]), err)
		})
	})
	lock.Do(func(held gil.Held) {
		held.Conn(there).Write([]byte("hello"))
	})
	all.Wait()
	// Output: hello <nil>
}

// A function that blocks releases the lock that its context carries, if there
// is one.
func ExampleRelease() {
	fetch := func(ctx context.Context) (page string) {
		gil.Release(ctx, func() { page = "what took its time" })
		return page
	}
	lock := gil.New(nil)
	err := lock.Run(context.Background(), func(ctx context.Context) error {
		fmt.Println(fetch(ctx))
		return nil
	})
	fmt.Println(fetch(context.Background()), err)
	// Output:
	// what took its time
	// what took its time <nil>
}

// The tasks of a pool run like threads under an interpreter lock. One task at a
// time uses the engine, and a task that waits for another task releases the
// lock.
func Example_pool() {
	ctx := context.Background()
	ex := goroutines.New(4, &goroutines.Options{Lock: gil.New(nil)})
	defer ex.Close()
	var shared engine
	step := func(_ context.Context, n int) (int, error) {
		shared.step()
		return n * n, nil
	}
	sum := func(ctx context.Context, n int) (sum int, err error) {
		for square, err := range concert.Map(ctx, ex, step, slices.Values([]int{1, 2, n})) {
			if err != nil {
				return 0, err
			}
			sum += square
		}
		return sum, nil
	}
	fmt.Println(concert.Submit(ctx, ex, sum, 3).Result(ctx))
	fmt.Println(shared.steps)
	// Output:
	// 14 <nil>
	// 3
}

// A function without an argument for the Held finds the Held in its context.
func ExampleOf() {
	lock := gil.New(nil)
	held := func(ctx context.Context) bool { _, ok := gil.Of(ctx); return ok }
	err := lock.Run(context.Background(), func(ctx context.Context) error {
		fmt.Println(held(ctx))
		return nil
	})
	fmt.Println(held(context.Background()), err)
	// Output:
	// true
	// false <nil>
}

// A long computation hands the lock over at its checkpoints.
func ExampleCheckpoint() {
	sum := func(ctx context.Context, n int) (sum int) {
		for i := range n {
			sum += i
			gil.Checkpoint(ctx)
		}
		return sum
	}
	lock := gil.New(nil)
	err := lock.Run(context.Background(), func(ctx context.Context) error {
		fmt.Println(sum(ctx, 1000))
		return nil
	})
	fmt.Println(sum(context.Background(), 10), err)
	// Output:
	// 499500
	// 45 <nil>
}

func ExampleLock_Stats() {
	lock := gil.New(nil)
	for range 3 {
		lock.Do(func(gil.Held) {})
	}
	fmt.Println(lock.Stats().Switches)
	// Output: 3
}
