package download_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"concert/download"
)

// TestOnName_Mirror: if OnName refuses the name that the server gives the file,
// no mirror may use this name.
func TestOnName_Mirror(t *testing.T) {
	s := &site{body: content(2, 1000), tag: `"b"`}
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="same.bin"`)
		s.send(w, r)
	}
	dir := t.TempDir()
	first := content(1, 1000)
	os.WriteFile(filepath.Join(dir, "same.bin"), first, 0o666) // the file that the caller has downloaded before
	url := s.open(t)
	calls := 0
	got, err := once(t).Get(t.Context(), download.Request{
		URL: url, Mirrors: []string{url + "?mirror"}, Dir: dir, ServerName: true, Overwrite: true,
		OnName: func(string) error { calls++; return errors.New("another file has this name") },
	})
	b, _ := os.ReadFile(filepath.Join(dir, "same.bin"))
	if err == nil || string(b) != string(first) {
		t.Errorf("Get() = %+v, %v after %d calls of OnName; file replaced: %v", got, err, calls, string(b) != string(first))
	}
}

// TestGet_RangeStatusMirror: one URL is dead, and the server of its mirror
// refuses ranges. Get must request the whole file from the mirror.
func TestGet_RangeStatusMirror(t *testing.T) {
	for _, deadFirst := range []bool{true, false} {
		t.Run(fmt.Sprint(deadFirst), func(t *testing.T) {
			s := newSite(200_000)
			dir, url := interrupted(t, s)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") != "" {
					w.WriteHeader(403)
					return
				}
				s.send(w, r)
			}
			dead := &site{handler: http.NotFound}
			name, _ := download.Name(url)
			r := download.Request{URL: url, Mirrors: []string{dead.open(t)}, Dir: dir, Name: name}
			if deadFirst {
				r.URL, r.Mirrors = r.Mirrors[0], []string{r.URL}
			}
			for i := range 3 { // a repeat does not help
				if _, err := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond}).Get(t.Context(), r); err != nil {
					t.Errorf("repeat %d: %v", i, err)
				}
			}
		})
	}
}

// TestPieces_ConnectionStillCounted: if a server refuses a range because it
// still counts a connection that has ended, Get must keep the part.
func TestPieces_ConnectionStillCounted(t *testing.T) {
	t.Parallel()
	s := newSite(8 << 20)
	var mu sync.Mutex
	n := 0
	second, broken := make(chan struct{}), make(chan struct{})
	var whole []int
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		k := n
		if r.Header.Get("Range") == "" {
			whole = append(whole, k)
		}
		mu.Unlock()
		switch k {
		case 1: // sends 3 MiB, and breaks
			w.Header().Set("ETag", s.tag)
			w.Header().Set("Accept-Ranges", "bytes")
			w.Header().Set("Content-Length", fmt.Sprint(len(s.body)))
			w.Write(s.body[:3<<20])
			w.(http.Flusher).Flush()
			<-second
			close(broken)
			panic(http.ErrAbortHandler)
		case 2: // the second connection: complete, after the first one has broken
			close(second)
			<-broken
			s.send(w, r)
		case 3: // the server still counts the previous connection
			w.WriteHeader(403)
		default:
			s.send(w, r)
		}
	}
	dir := t.TempDir()
	_, err := newClient(t, download.ClientOptions{RetryDelay: 500 * time.Millisecond}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 2})
	if err != nil || len(whole) != 1 {
		t.Errorf("Get() = %v; requests without a range: %v; want only the first", err, whole)
	}
}
