package download_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"concert/download"
)

// listen starts a server, and returns the URL of a file. For each connection,
// the server reads the first bytes of a request, and calls answer.
func listen(t *testing.T, answer func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				c.Read(make([]byte, 4096))
				answer(c)
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/file.bin"
}

// TestGet_ReplyHangs has servers that begin a reply and do not end it: the
// attempt must end, although these replies contain no byte of the file.
func TestGet_ReplyHangs(t *testing.T) {
	t.Parallel()
	text := func(s string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, s) } }
	for _, c := range []struct {
		name, want string
		answer     func(net.Conn)
	}{
		{"body of an error", "404", text("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nab")},
		{"body of a redirect", "no complete reply", text("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 100\r\n\r\nab")},
		{"proxy", "no complete reply", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			opts := download.ClientOptions{Connect: 100 * time.Millisecond, Header: 100 * time.Millisecond, Retries: -1}
			address := "http://example.com/file.bin"
			if c.answer == nil {
				proxy, err := url.Parse(listen(t, func(net.Conn) {}))
				if err != nil {
					t.Fatal(err)
				}
				proxy.Scheme, proxy.Path = "socks5", ""
				opts.Proxy = http.ProxyURL(proxy)
			} else {
				address = listen(t, c.answer)
			}
			_, err := newClient(t, opts).Get(t.Context(), download.Request{URL: address, Dir: t.TempDir()})
			wantError(t, err, c.want != "404", c.want)
		})
	}
}

// TestGet_CanceledInReply cancels the context while the body of an error reply
// arrives.
func TestGet_CanceledInReply(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	cause := errors.New("the user has left")
	address := listen(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 503 No\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nab")
		cancel(cause)
	})
	if _, err := download.Get(ctx, download.Request{URL: address, Dir: t.TempDir()}); !errors.Is(err, cause) {
		t.Errorf("Get() = %v, want the cause", err)
	}
}

func TestGet_LongHeaders(t *testing.T) {
	for name, header := range map[string]string{
		"status": "404 " + strings.Repeat("x", 5<<20),
		"tag":    "200 OK\r\nETag: \"" + strings.Repeat("x", 5<<20) + `"`,
		"text":   "404 Not Found\r\nContent-Type: text/plain\r\nX: y",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			address := listen(t, func(c net.Conn) {
				io.WriteString(c, "HTTP/1.1 "+header+"\r\nContent-Length: 9000000\r\n\r\n")
				io.WriteString(c, strings.Repeat("z", 9_000_000))
			})
			_, err := once(t).Get(t.Context(), download.Request{URL: address, Dir: dir})
			if err == nil || len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes: %.200v", len(err.Error()), err)
			}
			wantFiles(t, dir)
		})
	}
}

func TestGet_EmptyGzip(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Encoding", "gzip") }))
	defer s.Close()
	dir := t.TempDir()
	got, err := once(t).Get(t.Context(), download.Request{URL: s.URL + "/f", Dir: dir})
	if err != nil || got.Size != 0 {
		t.Errorf("Get() = %+v, %v; want an empty file", got, err)
	}
	wantFiles(t, dir, "f")
}

// TestGet_CompressedName has a file that is compressed, and a server that says
// so in Content-Encoding. Get must not decompress the file, and must accept
// ranges of it.
func TestGet_CompressedName(t *testing.T) {
	s := &site{body: content(1, 3<<20), tag: `"1"`, cut: 2 << 20}
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "x-gzip")
		if r.Header.Get("Range") != "" {
			s.cut = 0
		}
		s.send(w, r)
	}
	address := strings.Replace(s.open(t), "file.bin", "file.tar.gz", 1)
	got, err := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond}).Get(t.Context(), download.Request{URL: address, Dir: t.TempDir()})
	if err != nil || s.count() != 2 || got.Size != 3<<20 {
		t.Errorf("Get() = %+v, %v after %d requests; want 2", got, err, s.count())
	}
}

// TestGet_StoredEncoding has a server that decompresses an object, and sends
// the hash of the compressed object. Get must ignore this hash.
func TestGet_StoredEncoding(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Goog-Stored-Content-Encoding", "gzip")
		w.Header().Set("X-Goog-Hash", "md5=AAAAAAAAAAAAAAAAAAAAAA==")
		io.WriteString(w, "decompressed by the server")
	}))
	defer s.Close()
	if _, err := once(t).Get(t.Context(), download.Request{URL: s.URL + "/f", Dir: t.TempDir()}); err != nil {
		t.Error(err)
	}
}

func TestGet_LongRetryAfter(t *testing.T) {
	for _, value := range []string{"99999999999", strings.Repeat("9", 100)} {
		s := newSite(10)
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, err := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond}).Get(t.Context(), download.Request{URL: s.open(t), Dir: t.TempDir()})
		if !errors.Is(err, download.ErrRetryAfter) || s.count() != 1 {
			t.Errorf("Get() = %v after %d requests; want ErrRetryAfter after 1", err, s.count())
		}
	}
}

func TestGet_ExtremeDelays(t *testing.T) {
	for _, delay := range []time.Duration{-time.Second, 10 * time.Minute} {
		s := newSite(10)
		s.handler = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		ctx, cancel := context.WithCancel(t.Context())
		_, err := newClient(t, download.ClientOptions{RetryDelay: delay}).Get(ctx, download.Request{URL: s.open(t), Dir: t.TempDir(), OnEvent: func(e download.Event) {
			if e.Kind == download.EventRetry && e.Delay > 0 {
				if e.Delay > time.Minute {
					t.Errorf("a pause of %v", e.Delay)
				}
				cancel()
			}
		}})
		cancel()
		if err == nil {
			t.Errorf("delay %v: no error", delay)
		}
	}
}
