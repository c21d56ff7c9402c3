package download_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"concert/download"
)

// rangeServer is a server with one large file. Tests replace parts of it to
// make it misbehave.
type rangeServer struct {
	body   []byte
	tag    string
	header http.Header // further headers of each reply

	// fault, if set, is called for each request with the number of the
	// request; the first number is 1. If fault returns true, it has sent the
	// reply.
	fault func(w http.ResponseWriter, r *http.Request, number int) bool

	// sent, if set, is called after each block of a body.
	sent func(r *http.Request, bytes int)

	mu     sync.Mutex // guards the fields below
	ranges []string   // the headers Range of all requests
	active int        // the number of requests that are running
	most   int        // the maximum of active
	bytes  int        // the number of bytes of bodies that were sent
	watch  func(int)  // if set, called after each change of bytes, with its new value
}

// randomBytes has the bytes of each version of the largest file.
var randomBytes = [2]func() []byte{
	sync.OnceValue(func() []byte { return makeRandom(1) }),
	sync.OnceValue(func() []byte { return makeRandom(2) }),
}

func makeRandom(version byte) []byte {
	b := make([]byte, 33<<20)
	rand.NewChaCha8([32]byte{version}).Read(b)
	return b
}

// randomFile returns the bytes of version 1 or 2 of a file. All files of a
// version begin with the same bytes.
func randomFile(version, size int) []byte { return randomBytes[version-1]()[:size:size] }

func newRangeServer(size int) *rangeServer {
	return &rangeServer{body: randomFile(1, size), tag: `"one"`, header: http.Header{"Accept-Ranges": {"bytes"}}}
}

// open starts the server, and returns the URL of its file.
func (s *rangeServer) open(t testing.TB) string {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL + "/large.bin"
}

// ServeHTTP counts the request and replies.
func (s *rangeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	number := len(s.ranges)
	s.active++
	s.most = max(s.most, s.active)
	fault := s.fault
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.active--
		s.mu.Unlock()
	}()
	if fault == nil || !fault(w, r, number) {
		s.reply(w, r, s.body, s.tag)
	}
}

// asked returns the range that a request asks for: the first byte and the byte
// after the last.
func asked(r *http.Request, size int) (from, end int) {
	var last int
	switch n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &last); n {
	case 1:
		return from, size
	case 2:
		return from, last + 1
	}
	return 0, size
}

// reply sends the requested range of a version of the file.
func (s *rangeServer) reply(w http.ResponseWriter, r *http.Request, body []byte, tag string) {
	h := w.Header()
	for name, values := range s.header {
		h[name] = values
	}
	h.Set("ETag", tag)
	from, end := 0, len(body)
	status := http.StatusOK
	if r.Header.Get("Range") != "" && r.Header.Get("If-Range") == tag {
		from, end = asked(r, len(body))
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, len(body)))
	}
	h.Set("Content-Length", strconv.Itoa(end-from))
	w.WriteHeader(status)
	s.send(w, r, body[from:end])
}

// send sends bytes in blocks.
func (s *rangeServer) send(w http.ResponseWriter, r *http.Request, b []byte) {
	for len(b) > 0 {
		n := min(len(b), 64<<10)
		if _, err := w.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
		s.mu.Lock()
		s.bytes += n
		if s.watch != nil {
			s.watch(s.bytes)
		}
		s.mu.Unlock()
		if s.sent != nil {
			s.sent(r, n)
		}
	}
}

// slow makes the server limit the rate of each connection, so that several
// connections receive bytes. Otherwise the first connection could receive all
// bytes.
func (s *rangeServer) slow() {
	s.sent = func(*http.Request, int) { time.Sleep(time.Millisecond) }
}

// requests returns the number of requests, and the number of bytes that were
// sent.
func (s *rangeServer) requests() (n, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ranges), s.bytes
}

// forget sets the counters to zero.
func (s *rangeServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges, s.most, s.bytes = nil, 0, 0
}

// sha256Digest returns the digest of a file for a request.
func sha256Digest(b []byte) download.Digest {
	sum := sha256.Sum256(b)
	return download.Digest{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// piecesClient returns a client with short pauses.
func piecesClient(t testing.TB, opts download.ClientOptions) *download.Client {
	if opts.RetryDelay == 0 {
		opts.RetryDelay = time.Millisecond
	}
	client := download.NewClient(&opts)
	t.Cleanup(client.Close)
	return client
}

// checkLarge fails the test unless the directory has the right file and nothing
// else.
func checkLarge(t testing.TB, dir string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("the file has %d bytes, want %d", len(got), len(want))
	}
	if !bytes.Equal(got, want) {
		first := 0
		for got[first] == want[first] {
			first++
		}
		t.Fatalf("byte %d of %d differs", first, len(want))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v; want the file alone", entries, err)
	}
}
