package download_test

import (
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
