package download_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"concert/download"
)

// BenchmarkGet_Connections downloads a file from a server that limits the rate
// of each connection.
func BenchmarkGet_Connections(b *testing.B) {
	const (
		size = 32 * mib
		rate = 32 * mib // bytes per second of a connection
	)
	for _, n := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprintf("connections=%d", n), func(b *testing.B) {
			s := newRangeServer(size)
			s.sent = func(_ *http.Request, n int) { time.Sleep(time.Duration(n) * time.Second / rate) }
			url, dir := s.open(b), b.TempDir()
			client := download.NewClient(nil)
			defer client.Close()
			b.SetBytes(size)
			for b.Loop() {
				if _, err := client.Get(b.Context(), download.Request{URL: url, Dir: dir, Connections: n}); err != nil {
					b.Fatal(err)
				}
				if err := os.Remove(filepath.Join(dir, "large.bin")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
