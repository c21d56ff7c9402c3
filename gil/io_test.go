package gil_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"concert/gil"
)

// TestConn_ReleasesLock: if a goroutine waits for the peer of a connection, it
// must release the lock.
func TestConn_ReleasesLock(t *testing.T) {
	l := gil.New(nil)
	a, b := net.Pipe()
	done := make(chan string)
	go l.Do(func(h gil.Held) {
		buf := make([]byte, 5)
		if _, err := io.ReadFull(h.Conn(a), buf); err != nil {
			t.Error(err)
		}
		h.Release(func() { done <- string(buf) })
	})
	l.Do(func(h gil.Held) {
		if _, err := h.Conn(b).Write([]byte("hello")); err != nil { // Write must release the lock, because the reader needs it
			t.Error(err)
		}
	})
	if got := <-done; got != "hello" {
		t.Errorf("read %q", got)
	}
}

// TestFile_ReleasesLock: if a goroutine waits for a pipe, it must release the
// lock. The methods of File must do the same as those of os.File.
func TestFile_ReleasesLock(t *testing.T) {
	l := gil.New(nil)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	go l.Do(func(h gil.Held) {
		text, err := io.ReadAll(h.File(r))
		if err != nil {
			t.Error(err)
		}
		h.Release(func() { done <- string(text) })
	})
	l.Do(func(h gil.Held) {
		f := h.File(w)
		for range 100 { // more bytes than fit in a pipe
			if _, err := f.Write(make([]byte, 4096)); err != nil {
				t.Error(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if got := <-done; len(got) != 409600 {
		t.Errorf("read %d bytes", len(got))
	}
	r.Close()
	l.Do(func(h gil.Held) {
		on, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		f := h.File(on)
		f.Write([]byte("abc"))
		f.WriteAt([]byte("X"), 1)
		f.Sync()
		buf := make([]byte, 2)
		f.ReadAt(buf, 1)
		f.Seek(0, io.SeekStart)
		all, err := io.ReadAll(f)
		if string(buf) != "Xc" || string(all) != "aXc" || err != nil || f.Close() != nil {
			t.Errorf("read %q and %q, %v", buf, all, err)
		}
	})
}
