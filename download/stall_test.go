package download_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert/download"
)

// TestGet_SingleBytes: a server that sends two bytes per second has stalled,
// unless the time for the next KiB is long enough.
func TestGet_SingleBytes(t *testing.T) {
	for _, c := range []struct {
		stall time.Duration
		text  string
	}{{30 * time.Second, "the server stopped sending: less than 1024 bytes in 30s"}, {10 * time.Minute, ""}} {
		t.Run(c.stall.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := content(1, 3000)
				client := newPipeClient(download.ClientOptions{Retries: -1, Stall: c.stall}, func(conn net.Conn, _ *http.Request, _ int) {
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
					for i := 0; i < len(body); i += 2 {
						if _, err := conn.Write(body[i : i+2]); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				})
				defer time.Sleep(2 * time.Second) // gives the server time to end
				defer client.Close()
				dir := t.TempDir()
				_, err := client.Get(t.Context(), download.Request{URL: "http://slow.test/file.bin", Dir: dir})
				if c.text != "" {
					wantError(t, err, true, c.text)
					wantFiles(t, dir)
					return
				}
				if err != nil {
					t.Error(err)
				}
				wantWhole(t, dir, body)
			})
		})
	}
}

// TestGet_TricklesTwice: if only single bytes arrive in two attempts in a row,
// Get must fail. The next attempts would not be faster. An attempt does not
// count if more bytes arrive before the single bytes.
func TestGet_TricklesTwice(t *testing.T) {
	for _, c := range []struct {
		name     string
		quick    int // the number of requests whose reply has 200 kB before the single bytes
		requests int
	}{{"from the beginning", 0, 2}, {"after quick bytes", 3, 5}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := bytes.Repeat([]byte("x"), 1_000_000)
				requests := 0
				client := newPipeClient(download.ClientOptions{Stall: time.Second, Retries: 5}, func(conn net.Conn, r *http.Request, _ int) {
					requests++
					from, end := asked(r, len(body))
					status := "200 OK"
					if r.Header.Get("Range") != "" {
						status = fmt.Sprintf("206 Partial Content\r\nContent-Range: bytes %d-%d/%d", from, end-1, len(body))
					}
					fmt.Fprintf(conn, "HTTP/1.1 %s\r\nETag: \"one\"\r\nContent-Length: %d\r\n\r\n", status, end-from)
					if requests <= c.quick {
						conn.Write(body[from : from+200_000])
					}
					for {
						if _, err := io.WriteString(conn, "x"); err != nil {
							return
						}
						time.Sleep(100 * time.Millisecond)
					}
				})
				defer client.Close()
				defer time.Sleep(time.Second) // gives the server time to notice the end
				_, err := client.Get(t.Context(), download.Request{URL: "http://slow.test/file.bin", Dir: t.TempDir()})
				if err == nil || !strings.Contains(err.Error(), "less than 1024 bytes in 1s") || requests != c.requests {
					t.Errorf("Get() = %v after %d requests, want an error about the speed after %d", err, requests, c.requests)
				}
			})
		})
	}
}
