package download_test

import (
	"crypto/x509"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"concert/download"
)

// TestGet_RedirectKeepsName: after a redirect, the name of the file must come
// from the requested URL.
func TestGet_RedirectKeepsName(t *testing.T) {
	s := newSite(1000)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/file.bin" {
			http.Redirect(w, r, "/..%2f..%2fevil?token=abc", http.StatusFound)
			return
		}
		s.send(w, r)
	}
	dir := t.TempDir()
	got, err := once(t).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir})
	if err != nil || !strings.HasSuffix(got.FinalURL, "evil?token=...") {
		t.Fatalf("Get() = %+v, %v", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_RefusedRedirects: a redirect that Get must not follow is an error
// that is not temporary.
func TestGet_RefusedRedirects(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("Get followed the redirect") }))
	defer plain.Close()
	for _, c := range []struct{ name, to, text string }{
		{"loop", "/file.bin", "more than 20 redirects"},
		{"https to http", plain.URL + "/file.bin?sig=abc", "from https to http"},
		{"another scheme", "file:///etc/passwd", `to the scheme "file"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests := 0
			secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				w.Header().Set("Location", c.to)
				w.WriteHeader(http.StatusFound)
			}))
			defer secure.Close()
			dir := t.TempDir()
			client := newClient(t, download.ClientOptions{RootCAs: pool(secure)})
			_, err := client.Get(t.Context(), download.Request{URL: secure.URL + "/file.bin", Dir: dir})
			wantError(t, err, false, c.text)
			if requests > 21 || strings.Contains(err.Error(), "abc") {
				t.Errorf("%d requests, error %v", requests, err)
			}
			wantFiles(t, dir)
		})
	}
}

// pool returns the certificate of a test server.
func pool(server *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(server.Certificate())
	return p
}

func TestGet_AllowDowngrade(t *testing.T) {
	s := newSite(10)
	plain := s.open(t)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain, http.StatusFound))
	defer secure.Close()
	dir := t.TempDir()
	client := newClient(t, download.ClientOptions{RootCAs: pool(secure), AllowDowngrade: true})
	if _, err := client.Get(t.Context(), download.Request{URL: secure.URL + "/file.bin", Dir: dir}); err != nil {
		t.Error(err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_SecretsStayAtTheirHost: a redirect to another host must get no
// credentials, no header of the client, no cookie and no Referer.
func TestGet_SecretsStayAtTheirHost(t *testing.T) {
	elsewhere := newSite(10)
	other := strings.Replace(elsewhere.open(t), "127.0.0.1", "localhost", 1)
	for _, credentials := range []string{"URL", "option", "header"} {
		t.Run(credentials, func(t *testing.T) {
			// The redirects go to the same host, to another host, and back.
			home := newSite(10)
			var base string
			var visits []*http.Request
			home.handler = func(w http.ResponseWriter, r *http.Request) {
				visits = append(visits, r)
				switch r.URL.Path {
				case "/file.bin":
					http.SetCookie(w, &http.Cookie{Name: "session", Value: "cookie-secret"})
					http.Redirect(w, r, "/second?sig=query-secret", http.StatusFound)
				case "/second":
					http.Redirect(w, r, strings.Replace(other, "://", "://evil:user@", 1), http.StatusFound)
				default:
					home.send(w, r)
				}
			}
			elsewhere.handler = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, base+"/third", http.StatusFound)
			}
			address := home.open(t)
			base = strings.TrimSuffix(address, "/file.bin")
			opts := download.ClientOptions{Headers: http.Header{"X-Token": {"header-secret"}, "Cookie": {"fixed=header-secret"}, "User-Agent": {"test"}}}
			switch credentials {
			case "URL":
				address = strings.Replace(address, "://", "://anna:password-secret@", 1)
			case "option":
				opts.Credentials = func(host string) (string, string, bool) {
					return "anna", "password-secret", strings.Contains(base, host)
				}
			case "header":
				opts.Headers.Set("Authorization", "Bearer password-secret")
			}
			if _, err := newClient(t, opts).Get(t.Context(), download.Request{URL: address, Dir: t.TempDir()}); err != nil {
				t.Fatal(err)
			}
			r := elsewhere.last()
			for name, values := range r.Header {
				if strings.Contains(strings.Join(values, " "), "secret") || name == "Authorization" || name == "Cookie" || name == "Referer" {
					t.Errorf("the other host received %s: %q", name, values)
				}
			}
			if r.UserAgent() != "test" {
				t.Errorf("the other host received the User-Agent %q", r.UserAgent())
			}
			if len(visits) != 3 {
				t.Fatalf("%d requests to the host of the URL", len(visits))
			}
			for _, r := range visits {
				if r.Header.Get("Authorization") == "" || r.Header.Get("X-Token") == "" || r.Header.Get("Referer") != "" {
					t.Errorf("%s: the host of the URL received %v", r.URL.Path, r.Header)
				}
				if c, err := r.Cookie("session"); r.URL.Path == "/second" && (err != nil || c.Value != "cookie-secret") {
					t.Errorf("%s: the cookie of the redirect is missing: %v", r.URL.Path, r.Header)
				}
			}
		})
	}
}

// TestGet_CookieOfARedirect: some servers set a cookie, and redirect until
// they receive it. Get must send the cookie.
func TestGet_CookieOfARedirect(t *testing.T) {
	s := newSite(10)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("seen"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1"})
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return
		}
		s.send(w, r)
	}
	address, dir := s.open(t), t.TempDir()
	client := once(t)
	for _, name := range []string{"file.bin", "second.bin"} {
		before := s.count()
		_, err := client.Get(t.Context(), download.Request{URL: address, Dir: dir, Name: name})
		if n := s.count() - before; err != nil || n != 2 {
			t.Errorf("Get() = %v after %d requests; want the cookies of one Get not to be those of another", err, n)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(u, []*http.Cookie{{Name: "seen", Value: "1"}})
	before := s.count()
	if _, err := newClient(t, download.ClientOptions{Jar: jar}).Get(t.Context(), download.Request{URL: address, Dir: t.TempDir()}); err != nil || s.count() != before+1 {
		t.Errorf("Get() with a jar = %v after %d requests", err, s.count()-before)
	}
}

// TestGet_Certificate: an invalid certificate is not temporary.
func TestGet_Certificate(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = discardLog
	_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: secure.URL + "/file.bin", Dir: t.TempDir()})
	wantError(t, err, false, "certificate")
}

// TestGet_AnotherPort: a server on another port of the host must get no
// credentials and no header of the client either.
func TestGet_AnotherPort(t *testing.T) {
	elsewhere, home := newSite(10), newSite(10)
	other := elsewhere.open(t)
	home.handler = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) }
	client := newClient(t, download.ClientOptions{Headers: http.Header{"X-Token": {"secret"}}})
	address := strings.Replace(home.open(t), "://", "://anna:secret@", 1)
	if _, err := client.Get(t.Context(), download.Request{URL: address, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if h := elsewhere.last().Header; h.Get("Authorization") != "" || h.Get("X-Token") != "" {
		t.Errorf("the other port received %v", h)
	}
}

func TestGet_OwnHeaders(t *testing.T) {
	s := newSite(1000)
	client := download.NewClient(&download.ClientOptions{Headers: http.Header{
		"Range": {"bytes=5-"}, "if-range": {`"one"`}, "If-None-Match": {"*"}, "Accept-Encoding": {"gzip"},
	}})
	dir := t.TempDir()
	if _, err := client.Get(t.Context(), download.Request{URL: s.open(t), Dir: dir}); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, dir, s.body)
}
