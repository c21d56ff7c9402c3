package download_test

import (
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"concert/download"
)

// TestListing_FileAppeared: a file that is not in the listing, because it is
// newer, must be treated as any other file that exists.
func TestListing_FileAppeared(t *testing.T) {
	for _, size := range []int{1000, 3_000_000} {
		s := newSite(size)
		s.modified = time.Now().Add(-time.Hour)
		dir, url := downloaded(t, s)
		last := int64(0)
		r := download.Request{URL: url, Dir: dir, Listing: map[string]bool{}, OnEvent: func(e download.Event) { last = max(last, e.Done) }}
		wantPresent(t, s, r, 1) // Get has not looked before the request
		if last > 1<<20+200_000 {
			t.Errorf("Get received %d bytes of a file that exists", last)
		}
		write(t, filepath.Join(dir, "file.bin"), []byte("precious"))
		_, err := once(t).Get(t.Context(), r)
		if e := wantError(t, err, false, "create"); !errors.Is(e, fs.ErrExist) {
			t.Errorf("error = %v, want fs.ErrExist", err)
		}
		wantWhole(t, dir, []byte("precious"))
	}
}

// TestListing_PartAppeared: Get must continue a part that is newer than the
// listing, and must look for a part that is in the listing.
func TestListing_PartAppeared(t *testing.T) {
	for _, listing := range []map[string]bool{{}, {"file.bin.part": true, "file.bin.part.json": true}, {"file.bin.concert.part.json": true}} {
		s := newSite(600_000)
		dir, url := interrupted(t, s)
		before := s.count()
		got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Listing: listing})
		if n := s.count() - before; err != nil || got.Resumed != 300_000 || n != 1 {
			t.Errorf("Get() = %+v, %v after %d requests; want it resumed after one", got, err, n)
		}
		wantWhole(t, dir, s.body)
	}
}

// TestListing_KeepsAppearedPart: if the server replies with an error, the error
// must have the number of bytes of a part that is newer than the listing.
func TestListing_KeepsAppearedPart(t *testing.T) {
	s := newSite(600_000)
	dir, url := interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Listing: map[string]bool{}})
	if e := wantError(t, err, true, "503"); e.Kept != 300_000 {
		t.Errorf("Get kept %d bytes, want 300000", e.Kept)
	}
	wantFiles(t, dir, "file.bin.part", "file.bin.part.json")
}
