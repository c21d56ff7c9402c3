package download_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"concert/download"
)

// TestMirrors_AnotherFile has a mirror with another file of the same length
// and the same entity tag. This happens if servers use a version number as the
// entity tag.
func TestMirrors_AnotherFile(t *testing.T) {
	a := &site{body: content(1, 3<<20), tag: `"1"`, cut: 1 << 20}
	b := &site{body: content(2, 3<<20), tag: `"1"`}
	a.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			http.NotFound(w, r)
			return
		}
		a.send(w, r)
	}
	dir := t.TempDir()
	client := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond, Retries: 3})
	if _, err := client.Get(t.Context(), download.Request{URL: a.open(t), Mirrors: []string{b.open(t)}, Dir: dir}); err == nil {
		wantWhole(t, dir, b.body)
	}
}

// TestMirrors_Progress: if a connection breaks after some bytes, Get must
// continue at the same address. It must not start from the beginning at a
// mirror whose entity tag is different.
func TestMirrors_Progress(t *testing.T) {
	a := &site{body: content(1, 3<<20), tag: `"a"`, cut: 1 << 20}
	a.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			a.cut = 0
		}
		a.send(w, r)
	}
	b := &site{body: content(1, 3<<20), tag: `"b"`}
	dir := t.TempDir()
	client := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond})
	_, err := client.Get(t.Context(), download.Request{URL: a.open(t), Mirrors: []string{b.open(t)}, Dir: dir})
	if err != nil || a.count() != 2 || b.count() != 0 {
		t.Errorf("Get() = %v after %d and %d requests; want 2 and 0", err, a.count(), b.count())
	}
	wantWhole(t, dir, a.body)
}

func TestMirrors_Headers(t *testing.T) {
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	var got http.Header
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		io.WriteString(w, "x")
	}))
	defer mirror.Close()
	client := newClient(t, download.ClientOptions{Headers: http.Header{"Authorization": {"secret"}, "X-Token": {"t"}, "User-Agent": {"me"}}})
	if _, err := client.Get(t.Context(), download.Request{URL: missing.URL + "/f", Mirrors: []string{mirror.URL + "/f"}, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if got.Get("Authorization") != "" || got.Get("X-Token") != "" || got.Get("User-Agent") != "me" {
		t.Errorf("the mirror received %v", got)
	}
}

// TestExisting_SameTagOfAnotherURL has two files with the same name and the
// same entity tag.
func TestExisting_SameTagOfAnotherURL(t *testing.T) {
	a := &site{body: content(1, 1000), tag: `"1"`}
	for _, size := range []int{1000, 5000} {
		b := &site{body: content(2, size), tag: `"1"`}
		for _, update := range []bool{false, true} {
			dir := t.TempDir()
			if _, err := download.Get(t.Context(), download.Request{URL: a.open(t), Dir: dir}); err != nil {
				t.Fatal(err)
			}
			got, err := download.Get(t.Context(), download.Request{URL: b.open(t), Dir: dir, Update: update})
			if err == nil && (got.Present || !update) {
				t.Errorf("size %d, update %v: the file of another URL is present", size, update)
			}
		}
	}
}
