package resume_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"concert"
	"concert/goroutines"
	"concert/resume"
)

var count = concert.Register("resume_test.count", func(_ context.Context, text string) (int, error) {
	fmt.Printf("counting %q\n", text)
	return len(strings.Fields(text)), nil
})

func ExampleMap() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ex := goroutines.New(1, nil)
	defer ex.Close()

	// Each run opens the journal. The second run has one more text.
	for _, texts := range [][]string{{"to be", "or not"}, {"to be", "or not", "to be or not"}} {
		j, err := resume.Open(filepath.Join(dir, "work.journal"), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		for n, err := range resume.Map(context.Background(), ex, j, count, slices.Values(texts)) {
			fmt.Println(n, err)
		}
		j.Close()
	}
	// Unordered output:
	// counting "to be"
	// counting "or not"
	// 2 <nil>
	// 2 <nil>
	// 2 <nil>
	// 2 <nil>
	// counting "to be or not"
	// 4 <nil>
}
