package download_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concert/download"
)

// TestGet_FileAppears: a file that appears during the download must stay as it
// is. If it is the same file, from another Get, the download succeeds.
func TestGet_FileAppears(t *testing.T) {
	for _, size := range []int{1000, 3_000_000} { // with an unnamed and a named part
		for _, same := range []bool{false, true} {
			s := newSite(size)
			dir, url := t.TempDir(), s.open(t)
			path := filepath.Join(dir, "file.bin")
			appeared := false
			got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
				if e.Kind != download.EventProgress || e.Done < int64(size)/2 || appeared {
					return
				}
				appeared = true
				if same {
					other := t.TempDir()
					if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: other}); err != nil {
						t.Error(err)
					}
					if err := os.Rename(filepath.Join(other, "file.bin"), path); err != nil {
						t.Error(err)
					}
					return
				}
				write(t, path, []byte("foreign"))
			}})
			if same {
				if err != nil || !got.Present {
					t.Errorf("%d bytes: Get() = %+v, %v; want the file of the other Get", size, got, err)
				}
				wantWhole(t, dir, s.body)
				continue
			}
			if wantError(t, err, false, "exists"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("error = %v, want fs.ErrExist", err)
			}
			wantContent(t, path, []byte("foreign"))
		}
	}
}

// TestGet_FileAppearsOverwrite: Overwrite also replaces a file that appeared
// during the download.
func TestGet_FileAppearsOverwrite(t *testing.T) {
	for _, size := range []int{1000, 3_000_000} {
		s := newSite(size)
		dir, url := t.TempDir(), s.open(t)
		_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Overwrite: true, OnEvent: func(download.Event) {
			write(t, filepath.Join(dir, "file.bin"), []byte("foreign"))
		}})
		if err != nil {
			t.Error(err)
		}
		wantWhole(t, dir, s.body)
	}
}

// TestGet_OverwriteKeepsOldFile: as long as the new file is not complete and
// verified, the old file must stay.
func TestGet_OverwriteKeepsOldFile(t *testing.T) {
	for _, size := range []int{1000, 3_000_000} {
		s := newSite(size)
		dir, url := t.TempDir(), s.open(t)
		path := filepath.Join(dir, "file.bin")
		write(t, path, []byte("old"))
		_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Overwrite: true, Digests: []download.Digest{sha256Of(nil)}})
		wantError(t, err, true, "wrong checksum")
		wantWhole(t, dir, []byte("old"))
	}
}

// TestGet_PartIsTruncated: if another program shortens the part during the
// download, the file is not complete.
func TestGet_PartIsTruncated(t *testing.T) {
	s := newSite(3_000_000)
	dir, url := t.TempDir(), s.open(t)
	part := filepath.Join(dir, "file.bin.part")
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
		if e.Done == 3_000_000 {
			if err := os.Truncate(part, 2_000_000); err != nil {
				t.Error(err)
			}
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "changed the length") {
		t.Errorf("Get() = %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "file.bin")); err == nil {
		t.Error("the incomplete file has the final name")
	}
	if _, err = once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil {
		t.Error(err)
	}
	wantWhole(t, dir, s.body)
}
