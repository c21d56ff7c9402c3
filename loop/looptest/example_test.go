package looptest_test

import (
	"context"
	"fmt"

	"concert/loop"
	"concert/loop/looptest"
)

// The error occurs only in some orders of execution, because the function
// awaits between the check of the balance and its change.
func ExampleFind() {
	found := looptest.Find(context.Background(), 1000, func(ctx context.Context, g *loop.Group) error {
		balance := 100
		withdraw := func(ctx context.Context) error {
			if balance < 100 {
				return nil
			}
			if err := loop.Yield(ctx); err != nil { // such as a question to the user
				return err
			}
			if balance -= 100; balance < 0 {
				return fmt.Errorf("the balance is %d", balance)
			}
			return nil
		}
		g.Go(withdraw)
		g.Go(withdraw)
		return nil
	})
	fmt.Println(found.Err)
	// Output: the balance is -100
}

func ExampleRand() {
	looptest.Find(context.Background(), 3, func(ctx context.Context, g *loop.Group) error {
		fmt.Println(looptest.Rand(ctx).IntN(100)) // the same for the same seed
		return nil
	})
	// Output:
	// 99
	// 5
	// 15
}
