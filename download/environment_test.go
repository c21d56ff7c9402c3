package download_test

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"concert/download"
)

func TestGet_Proxy(t *testing.T) {
	s := newSite(10)
	u, err := url.Parse(s.open(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("anna", "secret")
	dir := t.TempDir()
	client := newClient(t, download.ClientOptions{Proxy: http.ProxyURL(u)})
	if _, err := client.Get(t.Context(), download.Request{URL: "http://host.invalid/file.bin", Dir: dir}); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, dir, s.body)
	if r := s.last(); r.Host != "host.invalid" || r.Header.Get("Proxy-Authorization") == "" || r.Header.Get("Authorization") != "" {
		t.Errorf("the proxy received the host %q and the headers %v", r.Host, r.Header)
	}
}

// TestProxyFromEnvironment_Invalid: an invalid proxy in the environment must be
// an error, because a direct request would bypass the proxy. The environment is
// read once, so the test needs processes.
func TestProxyFromEnvironment_Invalid(t *testing.T) {
	for _, c := range []struct{ name, value, text string }{
		{"http_proxy", "http://anna:se cret@proxy", "environment variable http_proxy"},
		{"HTTPS_PROXY", "ftp://proxy:1", "environment variable HTTPS_PROXY"},
		{"HTTP_PROXY", "://x", "environment variable HTTP_PROXY"},
		{"http_proxy", "http://", "environment variable http_proxy"},
	} {
		t.Run(c.name+" "+c.value, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childOf(childGet{URL: "http://127.0.0.1:1/file.bin", Dir: t.TempDir(), Retries: 3}), c.name+"="+c.value)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.text) || strings.Contains(string(out), "cret") || !strings.Contains(string(out), "attempts=1") {
				t.Errorf("the process printed %q, %v; want an error with %q after one attempt", out, err, c.text)
			}
		})
	}
}

func TestParseProxy_Forms(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "proxy:3128": "http://proxy:3128", "http://proxy": "http://proxy", "socks5h://proxy:1": "socks5h://proxy:1",
		"https://u:p@proxy": "https://u:p@proxy", "[::1]:80": "http://[::1]:80",
		"ftp://proxy": "error", "http://": "error", "http://a b:secret@proxy": "error", "://proxy": "error", "proxy:secret": "error",
	} {
		u, err := download.ParseProxy(text)
		got := ""
		if u != nil {
			got = u.String()
		}
		if want == "error" && (err == nil || strings.Contains(err.Error(), "a b")) || want != "error" && (err != nil || got != want) {
			t.Errorf("ParseProxy(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}
