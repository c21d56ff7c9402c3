package loop_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"concert"
	"concert/goroutines"
	"concert/loop"
)

func Example() {
	err := loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		visits := map[string]int{} // of all connections, without a lock
		g.Background(func(ctx context.Context) error {
			return loop.Serve(ctx, listener, func(ctx context.Context, c net.Conn) {
				lines := bufio.NewScanner(c)
				for lines.Scan() { // other coroutines run in the meantime
					visits[lines.Text()]++
					fmt.Fprintf(c, "visit %d\n", visits[lines.Text()])
				}
			})
		})
		for range 100 {
			g.Go(func(ctx context.Context) error {
				c, err := loop.Dial(ctx, "tcp", listener.Addr().String())
				if err != nil {
					return err
				}
				defer c.Close()
				fmt.Fprintln(c, "Ann")
				answer, err := bufio.NewReader(c).ReadString('\n')
				if answer == "visit 100\n" {
					fmt.Print(answer)
				}
				return err
			})
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// visit 100
	// <nil>
}

// Coroutines are children of a group, which waits for all of them. The first
// error cancels the siblings.
func ExampleWithGroup() {
	loop.Run(context.Background(), nil, func(ctx context.Context, _ *loop.Group) error {
		err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error {
				err := loop.Sleep(ctx, time.Hour)
				fmt.Println(err)
				return err
			})
			g.Go(func(ctx context.Context) error { return errors.New("no such host") }).SetName("lookup")
			return nil
		})
		fmt.Println(err)
		return nil
	})
	// Output:
	// loop: canceled because lookup failed: no such host
	// no such host
}

// Two coroutines change the same account. They need no lock, because neither
// awaits between the check and the change.
func ExampleRun() {
	err := loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		account := 100
		withdraw := func(ctx context.Context) error {
			for range 10 {
				if account >= 10 {
					account -= 10
				}
				if err := loop.Yield(ctx); err != nil {
					return err
				}
			}
			return nil
		}
		g.Go(withdraw)
		return errors.Join(g.Go(withdraw).Wait(ctx), report(account))
	})
	fmt.Println(err)
	// Output:
	// 0 left
	// <nil>
}

func report(account int) error {
	fmt.Println(account, "left")
	return nil
}

func ExampleGroup_Go() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		hello := g.Go(func(ctx context.Context) error {
			fmt.Println("hello")
			return nil
		})
		fmt.Println("it does not run before the next await")
		return hello.Wait(ctx)
	})
	// Output:
	// it does not run before the next await
	// hello
}

// A ticker runs as long as the group has other work.
func ExampleGroup_Background() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error {
			for {
				if err := loop.Sleep(ctx, time.Second); err != nil {
					return err
				}
				fmt.Println("tick")
			}
		})
		return loop.Sleep(ctx, 2500*time.Millisecond)
	})
	// Output:
	// tick
	// tick
}

func ExampleGroup_After() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		say := func(what string) func(context.Context) error {
			return func(context.Context) error {
				fmt.Println(what)
				return nil
			}
		}
		g.After(2*time.Second, say("two seconds later"))
		g.After(time.Second, say("one second later"))
		g.After(time.Second, say("never")).Cancel()
		return nil
	})
	// Output:
	// one second later
	// two seconds later
}

func ExampleSpawn() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		answer := loop.Spawn(g, func(ctx context.Context) (int, error) { return 42, nil })
		fmt.Println(answer.Result(ctx))
		return nil
	})
	// Output: 42 <nil>
}

// The functions run concurrently, and the values are in order. An error would
// cancel the other functions.
func ExampleGather() {
	fetch := func(name string, d time.Duration) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return name, loop.Sleep(ctx, d) }
	}
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		begin := loop.Now(ctx)
		pages, err := loop.Gather(ctx, fetch("a", 3*time.Second), fetch("b", time.Second), fetch("c", 2*time.Second))
		fmt.Println(pages, err, loop.Now(ctx).Sub(begin))
		return nil
	})
	// Output: [a b c] <nil> 3s
}

// An error does not cancel the other functions.
func ExampleOutcomes() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		for _, o := range loop.Outcomes(ctx,
			func(context.Context) (int, error) { return 1, nil },
			func(context.Context) (int, error) { return 0, errors.New("no such page") },
			func(context.Context) (int, error) { panic("a mistake") },
		) {
			fmt.Println(o.Value, o.Err)
		}
		return nil
	})
	// Output:
	// 1 <nil>
	// 0 no such page
	// 0 concert: loop_test.ExampleOutcomes.func1.3: task panicked: a mistake
}

// The fastest of several mirrors wins, and the others are canceled.
func ExampleFirst() {
	mirror := func(name string, d time.Duration) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return name, loop.Sleep(ctx, d) }
	}
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		fmt.Println(loop.First(ctx, mirror("far", time.Minute), mirror("near", time.Second)))
		return nil
	})
	// Output: 1 near <nil>
}

// Of two nested timeouts, the inner one expires first. From then on, every
// await with the inner context fails.
func ExampleWithTimeout() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		outer, cancel := loop.WithTimeout(ctx, time.Minute)
		defer cancel()
		inner, cancel := loop.WithTimeout(outer, time.Second)
		defer cancel()
		fmt.Println(loop.Sleep(inner, time.Hour))
		fmt.Println(loop.Sleep(inner, time.Hour))
		fmt.Println(loop.Sleep(outer, time.Second))
		return nil
	})
	// Output:
	// context deadline exceeded
	// context deadline exceeded
	// <nil>
}

func ExampleWithCancel() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		g.After(time.Second, func(context.Context) error {
			cancel(errors.New("the user went away"))
			return nil
		})
		fmt.Println(loop.Sleep(inner, time.Hour))
		return nil
	})
	// Output: the user went away
}

// A coroutine cleans up after its cancellation, in at most one second.
func ExampleShield() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		session := g.Go(func(ctx context.Context) error {
			defer func() {
				ctx, cancel := loop.WithTimeout(loop.Shield(ctx), time.Second)
				defer cancel()
				fmt.Println("goodbye:", loop.Sleep(ctx, time.Millisecond))
			}()
			return loop.Sleep(ctx, time.Hour)
		})
		loop.Yield(ctx)
		session.Cancel()
		fmt.Println(session.Wait(ctx))
		return nil
	})
	// Output:
	// goodbye: <nil>
	// loop: canceled
}

// A queue with a capacity slows down its producers. Close ends the loop of the
// consumer.
func ExampleQueue() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		jobs := loop.NewQueue[string](2)
		g.Go(func(ctx context.Context) error {
			defer jobs.Close()
			for _, job := range []string{"wash", "dry", "fold"} {
				if err := jobs.Put(ctx, job); err != nil {
					return err
				}
			}
			return nil
		})
		for job, err := range jobs.All(ctx) {
			fmt.Println(job, err)
		}
		return nil
	})
	// Output:
	// wash <nil>
	// dry <nil>
	// fold <nil>
}

func ExampleEvent() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		var ready loop.Event
		for i := range 2 {
			g.Go(func(ctx context.Context) error {
				err := ready.Wait(ctx)
				fmt.Println("coroutine", i, "continues")
				return err
			})
		}
		loop.Yield(ctx)
		fmt.Println("ready")
		ready.Set()
		return nil
	})
	// Output:
	// ready
	// coroutine 0 continues
	// coroutine 1 continues
}

// A lock protects a section that awaits, and that only one coroutine at a
// time may run. Here, the section is the two lines of a conversation.
func ExampleMutex() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		var conversation loop.Mutex
		for _, name := range []string{"Ann", "Bob"} {
			g.Go(func(ctx context.Context) error {
				if err := conversation.Lock(ctx); err != nil {
					return err
				}
				defer conversation.Unlock()
				fmt.Println(name, "asks")
				if err := loop.Yield(ctx); err != nil {
					return err
				}
				fmt.Println(name, "listens")
				return nil
			})
		}
		return nil
	})
	// Output:
	// Ann asks
	// Ann listens
	// Bob asks
	// Bob listens
}

// At most two coroutines sleep concurrently.
func ExampleSemaphore() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		begin := loop.Now(ctx)
		permits := loop.NewSemaphore(2)
		err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
			for range 6 {
				g.Go(func(ctx context.Context) error {
					if err := permits.Acquire(ctx); err != nil {
						return err
					}
					defer permits.Release()
					return loop.Sleep(ctx, time.Second)
				})
			}
			return nil
		})
		fmt.Println(loop.Now(ctx).Sub(begin), err)
		return nil
	})
	// Output: 3s <nil>
}

func ExampleCond() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		var changed loop.Cond
		stock := 0
		g.Go(func(ctx context.Context) error {
			err := changed.WaitFor(ctx, func() bool { return stock >= 3 })
			fmt.Println("there are", stock)
			return err
		})
		for range 3 {
			loop.Yield(ctx)
			stock++
			changed.Broadcast()
		}
		return nil
	})
	// Output: there are 3
}

// An executor runs CPU-bound functions. A coroutine can also await a future of
// an executor.
func ExampleOffload() {
	sum := func(_ context.Context, n int) (sum int, err error) {
		for i := range n {
			sum += i
		}
		return sum, nil
	}
	pool := goroutines.New(2, nil) // or processes, or interpreters of Python
	defer pool.Close()
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		fmt.Println(loop.Offload(ctx, pool, sum, 1000))
		future := concert.Submit(ctx, pool, sum, 10)
		fmt.Println(future.Result(ctx)) // other coroutines run in the meantime
		return nil
	})
	// Output:
	// 499500 <nil>
	// 45 <nil>
}

// Another package, which does not use the loop, makes a blocking call.
func ExampleBlock() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(context.Context) error {
			fmt.Println("another coroutine runs")
			return nil
		})
		err := loop.Block(ctx, func() error {
			time.Sleep(10 * time.Millisecond) // as in a database driver
			return errors.New("no connection")
		})
		fmt.Println(err)
		return nil
	})
	// Output:
	// another coroutine runs
	// no connection
}

// Another goroutine runs functions in the loop.
func ExamplePortal() {
	portal := loop.Open(context.Background(), nil)
	defer portal.Close()
	state := map[string]int{} // used only in the loop
	err := portal.Run(context.Background(), func(ctx context.Context) error {
		state["visits"]++
		return loop.Sleep(ctx, time.Millisecond)
	})
	fmt.Println(state, err)
	// Output: map[visits:1] <nil>
}

// The tasks of this pool are coroutines of a loop. Submit and Map work as with
// any executor.
func ExamplePortal_executor() {
	portal := loop.Open(context.Background(), nil)
	defer portal.Close()
	pool := goroutines.New(100, &goroutines.Options{Lock: portal})
	defer pool.Close()

	balance := 0 // without a lock
	deposit := func(ctx context.Context, n int) (int, error) {
		balance += n
		if err := loop.Sleep(ctx, time.Millisecond); err != nil {
			return 0, err
		}
		return n, nil
	}
	for n, err := range concert.Map(context.Background(), pool, deposit, slices.Values([]int{10, 20, 30})) {
		fmt.Println(n, err)
	}
	fmt.Println(balance)
	// Output:
	// 10 <nil>
	// 20 <nil>
	// 30 <nil>
	// 60
}

// The loop reports a coroutine that holds the loop for too long, while the
// coroutine still runs.
func ExampleOptions_onStall() {
	reported := make(chan *loop.StallReport, 1)
	opts := &loop.Options{OnStall: func(r *loop.StallReport) { reported <- r }}
	loop.Run(context.Background(), opts, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(context.Context) error {
			r := <-reported // blocks without a call of package loop
			fmt.Println(r.Coroutine, "holds the loop for more than 100 ms:", r.For >= 100*time.Millisecond)
			return nil
		}).SetName("stuck")
		return nil
	})
	// Output: stuck holds the loop for more than 100 ms: true
}

// If two coroutines wait for each other, their waits fail.
func ExampleDeadlockError() {
	err := loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		var a, b *loop.Task
		a = g.Go(func(ctx context.Context) error { return b.Wait(ctx) }).SetName("a")
		b = g.Go(func(ctx context.Context) error { return a.Wait(ctx) }).SetName("b")
		return nil
	})
	if dl, ok := errors.AsType[*loop.DeadlockError](err); ok {
		for _, w := range dl.Waits()[1:] {
			fmt.Println(w.Coroutine, "waits in", w.For)
		}
	}
	// Output:
	// a waits in Task.Wait for b
	// b waits in Task.Wait for a
}

// If a queue has a capacity of 1, the second Put waits for a Get.
func ExampleNewQueue() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		q := loop.NewQueue[string](1)
		g.Go(func(ctx context.Context) error {
			for _, item := range []string{"a", "b"} {
				if err := q.Put(ctx, item); err != nil {
					return err
				}
				fmt.Println("put", item)
			}
			return nil
		})
		loop.Yield(ctx)
		for range 2 {
			item, err := q.Get(ctx)
			if err != nil {
				return err
			}
			fmt.Println("got", item)
		}
		return nil
	})
	// Output:
	// put a
	// got a
	// got b
	// put b
}

func ExampleNewSemaphore() {
	s := loop.NewSemaphore(2)
	fmt.Println(s.TryAcquire(), s.TryAcquire(), s.TryAcquire())
	s.Release()
	fmt.Println(s.TryAcquire())
	// Output:
	// true true false
	// true
}
