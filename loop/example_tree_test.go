package loop_test

import (
	"context"
	"fmt"
	"time"

	"concert/loop"
)

// The output of this example contains line numbers. The numbers stay the same
// when other examples change, because no other example is in this file.

// Tree shows which coroutines exist, and what each of them does.
func ExampleLoop_Tree() {
	loop.Run(context.Background(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) }).SetName("client %d", 7)
		loop.Current(ctx).SetName("main")
		loop.Sleep(ctx, time.Minute)
		fmt.Print(loop.Of(ctx).Tree())
		return nil
	})
	// Output:
	// loop: 2 coroutines
	// main (loop/example_tree_test.go:16): runs
	//     client 7 (loop/example_tree_test.go:17): waits in Sleep, 1m0s
}
