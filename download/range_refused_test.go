package download_test

import (
	"fmt"
	"net/http"
	"testing"

	"concert/download"
)

// TestGet_RangeStatus has servers that reply to each request for a range with
// an error, and send the whole file. Get must request the whole file.
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
			retries := -1
			if status == http.StatusRequestedRangeNotSatisfiable {
				retries = 1 // the part is of no use
			}
			got, err := newClient(t, download.ClientOptions{Retries: retries}).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if n := s.count() - before; err != nil || got.Resumed != 0 || n != 2 {
				t.Errorf("Get() = %+v, %v after %d requests; want the whole file after 2", got, err, n)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_RangeStatusKeepsPart: if the server also refuses the request for the
// whole file, as after a signature has expired, Get must keep the part.
func TestGet_RangeStatusKeepsPart(t *testing.T) {
	s := newSite(200_000)
	dir, url := interrupted(t, s)
	before := s.count()
	s.handler = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }
	_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
	e := wantError(t, err, false, "403")
	if n := s.count() - before; n != 3 || e.Kept != 100_000 { // the range twice, because the server may still count a connection that has ended
		t.Errorf("%d bytes kept after %d requests; want all after 3", e.Kept, n)
	}
	s.handler = nil
	if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 100_000 {
		t.Errorf("Get() = %+v, %v; want it resumed", got, err)
	}
	wantWhole(t, dir, s.body)
}
