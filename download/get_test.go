package download_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"concert/download"
)

func TestGet_NewFile(t *testing.T) {
	for _, size := range []int{0, 1, 300_000, 1 << 20, 3_000_000} {
		s := newSite(size)
		s.modified = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
		dir, url := t.TempDir(), s.open(t)
		var kinds []download.EventKind
		var last download.Event
		got, err := download.Get(t.Context(), download.Request{URL: url, Dir: dir, Digests: []download.Digest{sha256Of(s.body)},
			OnEvent: func(e download.Event) {
				if !slices.Contains(kinds, e.Kind) {
					kinds = append(kinds, e.Kind)
				}
				last = e
			}})
		want := download.Result{Path: filepath.Join(dir, "file.bin"), Size: int64(size), Digests: []download.Digest{sha256Of(s.body)},
			Modified: s.modified, FinalURL: url, Status: 200, Attempts: 1}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Get() = %+v, %v; want %+v", got, err, want)
		}
		wantKinds := []download.EventKind{download.EventStart, download.EventReply, download.EventProgress}
		if size == 0 {
			wantKinds = wantKinds[:2]
		}
		if !slices.Equal(kinds, wantKinds) || last.Done != int64(size) || last.Total != int64(size) || last.Attempt != 1 || last.URL != url {
			t.Errorf("%d bytes: events %q, the last one %+v", size, kinds, last)
		}
		wantWhole(t, dir, s.body)
		info, err := os.Stat(filepath.Join(dir, "file.bin"))
		if err != nil || !info.ModTime().Equal(s.modified) {
			t.Errorf("the modification time is %v, %v; want %v", info.ModTime(), err, s.modified)
		}
	}
}

// TestGet_StateHasNoSecret: a part and its state must not reveal the URL, and
// other users must not read the state.
func TestGet_StateHasNoSecret(t *testing.T) {
	s := newSite(100_000)
	s.cut = 50_000
	dir := t.TempDir()
	url := strings.Replace(s.open(t), "http://", "http://anna:hunter2@", 1) + "?X-Amz-Signature=abc123"
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	wantError(t, err, true, "receive")
	state := filepath.Join(dir, "file.bin.part.json")
	b, readErr := os.ReadFile(state)
	info, statErr := os.Stat(state)
	if readErr != nil || statErr != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the state has the mode %v, %v, %v", info.Mode(), readErr, statErr)
	}
	for _, secret := range []string{"anna", "hunter2", "abc123"} {
		if strings.Contains(string(b), secret) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q is in the state %s or in the error %v", secret, b, err)
		}
	}
	if user, password, _ := s.last().BasicAuth(); user != "anna" || password != "hunter2" {
		t.Errorf("the server received the credentials %q, %q", user, password)
	}
}

func TestGet_Canceled(t *testing.T) {
	s := newSite(1_000_000)
	url, dir := s.open(t), t.TempDir()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, err := download.Get(ctx, download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
		if e.Kind == download.EventProgress && e.Done > 200_000 {
			cancel(why)
		}
	}})
	e := wantError(t, err, false, "enough")
	if !errors.Is(err, why) || e.Kept <= 200_000 {
		t.Errorf("error = %v, %d bytes kept", err, e.Kept)
	}
	reply := int64(-1)
	got, err := download.Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
		if e.Kind == download.EventReply {
			reply = e.Done
		}
	}})
	if err != nil || got.Resumed != e.Kept || reply != e.Kept {
		t.Errorf("Get() = %+v, %v, progress from %d; want %d bytes resumed", got, err, reply, e.Kept)
	}
	wantWhole(t, dir, s.body)
}

func TestGet_Unreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = once(t).Get(t.Context(), download.Request{URL: "http://user:secret@" + address + "/file.bin", Dir: t.TempDir()})
	if e := wantError(t, err, true, "refused"); !e.Unreachable() || strings.Contains(err.Error(), "secret") {
		t.Errorf("error = %v, unreachable %v", err, e.Unreachable())
	}
}

func TestGet_MissingDir(t *testing.T) {
	s := newSite(10)
	dir := filepath.Join(t.TempDir(), "missing")
	_, err := download.Get(t.Context(), download.Request{URL: s.open(t), Dir: dir})
	if wantError(t, err, false, dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v", err)
	}
}

func TestGet_InvalidRequests(t *testing.T) {
	for _, c := range []struct{ url, name, digest, text string }{
		{"://x", "", "", "not a URL"}, {"file:///etc/passwd", "", "", "not an http"}, {"http:///x", "", "", "not an http"},
		{"ftp://host/x", "", "", "not an http"}, {"http://host/x", "../x", "", "path separator"},
		{"http://host/x", "", "abc", "not a sha256 digest"}, {"http://host/..%2f..%2fevil", "", "", "path separator"},
		{"http://a:pass word@host/x", "", "", "not a URL"}, {"http://host/100%", "", "", "percent sign"},
	} {
		t.Run(c.url, func(t *testing.T) {
			r := download.Request{URL: c.url, Name: c.name, Dir: t.TempDir()}
			if c.digest != "" {
				r.Digests = []download.Digest{{Algorithm: "sha256", Hex: c.digest}}
			}
			_, err := download.Get(t.Context(), r)
			if err == nil || !strings.HasPrefix(err.Error(), "download: ") || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "pass word") {
				t.Errorf("Get(%q, %q, %q) = %v, want %q", c.url, c.name, c.digest, err, c.text)
			}
		})
	}
}

// TestGet_Headers: the headers of the client must reach the server.
func TestGet_Headers(t *testing.T) {
	s := newSite(10)
	client := newClient(t, download.ClientOptions{
		Headers:     http.Header{"X-Token": {"a", "b"}, "User-Agent": {"test/1"}, "Host": {"other.test"}},
		Credentials: func(host string) (string, string, bool) { return "anna", host, true },
	})
	url := s.open(t)
	if _, err := client.Get(t.Context(), download.Request{URL: url, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	r := s.last()
	user, password, _ := r.BasicAuth()
	if !slices.Equal(r.Header["X-Token"], []string{"a", "b"}) || r.UserAgent() != "test/1" || r.Host != "other.test" || user != "anna" ||
		!strings.Contains(url, password) || r.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("the server received %v, host %q", r.Header, r.Host)
	}
}
