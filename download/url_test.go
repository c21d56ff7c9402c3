package download_test

import (
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"concert/download"
)

func TestName_OfURL(t *testing.T) {
	for url, want := range map[string]string{
		"http://h/a/b.txt": "b.txt", "http://h": "index.html", "http://h/": "index.html", "http://h/a/": "index.html",
		"http://h/b%20c.txt?x=/../y#z": "b c.txt", "http://h/%C3%A4.txt": "ä.txt", "http://h/a/../b": "b",
		"http://h/..": "", "http://h/%2e%2e": "", "http://h/a%2f..%2fb": "", "http://h/a%5cb": "", "http://h/a%00b": "",
		"http://h/x.part": "", "http://h/x.part.json": "", "http://h/%ff": "",
		"http://h/%e2%80%ae.txt": "", "http://h/" + strings.Repeat("x", 300): "", "http://h/%zz": "",
	} {
		t.Run(url, func(t *testing.T) {
			if got, err := download.Name(url); want == "" && err == nil || want != "" && (got != want || err != nil) {
				t.Errorf("Name(%q) = %q, %v; want %q", url, got, err, want)
			}
		})
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"http://h/a", "http://h/..%2f", "http://h/%00", "//", "http://h/a/../..", "nul"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, candidate := range []string{s, "http://host/" + s} {
			name, err := download.Name(candidate)
			if err != nil {
				continue
			}
			if !filepath.IsLocal(name) || filepath.Base(name) != name || strings.ContainsAny(name, "/\\\x00") {
				t.Errorf("Name(%q) = %q", candidate, name)
			}
		}
	})
}

func TestSafeURL_Secrets(t *testing.T) {
	for text, want := range map[string]string{
		"https://u:p@h/f#frag":                         "https://h/f",
		"https://h/f?X-Amz-Signature=abc&v=2":          "https://h/f?X-Amz-Signature=...&v=2",
		"https://h/f?sv=1&sig=abc%3D":                  "https://h/f?sv=1&sig=...",
		"https://h/f?Expires=9&Key-Pair-Id=A&Policy=B": "https://h/f?Expires=9&Key-Pair-Id=...&Policy=...",
		"https://h/f?access_token=a&api%6bey=b":        "https://h/f?access_token=...&api%6bey=...",
		"https://h/f?%zz=secret":                       "https://h/f?%zz=...",
		"https://h/f?token":                            "https://h/f?token",
		"https://h/f?jwt=a&code=b&pw=c&name=d":         "https://h/f?jwt=...&code=...&pw=...&name=d",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := download.SafeURL(u); got != want {
			t.Errorf("SafeURL(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestGet_ErrorsHaveNoSecret(t *testing.T) {
	for _, address := range []string{"user:pw@host/file", "https:user:pw@host/x", "http://user:pw@host:99999/x", "http://user:pw@ho st/x"} {
		if _, err := download.Get(t.Context(), download.Request{URL: address, Dir: t.TempDir()}); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("Get(%q) = %v", address, err)
		}
	}
	s := newSite(10)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://h/%zz?X-Amz-Signature=deadbeef")
		w.WriteHeader(http.StatusFound)
	}
	_, err := once(t).Get(t.Context(), download.Request{URL: s.open(t), Dir: t.TempDir()})
	if err == nil || strings.Contains(err.Error(), "deadbeef") {
		t.Errorf("Get() = %v", err)
	}
	for _, query := range []string{"pass=x1x", "hmac=x1x", "hdnts=exp=1~x1x", "a=1;token=x1x", "ticket=x1x"} {
		u, err := url.Parse("http://h/f?" + query)
		if err != nil {
			t.Fatal(err)
		}
		if text := download.SafeURL(u); strings.Contains(text, "x1x") {
			t.Errorf("SafeURL() = %s", text)
		}
	}
}

func TestGet_ServerName(t *testing.T) {
	header := "attachment; filename=report.txt"
	s := newSite(100)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", header)
		s.send(w, r)
	}
	dir, address := t.TempDir(), s.open(t)
	write(t, filepath.Join(dir, "file.bin"), []byte("another file, with the name of the URL"))
	request := download.Request{URL: address, Dir: dir, ServerName: true, Digests: []download.Digest{sha256Of(s.body)}}
	got, err := once(t).Get(t.Context(), request)
	if err != nil || filepath.Base(got.Path) != "report.txt" || got.Present {
		t.Errorf("Get() = %+v, %v; want report.txt", got, err)
	}
	if got, err = once(t).Get(t.Context(), request); err != nil || !got.Present {
		t.Errorf("the second Get() = %+v, %v; want present", got, err)
	}
	for _, header = range []string{"attachment; filename=.bashrc", `attachment; filename="../x"`, `attachment; filename="a/b"`, "attachment; filename=x.part"} {
		if got, err := once(t).Get(t.Context(), request); err == nil {
			t.Errorf("%s: the file is %s", header, got.Path)
		}
	}
	wantFiles(t, dir, "file.bin", "report.txt")
}

// TestGet_OnName: Get must create no file whose name the caller refuses.
func TestGet_OnName(t *testing.T) {
	s := newSite(1000)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="better"`)
		s.send(w, r)
	}
	dir, why := t.TempDir(), errors.New("no such name")
	r := download.Request{URL: s.open(t), Dir: dir, ServerName: true, OnName: func(name string) error {
		if name != "better" {
			t.Errorf("name %q", name)
		}
		return why
	}}
	_, err := once(t).Get(t.Context(), r)
	if wantError(t, err, false, "create better: no such name"); !errors.Is(err, why) {
		t.Errorf("error = %v", err)
	}
	wantFiles(t, dir)
}
