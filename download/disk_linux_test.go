package download_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"concert/download"
)

// TestGet_FullDisk: if the disk is full, Get must fail without a retry, and
// keep what it has. When there is space again, the next Get must continue.
func TestGet_FullDisk(t *testing.T) {
	for _, c := range []struct {
		name      string
		size      int
		free      int // the free bytes before the first Get
		resumed   bool
		overwrite bool
	}{
		{"small file", 900_000, 500_000, false, false},
		{"large file", 6_000_000, 3_000_000, true, false},
		{"overwrite", 6_000_000, 3_000_000, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
				t.Skip("cannot mount a file system: ", err)
			}
			defer syscall.Unmount(dir, 0)
			filler := filepath.Join(dir, "filler")
			write(t, filler, make([]byte, 8<<20-c.free))
			path := filepath.Join(dir, "file.bin")
			if c.overwrite {
				write(t, path, []byte("old"))
			}
			s := newSite(c.size)
			url := s.open(t)
			r := download.Request{URL: url, Dir: dir, Overwrite: c.overwrite, Digests: []download.Digest{sha256Of(s.body)}}
			_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), r)
			e := wantError(t, err, false, "no space left")
			if !errors.Is(err, syscall.ENOSPC) || s.count() != 1 || c.resumed && e.Kept == 0 {
				t.Errorf("error = %v after %d requests, %d bytes kept", err, s.count(), e.Kept)
			}
			if old, err := os.ReadFile(path); c.overwrite && string(old) != "old" || !c.overwrite && err == nil {
				t.Errorf("the file is %d bytes long", len(old))
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			got, err := once(t).Get(t.Context(), r)
			if err != nil || got.Resumed < e.Kept { // a write to a full disk may write more bytes than it returns
				t.Errorf("Get() = %+v, %v; want at least %d bytes resumed", got, err, e.Kept)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_ReadOnlyDisk: after an error of the directory, Get must not retry.
func TestGet_ReadOnlyDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Skip("cannot mount a file system: ", err)
	}
	defer syscall.Unmount(dir, 0)
	s := newSite(10)
	_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir})
	if wantError(t, err, false, "read-only file system"); s.count() != 1 {
		t.Errorf("error = %v after %d requests", err, s.count())
	}
}

// TestGet_FileSizeLimit: if the file is larger than the process may write, Get
// must fail without a retry and keep what it has. A process without this limit
// must continue the file.
func TestGet_FileSizeLimit(t *testing.T) {
	s := newSite(6_000_000)
	dir := t.TempDir()
	child := childOf(childGet{URL: s.open(t), Dir: dir, Retries: 5, Digest: sha256Of(s.body).String()})
	limited := exec.Command("sh", "-c", `ulimit -f 6000 && exec "$0"`, os.Args[0]) // in blocks of 512 bytes
	limited.Env = append(os.Environ(), child)
	out, err := limited.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "attempts=1\n") || !strings.Contains(string(out), "file too large") {
		t.Errorf("%v: %s", err, out)
	}
	wantFiles(t, dir, "file.bin.part", "file.bin.part.json")
	free := exec.Command(os.Args[0])
	free.Env = append(os.Environ(), child)
	if out, err := free.CombinedOutput(); err != nil || !strings.Contains(string(out), "resumed=3") {
		t.Errorf("%v: %s", err, out)
	}
	wantWhole(t, dir, s.body)
}
