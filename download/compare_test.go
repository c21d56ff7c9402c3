package download_test

import (
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"testing"

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
