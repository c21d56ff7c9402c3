package download_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert/download"
)

const mib = 1 << 20

func TestPieces_Sizes(t *testing.T) {
	for _, size := range []int{1, mib, 2*mib - 1, 2 * mib, 5*mib + 3, 20*mib + 1} {
		for _, n := range []int{0, 1, 2, 3, 8, 64} {
			t.Run(fmt.Sprintf("%d bytes, %d connections", size, n), func(t *testing.T) {
				s := newRangeServer(size)
				dir := t.TempDir()
				var open openReplies
				got, err := piecesClient(t, download.ClientOptions{Wrap: open.wrap}).Get(t.Context(), download.Request{
					URL: s.open(t), Dir: dir, Connections: n, Digests: []download.Digest{sha256Digest(s.body)},
				})
				if err != nil {
					t.Fatal(err)
				}
				checkLarge(t, dir, s.body)
				if got.Size != int64(size) || got.Resumed != 0 || len(got.Digests) != 1 || got.Status != 200 || got.Attempts != 1 {
					t.Errorf("Get returned %+v", got)
				}
				requests, _ := s.requests()
				if single := n <= 1 || size < 2*mib; single && requests != 1 {
					t.Errorf("the server got %d requests", requests)
				}
				if open.most > max(1, n) {
					t.Errorf("%d replies were open concurrently, want at most %d", open.most, n)
				}
			})
		}
	}
}

// openReplies counts in the client the replies that are not closed. The server
// cannot count them, because it notices a closed connection late.
type openReplies struct {
	http.RoundTripper
	mu        sync.Mutex
	now, most int
}

func (o *openReplies) wrap(rt http.RoundTripper) http.RoundTripper {
	o.RoundTripper = rt
	return o
}

func (o *openReplies) count(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now += n
	o.most = max(o.most, o.now)
}

func (o *openReplies) RoundTrip(r *http.Request) (*http.Response, error) {
	o.count(1)
	resp, err := o.RoundTripper.RoundTrip(r)
	if err != nil {
		o.count(-1)
		return nil, err
	}
	resp.Body = &countedBody{resp.Body, sync.OnceFunc(func() { o.count(-1) })}
	return resp, nil
}

type countedBody struct {
	io.ReadCloser
	closed func()
}

func (b *countedBody) Close() error {
	defer b.closed()
	return b.ReadCloser.Close()
}

// TestPieces_Concurrent lets no connection end before all of them have started.
func TestPieces_Concurrent(t *testing.T) {
	const n = 8
	s := newRangeServer(32 * mib)
	var started sync.WaitGroup
	started.Add(n)
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number == 1 { // the header of the first reply must arrive before the other requests start
			s.sendWhole(w, r, 1)
		}
		if number <= n {
			started.Done()
		}
		started.Wait()
		if number == 1 {
			s.send(w, r, s.body[1:])
		}
		return number == 1
	}
	dir := t.TempDir()
	var last int64
	var running atomic.Int32
	_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{
		URL: s.open(t), Dir: dir, Connections: n,
		OnEvent: func(e download.Event) {
			if running.Add(1) != 1 {
				t.Error("two calls of OnEvent are running")
			}
			defer running.Add(-1)
			if e.Kind == download.EventProgress {
				if e.Done <= last || e.Total != int64(len(s.body)) {
					t.Errorf("progress %d of %d after %d", e.Done, e.Total, last)
				}
				last = e.Done
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	checkLarge(t, dir, s.body)
	if last != int64(len(s.body)) || s.most != n {
		t.Errorf("the last progress is %d, and %d requests were running concurrently; want %d and %d", last, s.most, len(s.body), n)
	}
}

// TestPieces_SlowConnection has a connection that receives nothing until the
// other connections have received nearly all bytes. They must take its work.
func TestPieces_SlowConnection(t *testing.T) {
	const size = 24 * mib
	for _, slow := range []int{1, 2} {
		t.Run(fmt.Sprintf("request %d", slow), func(t *testing.T) {
			s := newRangeServer(size)
			enough := make(chan struct{})
			var once sync.Once
			var others atomic.Int64
			s.sent = func(r *http.Request, n int) {
				if others.Add(int64(n)) >= size-3*mib {
					once.Do(func() { close(enough) })
				}
			}
			s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
				if number != slow {
					return false
				}
				from, end := asked(r, size)
				if slow == 1 {
					s.sendWhole(w, r, 0)
				} else {
					w.Header().Set("ETag", s.tag)
					w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, size))
					w.WriteHeader(206)
					http.NewResponseController(w).Flush()
				}
				<-enough
				s.send(w, r, s.body[from:end])
				return true
			}
			dir := t.TempDir()
			if _, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 3}); err != nil {
				t.Fatal(err)
			}
			checkLarge(t, dir, s.body)
		})
	}
}

// TestPieces_Misbehave has servers with faults. The download must succeed
// nevertheless.
func TestPieces_Misbehave(t *testing.T) {
	t.Parallel()
	const size = 12*mib + 17
	refuse := func(status int) func(*rangeServer) {
		return func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
				if number > 1 {
					w.WriteHeader(status)
				}
				return number > 1
			}
		}
	}
	limit := func(most, status int) func(*rangeServer) {
		return func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
				s.mu.Lock()
				refused := s.active > most
				s.mu.Unlock()
				if refused {
					w.Header().Set("Retry-After", "3600")
					w.WriteHeader(status)
				}
				return refused
			}
		}
	}
	// One of three further requests gets a changed reply.
	wrong := func(change func(s *rangeServer, w http.ResponseWriter, from, end int)) func(*rangeServer) {
		return func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
				if number < 2 || number%3 != 0 {
					return false
				}
				from, end := asked(r, size)
				w.Header().Set("ETag", s.tag)
				change(s, w, from, end)
				return true
			}
		}
	}
	contentRange := func(w http.ResponseWriter, from, end, total int) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, total))
		w.WriteHeader(206)
	}
	for _, c := range []struct {
		name   string
		change func(*rangeServer)
		most   int // the maximum number of requests; 0 means any
	}{
		{"no header Accept-Ranges", func(s *rangeServer) { s.header = nil }, 1},
		{"Accept-Ranges: none", func(s *rangeServer) { s.header.Set("Accept-Ranges", "none") }, 1},
		{"weak entity tag", func(s *rangeServer) { s.tag = `W/"one"` }, 1},
		{"no ranges, although announced", func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
				r.Header.Del("Range")
				return false
			}
		}, 4},
		{"200 to further connections", refuse(200), 4},
		{"403 to further connections", refuse(403), 4},
		{"404 to further connections", refuse(404), 4},
		{"416 to further connections", refuse(416), 4},
		{"429 to further connections", refuse(429), 4},
		{"503 to further connections", refuse(503), 4},
		{"500 to further connections", refuse(500), 0},
		{"at most 1 connection, 429", limit(1, 429), 0},
		{"at most 2 connections, 429", limit(2, 429), 0},
		{"at most 2 connections, 403", limit(2, 403), 0},
		{"at most 3 connections, 503", limit(3, 503), 0},
		{"wrong first byte", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			contentRange(w, from-1, end, size)
			s.send(w, nil, s.body[from-1:end])
		}), 0},
		{"wrong last byte", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			contentRange(w, from, end-1, size)
			s.send(w, nil, s.body[from:end-1])
		}), 0},
		{"wrong total", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			contentRange(w, from, end, size+1)
			s.send(w, nil, s.body[from:end])
		}), 0},
		{"wrong length", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			w.Header().Set("Content-Length", "5")
			contentRange(w, from, end, size)
			w.Write(s.body[from : from+5])
		}), 0},
		{"no entity tag", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			w.Header().Del("ETag")
			contentRange(w, from, end, size)
			w.Write(make([]byte, end-from))
		}), 0},
		{"another entity tag", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			w.Header().Set("ETag", `"two"`)
			contentRange(w, from, end, size)
			w.Write(make([]byte, end-from))
		}), 0},
		{"compressed range", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			w.Header().Set("Content-Encoding", "gzip")
			contentRange(w, from, end, size)
			w.Write(make([]byte, end-from))
		}), 0},
		{"no body", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			contentRange(w, from, end, size)
		}), 0},
		{"short chunked body", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			contentRange(w, from, end, size)
			s.send(w, nil, s.body[from:from+100_000])
		}), 0},
		{"broken body", wrong(func(s *rangeServer, w http.ResponseWriter, from, end int) {
			w.Header().Set("Content-Length", strconv.Itoa(end-from))
			contentRange(w, from, end, size)
			s.send(w, nil, s.body[from:from+100_000])
			panic(http.ErrAbortHandler)
		}), 0},
		{"every body broken after 300 kB", func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
				from, end := asked(r, size)
				w.Header().Set("Accept-Ranges", "bytes")
				w.Header().Set("ETag", s.tag)
				w.Header().Set("Content-Length", strconv.Itoa(end-from))
				if r.Header.Get("Range") != "" {
					contentRange(w, from, end, size)
				}
				s.send(w, r, s.body[from:min(end, from+300_000)])
				if from+300_000 < end {
					http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
				return true
			}
		}, 0},
		{"broken first connection", func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
				if number > 1 {
					return false
				}
				s.sendWhole(w, r, 1234567)
				panic(http.ErrAbortHandler)
			}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newRangeServer(size)
			c.change(s)
			dir := t.TempDir()
			_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 4, OnEvent: func(e download.Event) {
				if e.Kind == download.EventRetry {
					t.Logf("retry at %d: %v", e.Done, e.Err)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			checkLarge(t, dir, s.body)
			if n, _ := s.requests(); c.most > 0 && n > c.most {
				t.Errorf("the server got %d requests, want at most %d", n, c.most)
			}
		})
	}
}

// sendWhole sends the header of a reply with the whole file, and its first n
// bytes.
func (s *rangeServer) sendWhole(w http.ResponseWriter, r *http.Request, n int) {
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("ETag", s.tag)
	w.Header().Set("Content-Length", strconv.Itoa(len(s.body)))
	s.send(w, r, s.body[:n])
	http.NewResponseController(w).Flush()
}

// TestPieces_LimitAfterPiece has a server that replies 429 and demands a long
// pause when the last active connection requests another piece.
func TestPieces_LimitAfterPiece(t *testing.T) {
	s := newRangeServer(12 * mib)
	second, refused := make(chan struct{}), make(chan struct{})
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		switch number {
		case 1:
			s.sendWhole(w, r, mib)
			<-second
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("ETag", s.tag)
			from, end := asked(r, len(s.body))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, len(s.body)))
			w.WriteHeader(206)
			s.send(w, r, s.body[from:from+mib])
			http.NewResponseController(w).Flush()
			close(second)
			<-refused
			s.send(w, r, s.body[from+mib:end])
		case 3, 4:
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
			if number == 3 {
				close(refused)
			}
		}
		return number < 5
	}
	dir := t.TempDir()
	got, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	checkLarge(t, dir, s.body)
	if n, _ := s.requests(); n != 5 || got.Attempts != 2 {
		t.Errorf("Get made %d requests and %d attempts, want 5 and 2: the second attempt has one connection", n, got.Attempts)
	}
}

// TestPieces_LongBody has a reply with more bytes than its header announced.
// Get must not use any of these bytes.
func TestPieces_LongBody(t *testing.T) {
	s := newRangeServer(12 * mib)
	third := make(chan struct{})
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		switch number {
		case 1:
			s.sendWhole(w, r, mib)
			select {
			case <-r.Context().Done(): // the client has noticed it
			case <-third:
				s.send(w, r, s.body[mib:])
			}
			return true
		case 2:
			from, end := asked(r, len(s.body))
			w.Header().Set("ETag", s.tag)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, len(s.body)))
			w.WriteHeader(206)
			s.send(w, r, s.body[from:end])
			w.Write(make([]byte, 1000))
			return true
		case 3:
			close(third)
		}
		return false
	}
	dir := t.TempDir()
	var reason error
	_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 2, OnEvent: func(e download.Event) {
		if e.Kind == download.EventRetry {
			reason = e.Err
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	checkLarge(t, dir, s.body)
	if reason == nil || !strings.Contains(reason.Error(), "more bytes") {
		t.Errorf("the reason of the second attempt is %v, want the long body", reason)
	}
}

// TestPieces_AnotherVersion changes the file on the server during the download.
// The result must be one of the two versions, and never a mixture.
func TestPieces_AnotherVersion(t *testing.T) {
	t.Parallel()
	const size = 12 * mib
	second := randomFile(2, size)
	for _, ignoresIfRange := range []bool{false, true} {
		for number := 2; number <= 9; number++ {
			t.Run(fmt.Sprintf("from request %d, If-Range ignored %v", number, ignoresIfRange), func(t *testing.T) {
				t.Parallel()
				s := newRangeServer(size)
				s.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
					if n < number {
						if n == 1 && number%2 == 1 { // the reply with the old version breaks
							s.sendWhole(w, r, mib)
							panic(http.ErrAbortHandler)
						}
						return false
					}
					if ignoresIfRange && r.Header.Get("If-Range") != "" {
						r.Header.Set("If-Range", `"two"`)
					}
					s.reply(w, r, second, `"two"`)
					return true
				}
				dir := t.TempDir()
				_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 3})
				if err != nil {
					t.Fatal(err)
				}
				want := s.body
				if b, err := os.ReadFile(filepath.Join(dir, "large.bin")); err == nil && len(b) == size && b[0] == second[0] {
					want = second
				}
				checkLarge(t, dir, want)
			})
		}
	}
}

// TestPieces_StalledConnection has connections on which a few bytes arrive and
// then nothing.
func TestPieces_StalledConnection(t *testing.T) {
	t.Parallel()
	const size = 8 * mib
	s := newRangeServer(size)
	end := make(chan struct{})
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number != 2 && number != 4 {
			return false
		}
		from, last := asked(r, size)
		w.Header().Set("ETag", s.tag)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, last-1, size))
		w.WriteHeader(206)
		w.Write(s.body[from : from+100])
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-end:
		}
		return true
	}
	dir := t.TempDir()
	url := s.open(t)
	t.Cleanup(func() { close(end) })
	if _, err := piecesClient(t, download.ClientOptions{Stall: time.Second}).Get(t.Context(), download.Request{URL: url, Dir: dir, Connections: 4}); err != nil {
		t.Fatal(err)
	}
	checkLarge(t, dir, s.body)
}

func TestPieces_Digests(t *testing.T) {
	const size = 6 * mib
	for _, c := range []struct {
		name  string
		right bool
	}{{"right", true}, {"wrong", false}} {
		t.Run(c.name, func(t *testing.T) {
			s := newRangeServer(size)
			d := sha256Digest(s.body)
			if !c.right {
				d = sha256Digest(s.body[1:])
			}
			dir := t.TempDir()
			got, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 4, Digests: []download.Digest{d}})
			if c.right {
				if err != nil || len(got.Digests) != 1 {
					t.Fatalf("Get = %+v, %v", got, err)
				}
				checkLarge(t, dir, s.body)
				return
			}
			if !errors.Is(err, download.ErrChecksum) {
				t.Fatalf("Get returned the error %v, want ErrChecksum", err)
			}
			checkEmpty(t, dir)
		})
	}
	t.Run("sent, of damaged bytes", func(t *testing.T) {
		s := newRangeServer(size)
		s.header.Set("Repr-Digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")
		dir := t.TempDir()
		_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 4})
		if !errors.Is(err, download.ErrChecksum) {
			t.Fatalf("Get returned the error %v, want ErrChecksum", err)
		}
		checkEmpty(t, dir)
	})
}

func TestPieces_Mirrors(t *testing.T) {
	const size = 16 * mib
	t.Run("of the same version", func(t *testing.T) {
		a, b := newRangeServer(size), newRangeServer(size)
		dir := t.TempDir()
		_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: a.open(t), Mirrors: []string{b.open(t)}, Dir: dir, Connections: 4, Digests: []download.Digest{sha256Of(a.body)}})
		if err != nil {
			t.Fatal(err)
		}
		checkLarge(t, dir, a.body)
		if n, _ := b.requests(); n == 0 {
			t.Error("the mirror got no request")
		}
	})
	for _, ignore := range []bool{false, true} {
		t.Run(fmt.Sprintf("of another version, If-Range ignored %v", ignore), func(t *testing.T) {
			a, b := newRangeServer(size), newRangeServer(size)
			b.body, b.tag = randomFile(2, size), `"two"`
			if ignore {
				b.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
					r.Header.Set("If-Range", b.tag)
					return false
				}
			}
			dir := t.TempDir()
			_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: a.open(t), Mirrors: []string{b.open(t)}, Dir: dir, Connections: 4})
			if err != nil {
				t.Fatal(err)
			}
			checkLarge(t, dir, a.body)
		})
	}
	t.Run("that is away", func(t *testing.T) {
		a, b := newRangeServer(size), httptest.NewServer(nil)
		b.Close()
		dir := t.TempDir()
		_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: a.open(t), Mirrors: []string{b.URL}, Dir: dir, Connections: 4})
		if err != nil {
			t.Fatal(err)
		}
		checkLarge(t, dir, a.body)
	})
}

func TestPieces_Options(t *testing.T) {
	const size = 8 * mib
	t.Run("Limit counts all connections", func(t *testing.T) {
		s := newRangeServer(size)
		var bytes atomic.Int64
		client := piecesClient(t, download.ClientOptions{Limit: func(n int) time.Duration { bytes.Add(int64(n)); return 0 }})
		dir := t.TempDir()
		if _, err := client.Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 4}); err != nil {
			t.Fatal(err)
		}
		checkLarge(t, dir, s.body)
		// Bytes at the boundaries of up to 8 pieces are received twice.
		if n := bytes.Load(); n < size || n > size+8*4<<10 {
			t.Errorf("Limit was called for %d bytes, want %d", n, size)
		}
	})
	t.Run("PerHost limits the connections", func(t *testing.T) {
		s := newRangeServer(size)
		dir := t.TempDir()
		client := piecesClient(t, download.ClientOptions{PerHost: 1})
		if _, err := client.Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 4}); err != nil {
			t.Fatal(err)
		}
		checkLarge(t, dir, s.body)
	})
	t.Run("HTTP/2 does not join the connections", func(t *testing.T) {
		s := newRangeServer(size)
		server := httptest.NewUnstartedServer(s)
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		var mu sync.Mutex
		addresses, versions := map[string]bool{}, map[string]bool{}
		s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
			mu.Lock()
			defer mu.Unlock()
			addresses[r.RemoteAddr], versions[r.Proto] = true, true
			return false
		}
		dir := t.TempDir()
		client := piecesClient(t, download.ClientOptions{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
		if _, err := client.Get(t.Context(), download.Request{URL: server.URL + "/large.bin", Dir: dir, Connections: 4}); err != nil {
			t.Fatal(err)
		}
		checkLarge(t, dir, s.body)
		if len(addresses) < 2 || !versions["HTTP/2.0"] {
			t.Errorf("the requests came from %d connections with %v; want several, and HTTP/2 for the first", len(addresses), versions)
		}
	})
	for _, n := range []int{-1, 65} {
		t.Run(fmt.Sprintf("%d connections are an error", n), func(t *testing.T) {
			_, err := download.Get(t.Context(), download.Request{URL: "http://localhost/large.bin", Connections: n})
			if err == nil || !strings.Contains(err.Error(), "Connections") {
				t.Errorf("Get returned the error %v", err)
			}
		})
	}
}

func TestPieces_DigestOfLaterReply(t *testing.T) {
	s := newRangeServer(16 * mib)
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number > 1 {
			w.Header().Set("Repr-Digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")
		}
		return false
	}
	_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: t.TempDir(), Connections: 4})
	if !errors.Is(err, download.ErrChecksum) {
		t.Errorf("Get() = %v, want ErrChecksum", err)
	}
}
