package progress_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/goroutines"
	"concert/progress"
)

// In a log, there is a line at intervals, and a line at the end. On a terminal,
// there is a bar.
func Example() {
	show := progress.New(os.Stdout, &progress.Options{Total: 3, Noun: "words"})
	ex := goroutines.New(2, &goroutines.Options{Observer: show.Observe})
	defer ex.Close()
	upper := func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }
	for range concert.Map(context.Background(), ex, upper, slices.Values([]string{"one", "two", "three"})) {
	}
	os.Stdout.WriteString(strings.SplitAfter(show.String(), ", ")[0] + "\n")
	// Output: 3 of 3 words
}

func ExampleBytes() {
	fmt.Println(progress.Bytes(1_234_567))
	// Output: 1.23 MB
}

func ExampleDuration() {
	fmt.Println(progress.Duration(1234 * time.Millisecond))
	// Output: 1.23 s
}
