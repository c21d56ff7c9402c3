package resume_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"concert"
	"concert/goroutines"
	"concert/resume"
)

var counted atomic.Int64 // number of calls of count

var count = concert.Register("resume_test.count", func(_ context.Context, text string) (int, error) {
	counted.Add(1)
	return len(strings.Fields(text)), nil
})

func ExampleMap() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ex := goroutines.New(2, nil)
	defer ex.Close()

	// The second run has one more text.
	for _, texts := range [][]string{{"to be", "or not"}, {"to be", "or not", "to be or not"}} {
		j, err := resume.Open(filepath.Join(dir, "work.journal"), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		for n, err := range resume.Map(context.Background(), ex, j, count, slices.Values(texts)) {
			fmt.Println(n, err)
		}
		fmt.Println("calls:", counted.Swap(0))
		j.Close()
	}
	// Output:
	// 2 <nil>
	// 2 <nil>
	// calls: 2
	// 2 <nil>
	// 2 <nil>
	// 4 <nil>
	// calls: 1
}
