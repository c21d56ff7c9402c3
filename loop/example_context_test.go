package loop_test

import (
	"context"
	"fmt"
	"time"

	"concert/loop"
)

func ExampleWithDeadline() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		short, cancel := loop.WithDeadline(ctx, loop.Now(ctx).Add(time.Minute))
		defer cancel()
		fmt.Println(loop.Sleep(short, time.Hour))
		return nil
	})
	// Output: context deadline exceeded
}

// Virtual time advances only while all coroutines wait.
func ExampleNow() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		fmt.Println(loop.Now(ctx).Format(time.DateTime))
		loop.Sleep(ctx, 36*time.Hour)
		fmt.Println(loop.Now(ctx).Format(time.DateTime))
		return nil
	})
	// Output:
	// 2000-01-01 00:00:00
	// 2000-01-02 12:00:00
}

// Two coroutines sleep at the same time.
func ExampleSleep() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		begin := loop.Now(ctx)
		sleeper := g.Go(func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) })
		err := loop.Sleep(ctx, time.Hour)
		fmt.Println(err, sleeper.Wait(ctx), loop.Now(ctx).Sub(begin))
		return nil
	})
	// Output: <nil> <nil> 1h0m0s
}

func ExampleYield() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(context.Context) error {
			fmt.Println("another coroutine")
			return nil
		})
		fmt.Println("before Yield")
		loop.Yield(ctx)
		fmt.Println("after Yield")
		return nil
	})
	// Output:
	// before Yield
	// another coroutine
	// after Yield
}

func ExampleCurrent() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		loop.Current(ctx).SetName("server")
		fmt.Println(loop.Current(ctx))
		return nil
	})
	// Output: server
}

// A function can test whether it runs in a loop.
func ExampleOf() {
	fmt.Println(loop.Of(context.Background()) == nil)
	loop.Run(context.Background(), &loop.Options{Name: "chat"}, func(ctx context.Context, g *loop.Group) error {
		fmt.Println(loop.Of(ctx))
		return nil
	})
	// Output:
	// true
	// chat
}
