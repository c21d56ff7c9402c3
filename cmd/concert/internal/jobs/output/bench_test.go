//go:build unix

package output

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkCapture measures the time of two kinds of captures: those of the
// store, which uses files again, and those with new files for each job.
func BenchmarkCapture(b *testing.B) {
	for _, size := range []int{0, 100, 20_000, 200_000} {
		data := strings.Repeat("x", size)
		for _, row := range []string{"store", "new files"} {
			b.Run(fmt.Sprint(size, " bytes/", row), func(b *testing.B) {
				s := openStore(b)
				for b.Loop() {
					if row == "new files" {
						s.mu.Lock()
						for _, f := range s.free {
							f.Close()
						}
						s.free = nil
						s.mu.Unlock()
					}
					c, err := s.Begin()
					if err != nil {
						b.Fatal(err)
					}
					io.WriteString(c.Stdout, data)
					o, err := c.Finish(false)
					if err != nil {
						b.Fatal(err)
					}
					o.Release()
				}
			})
		}
	}
}
