package download_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"concert/download"
)

// TestGet_CompareBytes: if a file has no receipt, as on a file system without
// extended attributes, and the server sends no date, the bytes must decide.
func TestGet_CompareBytes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *site)
		same   bool
	}{
		{"entity tag", func(s *site) {}, true},
		{"no validator", func(s *site) { s.tag = "" }, true},
		{"breaks once", func(s *site) {
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if s.count() == 2 {
					broken := &site{body: s.body, tag: s.tag, cut: 200_000}
					broken.send(w, r)
				}
				s.send(w, r)
			}
		}, true},
		{"last byte differs", func(s *site) { s.body = append([]byte{}, s.body...); s.body[len(s.body)-1]++ }, false},
		{"first byte differs", func(s *site) { s.body = append([]byte{}, s.body...); s.body[0]++ }, false},
		{"shorter", func(s *site) { s.body = s.body[:1000] }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(300_000)
			dir, url := downloaded(t, s)
			old := s.body
			removeReceipt(filepath.Join(dir, "file.bin"))
			c.change(s)
			got, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if c.same && (err != nil || !got.Present || got.Size != int64(len(old))) {
				t.Errorf("Get() = %+v, %v; want it present", got, err)
			}
			if !c.same && !errors.Is(wantError(t, err, false, "create"), fs.ErrExist) {
				t.Errorf("error = %v, want fs.ErrExist", err)
			}
			wantWhole(t, dir, old)
		})
	}
}

// TestGet_ContinuesComparison: if the connection breaks while the bytes are
// compared, the next attempt must continue the comparison if the server has
// the same version. For another version, it must start again.
func TestGet_ContinuesComparison(t *testing.T) {
	const size, cut = 300_000, 100_000
	again := fmt.Sprintf("bytes=%d-", cut-4096)
	for _, c := range []struct {
		name   string
		second func(s *site, w http.ResponseWriter, r *http.Request) // replies after the break
		tag    string
		same   bool
		ranges []string // the ranges of the requests after the first request
	}{
		{"same version", (*site).send, `"one"`, true, []string{again}},
		{"no validator", (*site).send, "", true, []string{""}},
		{"weak validator", (*site).send, `W/"one"`, true, []string{""}},
		{"another version", func(s *site, w http.ResponseWriter, r *http.Request) {
			other := &site{body: append(content(2, 1), s.body[1:]...), tag: `"two"`}
			other.send(w, r)
		}, `"one"`, false, []string{again}},
		{"another version with the old tag", func(s *site, w http.ResponseWriter, r *http.Request) {
			other := &site{body: append(bytes.Clone(s.body[:cut-1]), content(2, size-cut+1)...), tag: s.tag}
			other.send(w, r)
		}, `"one"`, false, []string{again}},
		{"another length with the old tag", func(s *site, w http.ResponseWriter, r *http.Request) {
			other := &site{body: append(bytes.Clone(s.body), 1), tag: s.tag}
			other.send(w, r)
		}, `"one"`, false, []string{again, ""}},
		{"a range of another version", func(s *site, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				r.Header.Set("If-Range", `"two"`)
				s = &site{body: s.body, tag: `"two"`}
			}
			s.send(w, r)
		}, `"one"`, true, []string{again, ""}},
		{"ranges refused", func(s *site, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			s.send(w, r)
		}, `"one"`, true, []string{again, again, ""}},
		{"many breaks", func(s *site, w http.ResponseWriter, r *http.Request) {
			broken := &site{body: s.body, tag: s.tag, cut: cut}
			broken.send(w, r)
		}, `"one"`, true, []string{again, fmt.Sprintf("bytes=%d-", 2*cut-2*4096), fmt.Sprintf("bytes=%d-", 3*cut-3*4096)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(size)
			s.tag = c.tag
			dir, url := downloaded(t, s)
			removeReceipt(filepath.Join(dir, "file.bin"))
			before := s.count()
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if s.count() > before+1 {
					c.second(s, w, r)
					return
				}
				broken := &site{body: s.body, tag: s.tag, cut: cut}
				broken.send(w, r)
			}
			last := int64(0)
			got, err := newClient(t, download.ClientOptions{Retries: 2}).Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
				if e.Kind == download.EventProgress {
					last = e.Done
				}
			}})
			if c.same && (err != nil || !got.Present || last != size) {
				t.Errorf("Get() = %+v, %v after progress to %d; want it present", got, err, last)
			}
			if !c.same && !errors.Is(wantError(t, err, false, "create"), fs.ErrExist) {
				t.Errorf("error = %v, want fs.ErrExist", err)
			}
			wantWhole(t, dir, s.body)
			var ranges []string
			for _, r := range s.requests[before+1:] {
				ranges = append(ranges, r.Header.Get("Range"))
			}
			if !slices.Equal(ranges, c.ranges) {
				t.Errorf("Get requested %q, want %q", ranges, c.ranges)
			}
		})
	}
}

// TestGet_ComparesRangeWithoutLength: in HTTP/1.0, a range may have a length in
// Content-Range only. If the connection breaks in such a range, the next
// attempt must continue the comparison.
func TestGet_ComparesRangeWithoutLength(t *testing.T) {
	s := newSite(300_000)
	dir, url := downloaded(t, s)
	removeReceipt(filepath.Join(dir, "file.bin"))
	s.cut = 100_000
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			s.send(w, r)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		from, end := asked(r, len(s.body))
		fmt.Fprintf(conn, "HTTP/1.0 206 Partial Content\r\nETag: %s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n", s.tag, from, end-1, end)
		conn.Write(s.body[from:min(from+s.cut, end)])
	}
	got, err := newClient(t, download.ClientOptions{Retries: 1}).Get(t.Context(), download.Request{URL: url, Dir: dir})
	if err != nil || !got.Present || got.Attempts != 4 {
		t.Errorf("Get() = %+v, %v; want it present after 4 attempts", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_ChangesDuringComparison: if another program changes the file while
// its bytes are compared, Get must look at it again.
func TestGet_ChangesDuringComparison(t *testing.T) {
	s := newSite(300_000)
	dir, url := downloaded(t, s)
	path := filepath.Join(dir, "file.bin")
	removeReceipt(path)
	changed := bytes.Clone(s.body)
	changed[0]++
	before := s.count()
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if s.count() > before+1 {
			s.send(w, r)
			return
		}
		broken := &site{body: s.body, tag: s.tag, cut: 200_000}
		broken.send(w, r)
	}
	_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
		if e.Kind == download.EventRetry {
			write(t, path, changed)
		}
	}})
	if e := wantError(t, err, false, "create"); !errors.Is(e, fs.ErrExist) {
		t.Errorf("error = %v, want fs.ErrExist", err)
	}
	wantWhole(t, dir, changed)
}

// TestGet_ChangesDuringEachComparison: if another program changes the file
// during each comparison, the error must say so.
func TestGet_ChangesDuringEachComparison(t *testing.T) {
	s := newSite(1000)
	dir, url := downloaded(t, s)
	path := filepath.Join(dir, "file.bin")
	removeReceipt(path)
	at := time.Now().Add(-time.Hour)
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
		if e.Kind == download.EventReply {
			at = at.Add(time.Second)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Error(err)
			}
		}
	}})
	wantError(t, err, false, "changed or removed the file 20 times")
	wantWhole(t, dir, s.body)
}

// TestGet_ComparesUnreadableFile: if the file cannot be read for a comparison,
// the error is not one of the network, and Get makes no further attempt.
func TestGet_ComparesUnreadableFile(t *testing.T) {
	s := newSite(1000)
	dir, url := downloaded(t, s)
	path := filepath.Join(dir, "file.bin")
	removeReceipt(path)
	before := s.count()
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		os.Remove(path)
		os.Mkdir(path, 0o777) // it can be opened, but not read
		s.send(w, r)
	}
	_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
	wantError(t, err, false, "read")
	if n := s.count() - before; n != 1 {
		t.Errorf("%d requests, want one", n)
	}
}

// TestGet_ComparesNewVersion: if the server replaces the file during the
// comparison, all bytes of the new version must be compared.
func TestGet_ComparesNewVersion(t *testing.T) {
	s := newSite(300_000)
	dir, url := downloaded(t, s)
	removeReceipt(filepath.Join(dir, "file.bin"))
	old := s.body
	before := s.count()
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		reply := &site{body: s.body, tag: s.tag, cut: 100_000}
		if n := s.count() - before; n > 1 {
			reply.body, reply.tag = bytes.Clone(old), `"two"`
			reply.body[70_000]++
			reply.cut = map[int]int{2: 50_000}[n]
		}
		reply.send(w, r)
	}
	_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
	if e := wantError(t, err, false, "create"); !errors.Is(e, fs.ErrExist) {
		t.Errorf("error = %v, want fs.ErrExist", err)
	}
	wantWhole(t, dir, old)
}

// TestGet_ComparisonLearnsLength: only the reply with a range states the
// length of the server's file. If it is not the length of the existing file,
// Get must fail.
func TestGet_ComparisonLearnsLength(t *testing.T) {
	for _, longer := range []int{0, 1, -1} {
		t.Run(fmt.Sprintf("%+d bytes", longer), func(t *testing.T) {
			s := newSite(300_000)
			dir, url := downloaded(t, s)
			removeReceipt(filepath.Join(dir, "file.bin"))
			before := s.count()
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if s.count() == before+1 {
					w.Header().Set("ETag", s.tag)
					http.NewResponseController(w).Flush() // no length
					w.Write(s.body[:100_000])
					panic(http.ErrAbortHandler)
				}
				other := &site{body: append(bytes.Clone(s.body), 1)[:len(s.body)+longer], tag: s.tag}
				other.send(w, r)
			}
			got, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if longer == 0 && (err != nil || !got.Present) {
				t.Errorf("Get() = %+v, %v; want it present", got, err)
			}
			if longer != 0 && !errors.Is(wantError(t, err, false, "create"), fs.ErrExist) {
				t.Errorf("error = %v, want fs.ErrExist", err)
			}
			if n := s.count() - before; n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
			wantWhole(t, dir, s.body)
		})
	}
}
