package download_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"concert/download"
)

// downloaded downloads the file of the site to a new directory.
func downloaded(t *testing.T, s *site) (dir, url string) {
	t.Helper()
	dir, url = t.TempDir(), s.open(t)
	if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	return dir, url
}

// wantPresent fails the test unless Get found the file present after the given
// number of requests.
func wantPresent(t *testing.T, s *site, r download.Request, requests int) {
	t.Helper()
	before := s.count()
	got, err := once(t).Get(t.Context(), r)
	if n := s.count() - before; err != nil || !got.Present || n != requests || got.Size != int64(len(s.body)) {
		t.Errorf("Get() = %+v, %v after %d requests; want it present after %d", got, err, n, requests)
	}
	wantWhole(t, r.Dir, s.body)
}

// TestGet_Again: the same Get again must find the file present, without a
// request if the file has a receipt.
func TestGet_Again(t *testing.T) {
	s := newSite(1000)
	dir, url := downloaded(t, s)
	if !hasReceipt(filepath.Join(dir, "file.bin")) {
		t.Skip("this file system stores no receipts")
	}
	wantPresent(t, s, download.Request{URL: url, Dir: dir}, 0)
	if r, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || r.Status != 0 || r.Attempts != 0 || r.FinalURL != "" {
		t.Errorf("Get() = %+v, %v; want no request", r, err)
	}
	// Another URL may be the address of another file. So Get sends a request.
	// The entity tag of the first URL is no condition of this request.
	wantPresent(t, s, download.Request{URL: url + "?v=2", Dir: dir}, 1)
	if r := s.last(); r.Header.Get("If-None-Match") != "" {
		t.Errorf("Get sent the condition %v", r.Header)
	}
	wantPresent(t, s, download.Request{URL: url, Dir: dir, Update: true}, 1)
	if r := s.last(); r.Header.Get("If-None-Match") != `"one"` {
		t.Errorf("Get sent no condition: %v", r.Header)
	}
	// The server may ignore the condition, and send no length.
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", s.tag)
		http.NewResponseController(w).Flush()
		w.Write(s.body)
	}
	wantPresent(t, s, download.Request{URL: url, Dir: dir, Update: true}, 1)
}

// TestGet_ExistsDiffers: Get must not replace a file that is not known to be
// the file of the server.
func TestGet_ExistsDiffers(t *testing.T) {
	date := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		name   string
		change func(t *testing.T, s *site, path string)
	}{
		{"another version", func(t *testing.T, s *site, _ string) { s.tag, s.modified = `"two"`, date }},
		{"another length", func(t *testing.T, s *site, _ string) { s.tag, s.body = `"two"`, s.body[:10] }},
		{"changed locally", func(t *testing.T, _ *site, path string) { write(t, path, content(2, 1000)) }},
		{"longer locally", func(t *testing.T, _ *site, path string) { write(t, path, content(2, 2000)) }},
		{"replaced locally", func(t *testing.T, _ *site, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, content(2, 1000))
		}},
		{"no validator", func(t *testing.T, s *site, path string) {
			removeReceipt(path)
			s.tag, s.modified, s.body = "", time.Time{}, content(2, 1000)
		}},
		{"unrequested 304", func(t *testing.T, s *site, path string) {
			removeReceipt(path)
			s.handler = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(1000)
			s.modified = date.Add(-time.Hour)
			dir, url := downloaded(t, s)
			path := filepath.Join(dir, "file.bin")
			c.change(t, s, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = once(t).Get(t.Context(), download.Request{URL: url + "?other", Dir: dir})
			wantError(t, err, false, "")
			if !errors.Is(err, fs.ErrExist) && c.name != "unrequested 304" {
				t.Errorf("error = %v, want fs.ErrExist", err)
			}
			wantWhole(t, dir, before)
			if r, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Keep: true}); err != nil || !r.Present {
				t.Errorf("Get() with Keep = %+v, %v", r, err)
			}
			wantWhole(t, dir, before)
			s.handler = nil
			if r, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Overwrite: true}); err != nil || r.Present {
				t.Errorf("Get() with Overwrite = %+v, %v", r, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_NoReceipt: without extended attributes, Get asks the server, and
// compares the length and the modification time.
func TestGet_NoReceipt(t *testing.T) {
	s := newSite(1000)
	s.modified = time.Now().Add(-time.Hour)
	dir, url := downloaded(t, s)
	removeReceipt(filepath.Join(dir, "file.bin"))
	wantPresent(t, s, download.Request{URL: url, Dir: dir}, 1)
}

func TestGet_ExistingDigests(t *testing.T) {
	s := newSite(1000)
	dir, url := downloaded(t, s)
	right, wrong := []download.Digest{sha256Of(s.body)}, []download.Digest{sha256Of(nil)}
	wantPresent(t, s, download.Request{URL: url, Dir: dir, Digests: right}, 0)
	wantPresent(t, s, download.Request{URL: "http://127.0.0.1:1/file.bin", Dir: dir, Digests: right}, 0)
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Digests: wrong})
	if wantError(t, err, false, "another checksum"); !errors.Is(err, fs.ErrExist) || !errors.Is(err, download.ErrChecksum) {
		t.Errorf("error = %v, want fs.ErrExist and ErrChecksum", err)
	}
	wantWhole(t, dir, s.body)
}

func TestGet_Update(t *testing.T) {
	s := newSite(1000)
	s.modified = time.Now().Add(-time.Hour)
	dir, url := downloaded(t, s)
	wantPresent(t, s, download.Request{URL: url, Dir: dir, Update: true}, 1)
	if hasReceipt(filepath.Join(dir, "file.bin")) && s.last().Header.Get("If-None-Match") != `"one"` {
		t.Errorf("Get sent no condition: %v", s.last().Header)
	}
	for _, size := range []int{500, 1000, 3_000_000} {
		s.body, s.tag, s.modified = content(size, size), `"`+time.Now().String()+`"`, s.modified.Add(time.Second)
		got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true})
		if err != nil || got.Present || got.Size != int64(size) {
			t.Errorf("Get() = %+v, %v; want the new version", got, err)
		}
		wantWhole(t, dir, s.body)
	}
}

// TestGet_UpdateKeepsOldFile: as long as the new version is not complete, the
// old file must stay.
func TestGet_UpdateKeepsOldFile(t *testing.T) {
	s := newSite(1000)
	dir, url := downloaded(t, s)
	old := s.body
	s.body, s.tag, s.cut = content(2, 3_000_000), `"two"`, 2_000_000
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true})
	wantError(t, err, true, "receive")
	wantContent(t, filepath.Join(dir, "file.bin"), old)
	s.cut = 0
	got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true})
	if err != nil || got.Resumed != 2_000_000 {
		t.Errorf("Get() = %+v, %v; want it resumed", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_UpdateWrongFile: a file with a wrong digest is never the right one,
// even if it has the length and the date of the server's file.
func TestGet_UpdateWrongFile(t *testing.T) {
	for _, notModified := range []bool{false, true} {
		s := newSite(1000)
		s.modified = time.Now().Add(-time.Hour).Truncate(time.Second)
		dir, url := downloaded(t, s)
		path := filepath.Join(dir, "file.bin")
		damaged := content(2, 1000)
		write(t, path, damaged)
		if err := os.Chtimes(path, s.modified, s.modified); err != nil {
			t.Fatal(err)
		}
		if notModified {
			s.handler = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }
		}
		got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true, Digests: []download.Digest{sha256Of(s.body)}})
		if notModified {
			wantError(t, err, false, "304")
			wantWhole(t, dir, damaged)
			continue
		}
		if err != nil || got.Present {
			t.Errorf("Get() = %+v, %v; want it downloaded again", got, err)
		}
		wantWhole(t, dir, s.body)
	}
}

// TestGet_ExistsIsNoFile: Get must not replace a directory, and by default no
// link and no FIFO.
func TestGet_ExistsIsNoFile(t *testing.T) {
	for kind, create := range irregular {
		for _, overwrite := range []bool{false, true} {
			t.Run(kind, func(t *testing.T) {
				s := newSite(1000)
				dir, url := t.TempDir(), s.open(t)
				victim := filepath.Join(t.TempDir(), "victim")
				write(t, victim, []byte("precious"))
				path := filepath.Join(dir, "file.bin")
				if err := create(path, victim); err != nil {
					t.Skip(err)
				}
				_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Overwrite: overwrite})
				wantContent(t, victim, []byte("precious"))
				if overwrite && kind != "directory" {
					if err != nil {
						t.Error(err)
					}
					wantWhole(t, dir, s.body)
					return
				}
				wantError(t, err, false, "exist")
				wantFiles(t, dir, "file.bin")
			})
		}
	}
}

// TestGet_CanceledWhileHashing: Get must return soon after its context ended,
// also while it computes the digest of an existing file or of a part.
func TestGet_CanceledWhileHashing(t *testing.T) {
	s := newSite(5 << 20)
	for _, name := range []string{"file.bin", "file.bin.part"} {
		t.Run(name, func(t *testing.T) {
			dir, url := interrupted(t, s)
			if name == "file.bin" {
				dir, url = downloaded(t, s)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why := errors.New("enough")
			events := 0
			r := download.Request{URL: url, Dir: dir, Digests: []download.Digest{sha256Of(s.body)}, OnEvent: func(e download.Event) {
				if e.Kind == download.EventHash {
					events++
					cancel(why)
				}
			}}
			_, err := once(t).Get(ctx, r)
			if wantError(t, err, false, "enough"); !errors.Is(err, why) || events != 1 {
				t.Errorf("error = %v after %d events", err, events)
			}
			r.OnEvent = nil
			if _, err := once(t).Get(t.Context(), r); err != nil {
				t.Error(err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestUpdate_VersionReturns has a server that begins to send another version,
// breaks, and then has the version of the existing file again. The partial
// file must not replace the existing file.
func TestUpdate_VersionReturns(t *testing.T) {
	for _, sent := range []int{0, 1000, 2 << 20} {
		s := newSite(3 << 20)
		dir, url := downloaded(t, s)
		old := s.body
		requests := 0
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			requests++
			if requests == 1 {
				other := &site{body: content(2, 3<<20), tag: `"two"`, cut: max(1, sent)}
				other.send(w, r)
				return
			}
			s.send(w, r)
		}
		client := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond})
		got, err := client.Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true})
		if err != nil {
			t.Errorf("after %d bytes: %v", sent, err)
		} else if got.Size != int64(len(old)) {
			t.Errorf("after %d bytes: %+v", sent, got)
		}
		wantWhole(t, dir, old)
	}
}

// TestUpdate_KeepsMode: the new file must have the permissions of the file
// that it replaces.
func TestUpdate_KeepsMode(t *testing.T) {
	s := newSite(1000)
	dir, url := downloaded(t, s)
	path := filepath.Join(dir, "file.bin")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(path) // Windows has other permissions
	if err != nil {
		t.Fatal(err)
	}
	s.body, s.tag = content(2, 2000), `"two"`
	if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.Stat(path); err != nil || got.Mode() != want.Mode() {
		t.Errorf("mode %v, %v; want %v", got.Mode(), err, want.Mode())
	}
	wantWhole(t, dir, s.body)
}
