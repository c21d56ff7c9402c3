package resume_test

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"concert"
	"concert/goroutines"
	"concert/resume"
)

var increment = concert.Register("resume_test.increment", func(_ context.Context, n int) (int, error) { return n + 1, nil })

func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// BenchmarkMap measures Map with a new journal, Map with a complete journal,
// and concert.Map. An operation is one input.
func BenchmarkMap(b *testing.B) {
	ex := goroutines.New(2, nil)
	defer ex.Close()
	drain := func(b *testing.B, results iter.Seq2[int, error]) {
		i := 0
		for n, err := range results {
			if i++; err != nil || n != i {
				b.Fatal(n, err)
			}
		}
	}
	b.Run("concert", func(b *testing.B) {
		drain(b, concert.Map(b.Context(), ex, increment, numbers(b.N)))
	})
	for _, complete := range []bool{false, true} {
		b.Run(fmt.Sprint("journal/complete=", complete), func(b *testing.B) {
			j, err := resume.Open(filepath.Join(b.TempDir(), "j"), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			if complete {
				drain(b, resume.Map(b.Context(), ex, j, increment, numbers(b.N)))
				b.ResetTimer()
			}
			drain(b, resume.Map(b.Context(), ex, j, increment, numbers(b.N)))
		})
	}
}

// BenchmarkJournal_Append measures Append with one goroutine, and with several.
func BenchmarkJournal_Append(b *testing.B) {
	for _, workers := range []int{1, 8, 64} {
		for _, size := range []int{100, 20_000} {
			b.Run(fmt.Sprintf("workers=%d/bytes=%d", workers, size), func(b *testing.B) {
				j, err := resume.Open(filepath.Join(b.TempDir(), "j"), nil)
				if err != nil {
					b.Fatal(err)
				}
				defer j.Close()
				data := strings.Repeat("x", size)
				var wg sync.WaitGroup
				for w := range workers {
					wg.Go(func() {
						for i := w; i < b.N; i += workers {
							if err := j.Append(keyOf(i), true, i, strings.NewReader(data)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// BenchmarkOpen measures Open. An operation is one record.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "j")
	j, err := resume.Open(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	ex := goroutines.New(2, nil)
	defer ex.Close()
	for _, err := range resume.Map(b.Context(), ex, j, increment, numbers(b.N)) {
		if err != nil {
			b.Fatal(err)
		}
	}
	j.Close()
	b.ResetTimer()
	if j, err = resume.Open(path, nil); err != nil || j.Len() != b.N {
		b.Fatal(err)
	}
	j.Close()
}
