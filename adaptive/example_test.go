package adaptive_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"concert"
	"concert/adaptive"
	"concert/goroutines"
)

func ExampleNew() {
	limit := adaptive.New(&adaptive.Options{Max: 64})
	ex := goroutines.New(0, &goroutines.Options{Limit: limit})
	defer ex.Close()
	request := func(context.Context, int) (int, error) {
		time.Sleep(time.Millisecond) // as if it waited for a server
		return 0, nil
	}
	for range concert.Map(context.Background(), ex, request, slices.Values(make([]int, 2000))) {
	}
	for _, d := range limit.Decisions()[:1] {
		fmt.Println(d.From < d.To, d.Why)
	}
	// Output: true first measurement
}
