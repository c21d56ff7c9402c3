package download_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"concert/download"
)

// TestGet_DirectoryRenamed: if the directory is renamed during a download, the
// error must say so. When the directory has its name again, Get continues.
func TestGet_DirectoryRenamed(t *testing.T) {
	for _, sent := range []int{1000, 2_000_000} { // too few and enough bytes to give the part a name
		t.Run(fmt.Sprint(sent, " bytes"), func(t *testing.T) {
			s := newSite(3_000_000)
			url, parent := s.open(t), t.TempDir()
			dir, moved := filepath.Join(parent, "dir"), filepath.Join(parent, "moved")
			rename := func(from, to string) {
				if err := os.Rename(from, to); err != nil {
					t.Error(err)
				}
			}
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			renamed := make(chan struct{})
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", s.tag)
				w.Header().Set("Content-Length", "3000000")
				w.Write(s.body[:sent])
				http.NewResponseController(w).Flush()
				select {
				case <-renamed:
				case <-r.Context().Done():
				}
				w.Write(s.body[sent:])
			}
			done := false
			r := download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
				if !done && e.Kind == download.EventProgress && e.Done >= int64(sent) {
					done = true
					rename(dir, moved)
					close(renamed)
				}
			}}
			_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), r)
			wantError(t, err, false, "the directory "+dir+" is missing")
			if s.count() != 1 {
				t.Errorf("%d requests, want 1", s.count())
			}
			rename(moved, dir)
			s.handler, r.OnEvent = nil, nil
			got, err := once(t).Get(t.Context(), r)
			if err != nil || (got.Resumed > 0) != (sent > 1<<20) {
				t.Errorf("Get() = %+v, %v", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}
