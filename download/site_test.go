package download_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"concert/download"
)

// content returns the file of the server, which differs for each version.
func content(version, size int) []byte {
	b := make([]byte, size)
	x := uint64(version)*2654435761 + 12345
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// sha256Of returns the digest of a file for a request.
func sha256Of(b []byte) download.Digest {
	s := sha256.Sum256(b)
	return download.Digest{Algorithm: "sha256", Hex: hex.EncodeToString(s[:])}
}

// site is a server with one file and faults. The fields may change between two
// calls of Get.
type site struct {
	body     []byte
	tag      string    // the entity tag; empty means none
	modified time.Time // the header Last-Modified; zero means none
	cut      int       // if positive, the connection breaks after this number of bytes of a body
	handler  http.HandlerFunc

	mu       sync.Mutex
	requests []*http.Request
}

func newSite(size int) *site { return &site{body: content(1, size), tag: `"one"`} }

// ServeHTTP records the request, and sends the file or calls the handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	handler := s.handler
	s.mu.Unlock()
	if handler != nil {
		handler(w, r)
		return
	}
	s.send(w, r)
}

// send sends the file, or the requested range of it.
func (s *site) send(w http.ResponseWriter, r *http.Request) {
	validator := s.tag
	if s.tag != "" {
		w.Header().Set("ETag", s.tag)
	}
	if !s.modified.IsZero() {
		text := s.modified.UTC().Format(http.TimeFormat)
		w.Header().Set("Last-Modified", text)
		if validator == "" {
			validator = text
		}
	}
	if s.tag != "" && r.Header.Get("If-None-Match") == s.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	first, status := 0, http.StatusOK
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && validator != "" && r.Header.Get("If-Range") == validator {
		first, _ = strconv.Atoi(strings.TrimSuffix(from, "-"))
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, len(s.body)-1, len(s.body)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(s.body)-first))
	w.WriteHeader(status)
	if s.cut > 0 && s.cut < len(s.body)-first {
		w.Write(s.body[first : first+s.cut])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(s.body[first:])
}

// open starts the server and returns the URL of its file.
func (s *site) open(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL + "/file.bin"
}

// count returns the number of requests so far.
func (s *site) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// last returns the last request.
func (s *site) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

// newClient returns a client with short pauses.
func newClient(t *testing.T, opts download.ClientOptions) *download.Client {
	t.Helper()
	if opts.RetryDelay == 0 {
		opts.RetryDelay = time.Millisecond
	}
	client := download.NewClient(&opts)
	t.Cleanup(client.Close)
	return client
}

// once returns a client that makes a single attempt.
func once(t *testing.T) *download.Client {
	t.Helper()
	return newClient(t, download.ClientOptions{Retries: -1})
}

// newPipeClient returns a client whose connections are in memory, so that a
// test with virtual time can use it. For each request, the server calls the
// function serve with the number of the request. Then it closes the
// connection.
func newPipeClient(opts download.ClientOptions, serve func(conn net.Conn, r *http.Request, n int)) *download.Client {
	opts.Proxy = http.ProxyURL(nil)
	opts.Wrap = func(rt http.RoundTripper) http.RoundTripper {
		transport := rt.(*http.Transport)
		transport.DisableKeepAlives = true
		n := 0
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			n++
			number := n
			go func() {
				defer there.Close()
				if r, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
					serve(there, r, number)
				}
			}()
			return here, nil
		}
		return transport
	}
	return download.NewClient(&opts)
}

// files returns the names in a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantFiles fails the test unless a directory contains exactly these names.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if names := files(t, dir); !slices.Equal(names, append([]string{}, want...)) {
		t.Errorf("in the directory are %q, want %q", names, want)
	}
}

// wantContent fails the test unless a file has the given bytes.
func wantContent(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, %v; want the %d right ones", filepath.Base(path), len(got), err, len(want))
	}
}

// wantWhole fails the test unless the directory contains the right file and
// nothing else.
func wantWhole(t *testing.T, dir string, want []byte) {
	t.Helper()
	wantContent(t, filepath.Join(dir, "file.bin"), want)
	wantFiles(t, dir, "file.bin")
}

// wantError fails the test unless err is an *Error that contains text, and the
// method Temporary returns the given value.
func wantError(t *testing.T, err error, temporary bool, text string) *download.Error {
	t.Helper()
	e, ok := errors.AsType[*download.Error](err)
	if !ok || e.Temporary() != temporary || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("Get() = %v (%T); want an *Error of one line with %q, temporary %v", err, err, text, temporary)
	}
	return e
}

// interrupted leaves a part with half of the file.
func interrupted(t *testing.T, s *site) (dir, url string) {
	t.Helper()
	s.cut = len(s.body) / 2
	dir, url = t.TempDir(), s.open(t)
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	if e := wantError(t, err, true, "receive"); e.Kept != int64(s.cut) {
		t.Fatalf("Get kept %d bytes, want %d", e.Kept, s.cut)
	}
	wantFiles(t, dir, "file.bin.part", "file.bin.part.json")
	s.cut = 0
	return dir, url
}

// write writes a file of a test.
func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}
