package download_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"concert/download"
)

// TestGet_HTTP1NoLength: a reply of HTTP/1.0 without a length ends with the
// connection. A connection that is reset is an error. If a connection is
// closed before the end of the file, only a digest shows that the file is
// incomplete.
func TestGet_HTTP1NoLength(t *testing.T) {
	for _, size := range []int{1000, 3_000_000} {
		for _, c := range []struct {
			name            string
			reset, digest   bool
			temporary, file bool
			text            string
		}{
			{"reset", true, false, true, false, ""},
			{"reset, digest", true, true, true, false, ""},
			{"closed, digest", false, true, true, false, "wrong checksum"},
			{"closed", false, false, false, true, ""},
		} {
			t.Run(fmt.Sprint(size, " bytes, ", c.name), func(t *testing.T) {
				body := content(1, size)
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
					for {
						conn, err := l.Accept()
						if err != nil {
							return
						}
						if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
							fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nETag: \"one\"\r\n\r\n%s", body[:size/2])
						}
						if c.reset {
							conn.(*net.TCPConn).SetLinger(0)
						}
						conn.Close()
					}
				}()
				dir := t.TempDir()
				r := download.Request{URL: "http://" + l.Addr().String() + "/file.bin", Dir: dir}
				if c.digest {
					r.Digests = []download.Digest{sha256Of(body)}
				}
				_, err = once(t).Get(t.Context(), r)
				if c.file {
					if err != nil {
						t.Error(err)
					}
					wantWhole(t, dir, body[:size/2])
					return
				}
				wantError(t, err, c.temporary, c.text)
				for _, name := range files(t, dir) {
					if name == "file.bin" {
						t.Error("an incomplete file has the final name")
					}
				}
			})
		}
	}
}

// TestGet_HTTP2NoLength: HTTP/2 marks the end of a reply even if the reply has
// no length. A reply without this mark must be an error, and the next attempt
// must complete the file.
func TestGet_HTTP2NoLength(t *testing.T) {
	for _, size := range []int{1000, 3_000_000} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			s := newSite(size)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					t.Errorf("protocol %s", r.Proto)
				}
				w.Header().Set("ETag", s.tag)
				http.NewResponseController(w).Flush() // no length
				if s.count() > 1 {
					w.Write(s.body)
					return
				}
				w.Write(s.body[:size/2])
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			server := httptest.NewUnstartedServer(s)
			server.EnableHTTP2 = true
			server.StartTLS()
			defer server.Close()
			client := func(retries int) *download.Client {
				return newClient(t, download.ClientOptions{RootCAs: pool(server), Retries: retries})
			}
			dir := t.TempDir()
			r := download.Request{URL: server.URL + "/file.bin", Dir: dir}
			_, err := client(-1).Get(t.Context(), r)
			wantError(t, err, true, "receive")
			for _, name := range files(t, dir) {
				if name == "file.bin" {
					t.Error("an incomplete file has the final name")
				}
			}
			if got, err := client(1).Get(t.Context(), r); err != nil || got.Size != int64(size) {
				t.Errorf("Get() = %+v, %v", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}
