package download_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concert/download"
)

// checkEmpty fails the test unless the directory is empty.
func checkEmpty(t testing.TB, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the directory has %v, %v; want nothing", entries, err)
	}
}

// interrupt starts a download and cancels it after it has received a number of
// bytes. It returns the number of bytes that are kept.
func interrupt(t *testing.T, url, dir string, connections int, after int64) (kept int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := piecesClient(t, download.ClientOptions{}).Get(ctx, download.Request{URL: url, Dir: dir, Connections: connections, OnEvent: func(e download.Event) {
		if e.Done >= after {
			cancel()
		}
	}})
	e, ok := errors.AsType[*download.Error](err)
	if !ok || !errors.Is(err, context.Canceled) {
		t.Fatalf("the canceled Get returned %v", err)
	}
	return e.Kept
}

// recorded is the part of a state that the tests use.
type recorded struct {
	Boot   string     `json:"boot,omitempty"`
	Synced int64      `json:"synced"`
	Pieces [][2]int64 `json:"pieces,omitempty"`
}

// lastState returns the last state in the state file.
func lastState(t *testing.T, dir string) (r recorded) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "large.bin.part.json"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		r.Pieces = nil
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// interruptWithHoles interrupts downloads until the part has a piece after a
// hole.
func interruptWithHoles(t *testing.T, s *rangeServer, url, dir string) recorded {
	t.Helper()
	// The first connection waits, so that the prefix is short.
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number > 1 {
			return false
		}
		s.sendWhole(w, r, 300_000)
		<-r.Context().Done()
		return true
	}
	interrupt(t, url, dir, 4, int64(len(s.body))*2/3)
	s.mu.Lock()
	s.fault = nil // a request of an ended connection may arrive late
	s.mu.Unlock()
	s.forget()
	r := lastState(t, dir)
	if len(r.Pieces) == 0 {
		t.Fatalf("the state records no pieces: %+v", r)
	}
	return r
}

// sum returns the number of recorded bytes.
func (r recorded) sum() int64 {
	n := r.Synced
	for _, p := range r.Pieces {
		n += p[1] - p[0]
	}
	return n
}

func TestPieces_Continue(t *testing.T) {
	const size = 16*mib + 5
	for _, n := range []int{1, 2, 4, 16} {
		t.Run(fmt.Sprintf("with %d connections", n), func(t *testing.T) {
			s := newRangeServer(size)
			url, dir := s.open(t), t.TempDir()
			r := interruptWithHoles(t, s, url, dir)
			var first int64 = -1
			got, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir, Connections: n, Digests: []download.Digest{sha256Digest(s.body)},
				OnEvent: func(e download.Event) {
					if e.Kind == download.EventReply && first < 0 {
						first = e.Done
					}
				}})
			if err != nil {
				t.Fatal(err)
			}
			checkLarge(t, dir, s.body)
			if got.Resumed != r.sum() || first != r.sum() {
				t.Errorf("Get resumed %d bytes, and the first event had %d; want %d", got.Resumed, first, r.sum())
			}
		})
	}
}

// TestPieces_ContinueOneWithSeveral checks that several connections continue a
// part of one connection.
func TestPieces_ContinueOneWithSeveral(t *testing.T) {
	s := newRangeServer(16 * mib)
	url, dir := s.open(t), t.TempDir()
	kept := interrupt(t, url, dir, 1, 5*mib)
	s.forget()
	// The first connection waits for another one.
	second := make(chan struct{})
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number == 2 {
			close(second)
		}
		return false
	}
	s.sent = func(*http.Request, int) { <-second }
	got, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir, Connections: 4})
	if err != nil {
		t.Fatal(err)
	}
	checkLarge(t, dir, s.body)
	if got.Resumed != kept || kept < 5*mib {
		t.Errorf("Get resumed %d bytes of %d", got.Resumed, kept)
	}
}

// TestPieces_ResumedBeforeWholeReply: if the server sends a part of the missing
// bytes, and then the whole file, Resumed must count only the bytes of the
// earlier Get that were kept.
func TestPieces_ResumedBeforeWholeReply(t *testing.T) {
	for _, c := range []struct {
		name string
		new  func(r recorded) int64 // the number of bytes that arrive before the whole file
		want func(r recorded) int64
	}{
		{"a part of the first hole", func(recorded) int64 { return 300_000 }, func(r recorded) int64 { return r.Synced }},
		{"the first hole", func(r recorded) int64 { return r.Pieces[0][0] - r.Synced }, func(r recorded) int64 { return r.Synced + r.Pieces[0][1] - r.Pieces[0][0] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newRangeServer(16 * mib)
			url, dir := s.open(t), t.TempDir()
			r := interruptWithHoles(t, s, url, dir)
			s.fault = func(w http.ResponseWriter, request *http.Request, number int) bool {
				if number > 1 {
					request.Header.Del("Range")
					return false
				}
				from, end := asked(request, len(s.body))
				s.sendPart(w, request, from, end, int(r.Synced+c.new(r))-from)
				panic(http.ErrAbortHandler)
			}
			got, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if err != nil || got.Resumed != c.want(r) {
				t.Errorf("Get() = %+v, %v; want %d bytes resumed, after %+v", got, err, c.want(r), r)
			}
			checkLarge(t, dir, s.body)
		})
	}
}

// TestPieces_Damaged damages recorded and other bytes of a part.
func TestPieces_Damaged(t *testing.T) {
	t.Parallel()
	const size = 16 * mib
	damage := func(t *testing.T, dir string, from, end int64) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, "large.bin.part"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b := make([]byte, end-from)
		if _, err := f.ReadAt(b, from); err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 0xff // changes every byte
		}
		if _, err := f.WriteAt(b, from); err != nil {
			t.Fatal(err)
		}
	}
	editState := func(t *testing.T, dir string, edit func(string) string) {
		t.Helper()
		path := filepath.Join(dir, "large.bin.part.json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(edit(string(b))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		damage  func(t *testing.T, dir string, r recorded)
		resumes bool
	}{
		{"end of the prefix", func(t *testing.T, dir string, r recorded) { damage(t, dir, r.Synced-1, r.Synced) }, false},
		{"end of each piece", func(t *testing.T, dir string, r recorded) {
			for _, p := range r.Pieces {
				damage(t, dir, p[1]-1, p[1])
			}
		}, false},
		{"end of the last piece", func(t *testing.T, dir string, r recorded) {
			p := r.Pieces[len(r.Pieces)-1]
			damage(t, dir, p[1]-1, p[1])
		}, false},
		{"holes", func(t *testing.T, dir string, r recorded) {
			at := r.Synced
			for _, p := range r.Pieces {
				damage(t, dir, at, p[0])
				at = p[1]
			}
		}, true},
		{"after a restart of the system", func(t *testing.T, dir string, r recorded) {
			editState(t, dir, func(s string) string { return strings.ReplaceAll(s, `"boot":"`, `"boot":"x`) })
			damage(t, dir, r.Synced, r.Pieces[0][0])
		}, true},
		{"no record after the first line", func(t *testing.T, dir string, r recorded) {
			editState(t, dir, func(s string) string { line, _, _ := strings.Cut(s, "\n"); return line + "\n" })
		}, false},
		{"incomplete last record", func(t *testing.T, dir string, r recorded) {
			editState(t, dir, func(s string) string { return s[:len(s)-3] })
		}, false},
		{"last record of invalid pieces", func(t *testing.T, dir string, r recorded) {
			editState(t, dir, func(s string) string { return s + `{"synced":5,"pieces":[[100,50],[7,8]]}` + "\n" })
		}, true},
		{"shorter file", func(t *testing.T, dir string, r recorded) {
			if err := os.Truncate(filepath.Join(dir, "large.bin.part"), r.Pieces[0][0]+10); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		for _, n := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s, %d connections", c.name, n), func(t *testing.T) {
				t.Parallel()
				s := newRangeServer(size)
				url, dir := s.open(t), t.TempDir()
				r := interruptWithHoles(t, s, url, dir)
				c.damage(t, dir, r)
				got, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir, Connections: n})
				if err != nil {
					t.Fatal(err)
				}
				checkLarge(t, dir, s.body)
				if (got.Resumed > 0) != c.resumes {
					t.Errorf("Get resumed %d bytes", got.Resumed)
				}
			})
		}
	}
}

// TestPieces_RandomInterrupts interrupts a download at random moments, with
// random numbers of connections.
func TestPieces_RandomInterrupts(t *testing.T) {
	t.Parallel()
	const size = 24*mib + 7
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 7))
			s := newRangeServer(size)
			s.slow()
			url, dir := s.open(t), t.TempDir()
			kept := int64(0)
			for kept < size*3/4 {
				after := kept + 1 + random.Int64N(size/4)
				now := interrupt(t, url, dir, 1+random.IntN(9), after)
				if now < after {
					t.Fatalf("%d bytes were kept, although %d had arrived", now, after)
				}
				kept = now
			}
			s.forget()
			got, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir, Connections: 1 + random.IntN(9)})
			if err != nil {
				t.Fatal(err)
			}
			checkLarge(t, dir, s.body)
			if got.Resumed != kept {
				t.Errorf("Get resumed %d bytes, want %d", got.Resumed, kept)
			}
		})
	}
}
