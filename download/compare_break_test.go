package download_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"concert/download"
)

// TestGet_ComparesWithoutLength: if a file has no receipt, and the server sends
// neither a date nor a length, Get must compare the bytes.
func TestGet_ComparesWithoutLength(t *testing.T) {
	s := newSite(1000)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // no length
		w.Write(s.body)
	}
	dir := t.TempDir()
	url := s.open(t)
	name, _ := download.Name(url)
	os.WriteFile(filepath.Join(dir, name), s.body, 0o666)
	got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	if err != nil || !got.Present {
		t.Errorf("Get() = %+v, %v; want present", got, err)
	}
}

// TestUpdate_PageOfAnyForm: Update must not replace a file by an HTML page.
// The page may have a byte order mark or begin with another tag, and the file
// may be XML.
func TestUpdate_PageOfAnyForm(t *testing.T) {
	for _, c := range []struct{ name, old, page string }{
		{"data.bin", "\x00\x01\x02 valuable", "\xef\xbb\xbf<!DOCTYPE html><html>login</html>"},
		{"data2.bin", "\x00\x01\x02 valuable", "<meta http-equiv=refresh content='0;url=http://portal/'><html>login</html>"},
		{"feed.xml", "<?xml version='1.0'?><rss>valuable</rss>", "<!DOCTYPE html><html>login</html>"},
		{"logo.svg", "<?xml version='1.0'?><svg>valuable</svg>", "<!DOCTYPE html><html>login</html>"},
	} {
		s := &site{handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, c.page)
		}}
		dir := t.TempDir()
		path := filepath.Join(dir, c.name)
		os.WriteFile(path, []byte(c.old), 0o666)
		_, err := once(t).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Name: c.name, Update: true})
		if b, _ := os.ReadFile(path); err == nil || string(b) != c.old {
			t.Errorf("%s: Get() = %v, file is %q", c.name, err, b)
		}
	}
}

// TestGet_ComparesAfterBreak: an attempt ends when it has received only the
// bytes that it compares. The next attempt must compare bytes, too, because
// the server replaces the file and keeps its entity tag.
func TestGet_ComparesAfterBreak(t *testing.T) {
	s := newSite(200_000)
	n := 0
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		n++
		switch n {
		case 1:
			s.cut = 100_000
			s.send(w, r)
		case 2:
			s.cut = 4096
			s.send(w, r)
		default:
			s.cut = 0
			s.body = content(2, 200_000) // replaced, with the same entity tag
			s.send(w, r)
		}
	}
	v1 := s.body
	dir := t.TempDir()
	url := s.open(t)
	_, err := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond, Retries: 5}).Get(t.Context(), download.Request{URL: url, Dir: dir})
	name, _ := download.Name(url)
	b, _ := os.ReadFile(filepath.Join(dir, name))
	if err == nil && !bytes.Equal(b, v1) && !bytes.Equal(b, s.body) {
		t.Errorf("the file is a mixture of two versions, and Get() = nil")
	}
}

// tripper breaks the first two replies after their last byte.
type tripper struct {
	next http.RoundTripper
	n    *int
}

// RoundTrip implements http.RoundTripper.
func (tr tripper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := tr.next.RoundTrip(r)
	if *tr.n++; err == nil && *tr.n <= 2 {
		resp.Body = broken{resp.Body}
	}
	return resp, err
}

// broken ends with an error in place of io.EOF.
type broken struct{ io.ReadCloser }

// Read implements io.Reader.
func (b broken) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		err = fmt.Errorf("stream reset")
	}
	return n, err
}

// TestGet_BreaksAtEnd: if the connection breaks twice after the last byte, as
// HTTP/2 streams do, Get must not discard the complete part.
func TestGet_BreaksAtEnd(t *testing.T) {
	s := newSite(200_000)
	n := 0
	_, err := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond, Retries: 5, Wrap: func(rt http.RoundTripper) http.RoundTripper { return tripper{rt, &n} }}).Get(
		t.Context(), download.Request{URL: s.open(t), Dir: t.TempDir()})
	var ranges []string
	for _, r := range s.requests {
		ranges = append(ranges, r.Header.Get("Range"))
	}
	if err != nil || len(ranges) != 3 {
		t.Errorf("Get() = %v; requests %q; want 3", err, ranges)
	}
}

// TestGet_ProgressOfComparison: while the whole file of the server is compared
// with a part, or with a complete file without a receipt, the progress must
// show it.
func TestGet_ProgressOfComparison(t *testing.T) {
	const size = 5_000_000
	for _, c := range []struct {
		name        string
		complete    bool
		connections int
	}{{"part", false, 1}, {"part, 4 connections", false, 4}, {"complete file", true, 1}} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(size)
			dir, url := "", ""
			if c.complete {
				dir, url = downloaded(t, s)
				removeReceipt(filepath.Join(dir, "file.bin"))
			} else {
				dir, url = interrupted(t, s)
			}
			before := s.count()
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Range")
				w.Header().Set("Accept-Ranges", "bytes")
				reply := &site{body: s.body, tag: s.tag}
				if c.complete && s.count() == before+1 {
					reply.cut = size / 2
				}
				reply.send(w, r)
			}
			var done []int64
			attempt := 0
			_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir, Connections: c.connections, OnEvent: func(e download.Event) {
				if e.Attempt != attempt {
					attempt, done = e.Attempt, nil
				}
				if e.Kind == download.EventProgress {
					done = append(done, e.Done)
				}
			}})
			if err != nil || len(done) == 0 || done[0] > size/4 || !slices.IsSorted(done) || done[len(done)-1] != size {
				t.Errorf("Get() = %v; the progress was %v; want it from few bytes to all", err, done)
			}
			wantWhole(t, dir, s.body)
		})
	}
}
