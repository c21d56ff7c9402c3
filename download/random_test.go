package download_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"concert/download"
)

// randomServer has a file with several versions, and a random fault for each
// request.
type randomServer struct {
	versions [][]byte

	mu      sync.Mutex // guards the fields below
	random  *rand.Rand
	current int      // the version that the server has
	faults  int      // the number of faults that are left
	log     []string // the actions of the server
}

// draw returns the version for a request, and random numbers. Sometimes the
// server replaces the file first.
func (s *randomServer) draw() (version int, fault int, cut float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults == 0 {
		return s.current, -1, 0
	}
	s.faults--
	if s.random.IntN(8) == 0 {
		s.current = s.random.IntN(len(s.versions))
	}
	return s.current, s.random.IntN(12), s.random.Float64()
}

// ServeHTTP replies with a random fault.
func (s *randomServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, fault, cut := s.draw()
	body, tag, h := s.versions[version], fmt.Sprintf(`"%d"`, version), w.Header()
	from, end := 0, len(body)
	ranged := r.Header.Get("Range") != "" && r.Header.Get("If-Range") == tag
	if ranged {
		from, end = asked(r, len(body))
	}
	status, length := http.StatusPartialContent, true
	shown := fmt.Sprintf("bytes %d-%d/%d", from, end-1, len(body))
	what := ""
	switch fault {
	case 0:
		what, ranged = "ignores the range", false
	case 1:
		if r.Header.Get("Range") != "" {
			what = "refuses the range"
			status = []int{403, 416, 400, 501}[int(cut*4)]
			end = from
		}
	case 2:
		what, status, end = "has an error", 503, from
	case 3:
		what, status = "sends a range with the status 200", 200
	case 4:
		if ranged {
			what, status, shown = "sends a range as the whole file", 200, ""
		}
	case 5:
		what, shown = "sends another range", fmt.Sprintf("bytes %d-%d/%d", from+1, end-1, len(body))
	case 6:
		what, length = "sends no length", false
	case 7:
		what, tag = "sends no entity tag", ""
	case 8:
		if ranged {
			what, tag = "sends a range with another entity tag", `"other"`
		}
	}
	s.mu.Lock()
	s.log = append(s.log, fmt.Sprintf("%q: version %d, %s, cut at %.2f", r.Header.Get("Range"), version, what, cut))
	s.mu.Unlock()
	if !ranged && end > from {
		status, shown, from, end = http.StatusOK, "", 0, len(body)
	}
	h.Set("Accept-Ranges", "bytes")
	if tag != "" {
		h.Set("ETag", tag)
	}
	if shown != "" && (ranged || fault == 3) {
		h.Set("Content-Range", shown)
	}
	if length {
		h.Set("Content-Length", fmt.Sprint(end-from))
	}
	w.WriteHeader(status)
	b := body[from:end]
	if fault >= 0 && cut < 0.7 {
		w.Write(b[:int(float64(len(b))*cut/0.7)])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(b)
}

// newRandomServer returns a server with three versions. Two of them have the
// same length.
func newRandomServer(t *testing.T, random *rand.Rand) (s *randomServer, url string) {
	size := []int{1, 5000, 200_000, 2_500_000}[random.IntN(4)]
	s = &randomServer{random: random, faults: 30, versions: [][]byte{randomFile(1, size), randomFile(2, size)}}
	s.versions = append(s.versions, append(bytes.Clone(randomFile(1, size/2)), s.versions[1]...))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL + "/file.bin"
}

// TestGet_RandomFaults: a file that Get reports as complete must be one
// version of the file, for any fault of a server whose versions have different
// entity tags. When the server works again, Get must succeed.
func TestGet_RandomFaults(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			s, url := newRandomServer(t, random)
			dir := t.TempDir()
			path := filepath.Join(dir, "file.bin")
			r := download.Request{URL: url, Dir: dir}
			for range 40 {
				s.mu.Lock()
				client := newClient(t, download.ClientOptions{Retries: []int{-1, 3}[random.IntN(2)]})
				r.Connections = 1 + 3*random.IntN(2)
				cancelAt, listed := random.IntN(8), random.IntN(2) == 0
				s.mu.Unlock()
				r.Listing = nil
				if listed {
					r.Listing = map[string]bool{}
					for _, name := range files(t, dir) {
						r.Listing[name] = true
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				r.OnEvent = func(e download.Event) {
					if cancelAt--; cancelAt == 0 && e.Kind == download.EventProgress {
						cancel()
					}
				}
				got, err := client.Get(ctx, r)
				cancel()
				if err != nil {
					if b, e := os.ReadFile(path); e == nil {
						t.Fatalf("after %v, there is a file of %d bytes", err, len(b))
					}
					continue
				}
				b, err := os.ReadFile(path)
				if err != nil || !slices.ContainsFunc(s.versions, func(v []byte) bool { return bytes.Equal(b, v) }) {
					t.Fatalf("Get() = %+v; the file of %d bytes is no version; %v\n%q", got, len(b), err, s.log)
				}
				wantFiles(t, dir, "file.bin")
				return
			}
			t.Errorf("Get did not succeed: %q", s.log)
		})
	}
}

// TestGet_RandomComparison: an existing file has bytes of two versions. For
// any fault of the server, Get must not report this file as present, and must
// not change it.
func TestGet_RandomComparison(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s, url := newRandomServer(t, rand.New(rand.NewPCG(seed, 2)))
			half := len(s.versions[0]) / 2
			mixed := append(bytes.Clone(s.versions[0][:half]), s.versions[1][half:]...)
			if half == 0 {
				mixed[0] = s.versions[0][0] ^ s.versions[1][0] ^ 0x55
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, "file.bin"), mixed)
			for range 10 {
				got, err := newClient(t, download.ClientOptions{Retries: 3}).Get(t.Context(), download.Request{URL: url, Dir: dir})
				if err == nil {
					t.Fatalf("Get() = %+v for a mixed file\n%q", got, s.log)
				}
				wantWhole(t, dir, mixed)
			}
		})
	}
}
