package download_test

import (
	"fmt"
	"net/http"
	"testing"

	"concert/download"
)

// TestPieces_BadServer has servers with faults. A client with one connection
// receives the file from them, and a client with several connections must
// receive it, too.
func TestPieces_BadServer(t *testing.T) {
	t.Parallel()
	isPiece := func(r *http.Request, size int) bool {
		_, end := asked(r, size)
		return r.Header.Get("Range") != "" && end < size
	}
	// send replies with the right header for the requested range, but with
	// other bytes.
	send := func(s *rangeServer, w http.ResponseWriter, r *http.Request, body []byte) bool {
		from, end := asked(r, len(s.body))
		w.Header().Set("ETag", s.tag)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, len(s.body)))
		w.WriteHeader(http.StatusPartialContent)
		http.NewResponseController(w).Flush() // so that there is no length
		s.send(w, r, body)
		return true
	}
	for name, prepare := range map[string]func(s *rangeServer){
		"body to the end of the file": func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				from, _ := asked(r, len(s.body))
				return isPiece(r, len(s.body)) && send(s, w, r, s.body[from:])
			}
		},
		"other bytes": func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				from, end := asked(r, len(s.body))
				return isPiece(r, len(s.body)) && send(s, w, r, s.body[from-1:end-1])
			}
		},
		"no bytes": func(s *rangeServer) {
			s.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				return isPiece(r, len(s.body)) && send(s, w, r, nil)
			}
		},
		"breaks if there are two connections": func(s *rangeServer) {
			s.sent = func(*http.Request, int) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.most > 1 {
					if s.active == 1 {
						s.most = 1
					}
					panic(http.ErrAbortHandler)
				}
			}
			s.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.active > 1 {
					panic(http.ErrAbortHandler)
				}
				return false
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRangeServer(8*mib + 5)
			s.slow()
			prepare(s)
			url := s.open(t)
			for _, connections := range []int{1, 8, -8} {
				dir := t.TempDir()
				r := download.Request{URL: url, Dir: dir, Connections: max(connections, -connections)}
				if connections > 0 {
					r.Digests = []download.Digest{sha256Digest(s.body)}
				}
				if _, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), r); err != nil {
					t.Fatalf("%d connections: %v", connections, err)
				}
				checkLarge(t, dir, s.body)
			}
		})
	}
}
