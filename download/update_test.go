package download_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"concert/download"
)

// TestUpdate_Implausible: an HTML page or an empty body, as from a captive
// portal, must not replace a file that is neither.
func TestUpdate_Implausible(t *testing.T) {
	page := "<!DOCTYPE html><title>Log in</title>"
	for _, c := range []struct {
		name, old, kind, body string
		chunked, accepted     bool
	}{
		{"page for text", "some text", "text/html; charset=utf-8", page, false, false},
		{"empty for text", "some text", "text/plain", "", false, false},
		{"empty without a length", "some text", "text/plain", "", true, false},
		{"text with the type of a page", "some text", "text/html", "other text", false, true},
		{"page for page", page + "old", "text/html", page, false, true},
		{"page for empty", "", "text/html", page, false, true},
		{"text for text", "some text", "text/plain", "other text", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(0)
			s.body = []byte(c.old)
			dir, url := downloaded(t, s)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.Header().Set("ETag", `"two"`)
				if c.chunked {
					http.NewResponseController(w).Flush()
				}
				fmt.Fprint(w, c.body)
			}
			_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true})
			if c.accepted {
				if err != nil {
					t.Error(err)
				}
				wantWhole(t, dir, []byte(c.body))
				return
			}
			if !errors.Is(wantError(t, err, false, "it stays"), download.ErrImplausible) {
				t.Errorf("error = %v, want ErrImplausible", err)
			}
			wantWhole(t, dir, []byte(c.old)) // and no part of the page is left
			r := download.Request{URL: url, Dir: dir, Update: true, Digests: []download.Digest{sha256Of([]byte(c.body))}}
			if _, err := once(t).Get(t.Context(), r); err != nil {
				t.Errorf("with the digest of the body: %v", err)
			}
			wantWhole(t, dir, []byte(c.body))
		})
	}
}

// TestUpdate_FileAppears: with Update, a file that appears when the part is
// complete is replaced. The part is continued, but it is not from an earlier
// Get.
func TestUpdate_FileAppears(t *testing.T) {
	for _, resumed := range []int64{0, 1_500_000} {
		s := newSite(3_000_000)
		dir, url := t.TempDir(), ""
		if resumed > 0 {
			dir, url = interrupted(t, s)
		} else {
			url = s.open(t)
		}
		before := s.count()
		got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true, OnEvent: func(e download.Event) {
			if e.Done == int64(len(s.body)) && s.count() == before+1 {
				write(t, filepath.Join(dir, "file.bin"), []byte("old"))
			}
		}})
		if err != nil || got.Resumed != resumed || s.count() != before+2 {
			t.Errorf("Get() = %+v, %v after %d requests; want %d bytes resumed after 2", got, err, s.count()-before, resumed)
		}
		wantWhole(t, dir, s.body)
	}
}
