package get

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestProxyFor_Environment(t *testing.T) {
	for name, row := range map[string]struct {
		env  map[string]string
		flag string
		url  string
		want string // the proxy, or the beginning of the error
	}{
		"none":               {url: "http://h/"},
		"all":                {env: map[string]string{"ALL_PROXY": "socks5h://p:1"}, url: "https://h/", want: "socks5h://p:1"},
		"lower case first":   {env: map[string]string{"all_proxy": "http://q", "ALL_PROXY": "http://p"}, url: "http://h/", want: "http://q"},
		"https before all":   {env: map[string]string{"ALL_PROXY": "http://p", "https_proxy": "q:2"}, url: "https://h/", want: "http://q:2"},
		"all for http":       {env: map[string]string{"ALL_PROXY": "http://p", "https_proxy": "q:2"}, url: "http://h/", want: "http://p"},
		"no_proxy":           {env: map[string]string{"ALL_PROXY": "http://p", "no_proxy": ".h"}, url: "http://x.h/"},
		"flag":               {env: map[string]string{"ALL_PROXY": "http://p", "no_proxy": "*"}, flag: "r:3", url: "http://h/", want: "http://r:3"},
		"flag is invalid":    {flag: "ftp://user:secret@h", url: "http://h/", want: "--proxy: its scheme"},
		"value is invalid":   {env: map[string]string{"HTTPS_PROXY": "http://user:sec/ret@h"}, url: "http://h/", want: "the environment variable HTTPS_PROXY is not a proxy: it is not a URL"},
		"scheme is unknown":  {env: map[string]string{"ALL_PROXY": "tor://secret"}, url: "http://h/", want: "the environment variable ALL_PROXY is not a proxy: its scheme"},
		"flag before values": {env: map[string]string{"ALL_PROXY": "tor://secret"}, flag: "http://p", url: "http://h/", want: "http://p"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{"http_proxy", "https_proxy", "all_proxy", "no_proxy"} {
				t.Setenv(v, "")
				t.Setenv(strings.ToUpper(v), "")
			}
			for k, v := range row.env {
				t.Setenv(k, v)
			}
			proxy, err := proxyFor(row.flag)
			if err != nil {
				if row.want == "" || !strings.HasPrefix(err.Error(), row.want) || strings.Contains(err.Error(), "sec") {
					t.Errorf("error %v, want %s", err, row.want)
				}
				return
			}
			u, err := url.Parse(row.url)
			if err != nil {
				t.Fatal(err)
			}
			p, err := proxy(&http.Request{URL: u})
			got := ""
			if p != nil {
				got = p.String()
			}
			if err != nil || got != row.want {
				t.Errorf("proxy %q, %v, want %q", got, err, row.want)
			}
		})
	}
}

// TestLimit: the limit must hold for all downloads together.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newLimit(minBurst)
		begin := time.Now()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { time.Sleep(limit(2 * minBurst)) })
		}
		all.Wait()
		// The first burst does not wait.
		if took := time.Since(begin).Round(time.Millisecond); took != 7*time.Second {
			t.Errorf("8 bursts took %v, want 7s", took)
		}
	})
}

func TestByteRate(t *testing.T) {
	for text, want := range map[string]int64{"500": 500, "500K": 512000, "1.5M": 1536 << 10, "2m/s": 2 << 20, "0": 0, "fast": 0, "-1": 0, "": 0} {
		var r byteRate
		if err := r.Set(text); int64(r) != want || (err == nil) != (want > 0) {
			t.Errorf("Set(%q) = %d, %v, want %d", text, r, err, want)
		}
	}
}

// TestReadCookies: a cookie must go only to its domain, its path and its
// scheme.
func TestReadCookies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cookies")
	text := "\ufeff# Netscape HTTP Cookie File\r\n\r\n" +
		".example.com\tTRUE\t/\tFALSE\t4102444800\tall\t1\r\n" +
		"example.com\tFALSE\t/\tTRUE\t0\tsecure\t2\r\n" +
		"#HttpOnly_www.example.com\tFALSE\t/dir\tFALSE\t0\tdir\t\"3\"\r\n" +
		"example.com\tFALSE\t/\tFALSE\t1\told\t4\n" +
		"co.uk\tTRUE\t/\tFALSE\t0\tpublic\t5\n" +
		"example.com\tFALSE\t/\tFALSE\t0\tbad\tx\x01y\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	jar, notes, err := readCookies(file)
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], ":8: ") {
		t.Fatalf("notes %q, %v", notes, err)
	}
	for address, want := range map[string]string{
		"https://example.com/":         "all=1 secure=2",
		"http://example.com/":          "all=1",
		"http://www.example.com/dir/a": `dir="3" all=1`,
		"http://www.example.com/x":     "all=1",
		"http://other.co.uk/":          "",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range jar.Cookies(u) {
			got = append(got, c.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", address, got, want)
		}
	}
}

func TestDirectoryOf(t *testing.T) {
	for path, want := range map[string]string{"/a": "", "/d/a": "d", "/d//e%20f/": "d/e f", "": "", "/d/../a": "!", "/%2e%2e/a": "!", "/d%2fe/a": "!", "/./a": "!", "/d%5ce/a": "!", "/d%00/a": "!"} {
		u, err := url.Parse("http://h" + path)
		if err != nil {
			t.Fatal(err)
		}
		dir, err := directoryOf(u)
		if err != nil {
			dir = "!"
		}
		if dir != want {
			t.Errorf("directoryOf(%q) = %q, %v, want %q", path, dir, err, want)
		}
	}
}

// TestParse_Range: an extreme number or time must be refused, and the error
// must have the range.
func TestParse_Range(t *testing.T) {
	for flag, row := range map[string]struct{ good, bad, want string }{
		"--jobs":            {"1000", "1001", "--jobs takes 1 to 1000"},
		"--per-host":        {"1000", "2305843009213693952", "--per-host takes 1 to 1000"},
		"-x":                {"64", "65", "-x takes 1 to 64"},
		"--retries":         {"1000000", "2147483647", "--retries takes 0 to 1000000"},
		"--connect-timeout": {"8760h", "8761h", "--connect-timeout takes a time above 0 and up to 8760h"},
		"--header-timeout":  {"1ms", "-1s", "--header-timeout takes a time above 0 and up to 8760h"},
		"--stall-timeout":   {"1ms", "0s", "--stall-timeout takes a time above 0 and up to 8760h"},
		"--retry-delay":     {"8760h", "2000000h", "--retry-delay takes a time above 0 and up to 8760h"},
		"--retry-max-time":  {"8760h", "2000000h", "--retry-max-time takes a time above 0 and up to 8760h"},
		"--max-time":        {"0s", "8761h", "--max-time takes a time up to 8760h"},
	} {
		if _, _, err := parse([]string{flag, row.good, "http://h/f"}); err != nil {
			t.Errorf("%s %s: %v", flag, row.good, err)
		}
		if _, _, err := parse([]string{flag, row.bad, "http://h/f"}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %s: error %v, want %s", flag, row.bad, err, row.want)
		}
	}
}
