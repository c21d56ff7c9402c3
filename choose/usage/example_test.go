package usage_test

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"concert/choose/usage"
)

func ExampleCall() {
	nap := func(_ context.Context, d time.Duration) (string, error) {
		time.Sleep(d)
		return "rested", nil
	}
	out, used, err := usage.Call(context.Background(), nap, 20*time.Millisecond)
	fmt.Println(out, err)
	fmt.Println(used.Wall >= 20*time.Millisecond, used.CPU < used.Wall/2)
	// Output:
	// rested <nil>
	// true true
}

func ExampleCommand() {
	used, err := usage.Command(exec.Command("sleep", "0.05"))
	fmt.Println(used.Wall >= 50*time.Millisecond, used.CPU < 25*time.Millisecond, err)
	// Output: true true <nil>
}

func ExampleRepeat() {
	sum := 0
	used := usage.Repeat(1_000_000, func() { sum++ })
	fmt.Println(sum, used.Wall > 0)
	// Output: 1000000 true
}
