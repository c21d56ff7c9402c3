package download_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"concert/download"
)

// TestGet_RangeStatus has servers that reply with an error to each request for
// a range, and with the file to a request for the whole file. Get must request
// the whole file.
func TestGet_RangeStatus(t *testing.T) {
	for _, status := range []int{400, 403, 405, 406, 412, 416, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := newSite(200_000)
			dir, url := interrupted(t, s)
			before := s.count()
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") != "" || r.Header.Get("If-Range") != "" {
					w.WriteHeader(status)
					return
				}
				s.send(w, r)
			}
			got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if n := s.count() - before; err != nil || got.Resumed != 100_000 || n != 2 {
				t.Errorf("Get() = %+v, %v after %d requests; want the whole file after 2", got, err, n)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_RangeStatusKeepsPart: if the server also refuses the request for the
// whole file, as after a signature has expired, Get must keep the part.
func TestGet_RangeStatusKeepsPart(t *testing.T) {
	for _, status := range []int{403, 416} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := newSite(200_000)
			dir, url := interrupted(t, s)
			before := s.count()
			s.handler = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }
			_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
			e := wantError(t, err, false, fmt.Sprint(status))
			if n := s.count() - before; n != 3 || e.Kept != 100_000 { // the range twice, because the server may still count a connection that has ended
				t.Errorf("%d bytes kept after %d requests; want all after 3", e.Kept, n)
			}
			s.handler = nil
			if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 100_000 {
				t.Errorf("Get() = %+v, %v; want it resumed", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// wholeOnly makes a site refuse each range.
func wholeOnly(s *site, status int) {
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" && status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		r.Header.Del("Range")
		s.send(w, r)
	}
}

// TestGet_WholeBreaks: if the server sends the whole file instead of the rest,
// and the connection breaks, Get must keep the bytes of the part and the bytes
// that arrived after them.
func TestGet_WholeBreaks(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusForbidden} {
		for _, c := range []struct{ cut, kept int }{{1, 100_000}, {99_999, 100_000}, {100_000, 100_000}, {150_000, 150_000}} {
			t.Run(fmt.Sprintf("%d after %d bytes", status, c.cut), func(t *testing.T) {
				s := newSite(200_000)
				dir, url := interrupted(t, s)
				wholeOnly(s, status)
				s.cut = c.cut
				_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
				if e := wantError(t, err, true, "EOF"); e.Kept != int64(c.kept) {
					t.Errorf("%d bytes kept, want %d", e.Kept, c.kept)
				}
				s.cut = 0
				got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Digests: []download.Digest{sha256Of(s.body)}})
				if err != nil || got.Resumed != int64(c.kept) {
					t.Errorf("Get() = %+v, %v; want %d bytes resumed", got, err, c.kept)
				}
				wantWhole(t, dir, s.body)
			})
		}
	}
}

// TestGet_WholeDiffers: if the whole file has the validator of the part and
// other bytes, at any position, no byte of the part may get into the file.
func TestGet_WholeDiffers(t *testing.T) {
	for _, at := range []int{0, 50_000, 99_999} {
		t.Run(fmt.Sprint("byte ", at), func(t *testing.T) {
			s := newSite(200_000)
			dir, url := interrupted(t, s)
			s.body = bytes.Clone(s.body)
			s.body[at]++
			wholeOnly(s, http.StatusOK)
			got, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if err != nil || got.Resumed != 0 || got.Attempts != 2 {
				t.Errorf("Get() = %+v, %v; want it started again", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_WholeOfAnotherLength: if the whole file has the validator of the
// part and another length, Get must start again. The file may begin with the
// bytes of the part. Its validator may be a date that all files have, as in a
// package store.
func TestGet_WholeOfAnotherLength(t *testing.T) {
	for _, known := range []bool{true, false} { // whether the first reply stated the length
		for _, size := range []int{99_999, 100_000, 150_000, 250_000} {
			t.Run(fmt.Sprint(size, " bytes, known ", known), func(t *testing.T) {
				s := newSite(200_000)
				s.tag, s.modified = "", time.Unix(1, 0)
				s.handler = func(w http.ResponseWriter, r *http.Request) {
					if !known && s.count() == 1 {
						w.Header().Set("Last-Modified", s.modified.UTC().Format(http.TimeFormat))
						w.Write(s.body[:s.cut])
						http.NewResponseController(w).Flush() // no length
						panic(http.ErrAbortHandler)
					}
					r.Header.Del("Range")
					s.send(w, r)
				}
				dir, url := interrupted(t, s)
				s.body = append(bytes.Clone(s.body), content(2, 50_000)...)[:size]
				got, err := newClient(t, download.ClientOptions{Retries: 1}).Get(t.Context(), download.Request{URL: url, Dir: dir})
				resumed := int64(0)
				if !known && size >= 100_000 {
					resumed = 100_000
				}
				if err != nil || got.Resumed != resumed {
					t.Errorf("Get() = %+v, %v; want %d bytes resumed", got, err, resumed)
				}
				wantWhole(t, dir, s.body)
			})
		}
	}
}

// TestPieces_WholeBreaks: if the part has holes, and the server sends the whole
// file instead of the rest, Get must keep the bytes before the first hole.
func TestPieces_WholeBreaks(t *testing.T) {
	for _, connections := range []int{1, 4} {
		t.Run(fmt.Sprint(connections, " connections"), func(t *testing.T) {
			s := newRangeServer(16 * mib)
			url, dir := s.open(t), t.TempDir()
			prefix := interruptWithHoles(t, s, url, dir).Synced
			n := 200_000
			s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
				if r.Header.Get("Range") != "" {
					w.WriteHeader(http.StatusForbidden)
					return true
				}
				s.sendWhole(w, r, n)
				panic(http.ErrAbortHandler)
			}
			client := piecesClient(t, download.ClientOptions{Retries: -1})
			r := download.Request{URL: url, Dir: dir, Connections: connections, Digests: []download.Digest{sha256Digest(s.body)}}
			for _, n = range []int{200_000, 5 * mib} {
				_, err := client.Get(t.Context(), r)
				if e := wantError(t, err, true, ""); e.Kept != max(prefix, int64(n)) {
					t.Errorf("%d bytes kept, want %d", e.Kept, max(prefix, int64(n)))
				}
			}
			n = len(s.body)
			got, err := client.Get(t.Context(), r)
			if err != nil || got.Resumed != 5*mib {
				t.Errorf("Get() = %+v, %v; want %d bytes resumed", got, err, 5*mib)
			}
			checkLarge(t, dir, s.body)
		})
	}
}

// TestGet_ContentRangeOfWhole has servers whose reply with the whole file has
// a needless Content-Range. If this header is invalid, Get must ignore it. An
// example is an end that is too large by one.
func TestGet_ContentRangeOfWhole(t *testing.T) {
	for _, size := range []int{0, 200_000} {
		for _, header := range []string{"bytes 0-LAST/SIZE", "bytes 0-SIZE/SIZE", "bytes 0-LAST/*", "bytes */SIZE", "bytes=0-LAST/SIZE", "none"} {
			t.Run(fmt.Sprint(size, " ", header), func(t *testing.T) {
				s := newSite(size)
				numbers := strings.NewReplacer("SIZE", fmt.Sprint(size), "LAST", fmt.Sprint(size-1))
				s.handler = func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Range", numbers.Replace(header))
					r.Header.Del("Range")
					s.send(w, r)
				}
				dir, url := t.TempDir(), s.open(t)
				if size > 0 {
					s.cut = size / 2
					_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
					wantError(t, err, true, "EOF")
					s.cut = 0
				}
				got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
				if err != nil || got.Resumed != int64(size/2) {
					t.Errorf("Get() = %+v, %v; want it resumed", got, err)
				}
				wantWhole(t, dir, s.body)
			})
		}
	}
}

// TestGet_FragmentAsWhole has servers that send a range of the file with the
// status of the whole file. Get must not use such a reply as the whole file.
func TestGet_FragmentAsWhole(t *testing.T) {
	for name, c := range map[string]struct{ contentRange, lengthFirst bool }{
		"with Content-Range":          {true, true},
		"without Content-Range":       {false, true},
		"length unknown at first":     {false, false},
		"unknown, with Content-Range": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(200_000)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				from := 0
				fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
				w.Header().Set("ETag", s.tag)
				if from > 0 && c.contentRange {
					w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.body)-1, len(s.body)))
				}
				if s.count() > 1 || c.lengthFirst {
					w.Header().Set("Content-Length", fmt.Sprint(len(s.body)-from))
				}
				if s.count() == 1 {
					w.Write(s.body[:150_000])
					http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
				w.Write(s.body[from:])
			}
			dir := t.TempDir()
			got, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir})
			if err != nil {
				t.Errorf("Get() = %+v, %v", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
	t.Run("without a request for a range", func(t *testing.T) {
		s := newSite(200_000)
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 100000-199999/200000")
			w.Write(s.body[100_000:])
		}
		dir := t.TempDir()
		_, err := once(t).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir})
		wantError(t, err, true, `the range "bytes 100000-199999/200000" with the status 200, but this status means the whole file`)
		wantFiles(t, dir)
	})
}
