package web

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"concert/cmd/concert/internal/cli"
	"concert/dashboard"
)

func TestFlag(t *testing.T) {
	for args, want := range map[string]string{
		"":                     "",
		"--web":                loopback,
		"--web x":              loopback,
		"--web=8080":           "127.0.0.1:8080",
		"--web=0.0.0.0:8080":   "0.0.0.0:8080",
		"--web=:0":             ":0",
		"--web=[::1]:80":       "[::1]:80",
		"--web=host.example:1": "host.example:1",
		"--web=false":          "",
		"--web=host":           `--web "host": want a host and a port, as in 127.0.0.1:8080, or a port`,
		"--web=1:2:3":          `--web "1:2:3": want a host and a port, as in 127.0.0.1:8080, or a port`,
		"--web=h:70000":        `--web "h:70000": want a host and a port, as in 127.0.0.1:8080, or a port`,
	} {
		t.Run(args, func(t *testing.T) {
			var f Flag
			flags := cli.NewFlags()
			f.Declare(flags)
			got := ""
			if err := flags.Parse(strings.Fields(args)); err != nil {
				got = err.Error()
			} else if got = f.address; f.IsSet() != (want != "") {
				t.Errorf("IsSet returned %v", f.IsSet())
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// serve starts a page at an address, and returns the line that it prints.
func serve(t *testing.T, address string) (p *Page, printed string) {
	t.Helper()
	var out strings.Builder
	f := Flag{true, address}
	p, err := f.Serve("map", dashboard.Options{Title: "jobs"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, out.String()
}

var printedURL = regexp.MustCompile(`^concert map: live page: (http://127\.0\.0\.1:[0-9]+/)\?token=([A-Z2-7]{26})\n$`)

// TestPage_Token: only the URL with the token opens the page. It moves the
// token to a cookie, with which the page works.
func TestPage_Token(t *testing.T) {
	p, printed := serve(t, loopback)
	m := printedURL.FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("printed %q", printed)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	get := func(at string) (int, string, string) {
		t.Helper()
		r, err := client.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, r.Request.URL.String(), string(text)
	}
	for _, at := range []string{m[1], m[1] + "?token=", m[1] + "?token=" + m[2] + "A", m[1] + "events", m[1] + "dashboard.js", m[1] + p.path[1:]} {
		if code, _, text := get(at); code != 403 {
			t.Errorf("%s: status %d: %s", at, code, text)
		}
	}
	code, at, text := get(m[1] + "?token=" + m[2])
	if code != 200 || at != m[1]+p.path[1:] || !strings.Contains(text, "<h1>jobs</h1>") {
		t.Errorf("status %d at %s: %s", code, at, text)
	}
	if strings.Contains(text, m[2]) {
		t.Error("the page contains the token of its URL")
	}
	if code, _, _ := get(at + "dashboard.js"); code != 200 {
		t.Errorf("with the cookie: status %d", code)
	}
	if code, _, _ := get(at + "a/b/"); code != 404 {
		t.Errorf("another path: status %d", code)
	}
	// Another server of this machine may be of another user.
	other, err := url.Parse("http://127.0.0.1:1/")
	if err != nil {
		t.Fatal(err)
	}
	if cookies := jar.Cookies(other); len(cookies) != 0 {
		t.Errorf("another server gets %v", cookies)
	}
	if code, _, _ := get(m[1]); code != 403 {
		t.Errorf("without the path: status %d", code)
	}
}

// TestPage_Close: the end of the command must not wait for a page that is open,
// and frees the address.
func TestPage_Close(t *testing.T) {
	p, printed := serve(t, loopback)
	m := printedURL.FindStringSubmatch(printed)
	r, err := http.NewRequest("GET", m[1]+p.path[1:]+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: cookie, Value: p.token})
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	p.Close()
	text, _ := io.ReadAll(reply.Body) // ends, because the server has closed the stream
	if !strings.Contains(string(text), `"ended":true`) {
		t.Errorf("the page has not received the end: %s", text)
	}
	if _, err := http.Get(m[1]); err == nil {
		t.Error("the server still listens")
	}
	var none *Page
	none.Close()
}

// TestServe_Address: an address in use is an error, an address that other
// machines can reach is stated, and without the flag there is no page.
func TestServe_Address(t *testing.T) {
	_, printed := serve(t, loopback)
	address := strings.TrimSuffix(strings.TrimPrefix(printedURL.FindStringSubmatch(printed)[1], "http://"), "/")
	if _, err := (&Flag{true, address}).Serve("map", dashboard.Options{}, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "--web: listen tcp") {
		t.Errorf("a second page: %v", err)
	}
	if p, err := new(Flag).Serve("map", dashboard.Options{}, io.Discard); p != nil || err != nil {
		t.Errorf("without the flag: %v, %v", p, err)
	}
}
