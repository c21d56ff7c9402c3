package dashboard_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"concert"
	"concert/dashboard"
)

// get returns the reply to a request with a Host header.
func get(h http.Handler, method, path, host string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestHandler_Host: an unknown host name must be refused, because an attacker
// may have made it point to this server.
func TestHandler_Host(t *testing.T) {
	d := dashboard.New(&dashboard.Options{Hosts: []string{"build.example"}})
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "app.localhost:1": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "192.0.2.7": 200,
		"build.example": 200, "BUILD.example.:8080": 200,
		"attacker.example": 403, "127.0.0.1.attacker.example:8080": 403, "localhost.attacker.example": 403, "": 403, "build.example.attacker.example": 403,
	} {
		t.Run(host, func(t *testing.T) {
			if got := get(d, "GET", "/", host); got.Code != want {
				t.Errorf("status %d, want %d: %s", got.Code, want, got.Body)
			}
		})
	}
}

// TestHandler_Prefix: the page must work under any prefix, and must load
// nothing from other servers.
func TestHandler_Prefix(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/debug/concert/", dashboard.Handler())
	mux.Handle("/stripped/", http.StripPrefix("/stripped", dashboard.Handler()))
	for _, prefix := range []string{"/debug/concert/", "/stripped/"} {
		for name, kind := range map[string]string{"": "text/html", "dashboard.js": "text/javascript", "dashboard.css": "text/css"} {
			got := get(mux, "GET", prefix+name, "localhost")
			if got.Code != 200 || !strings.HasPrefix(got.Header().Get("Content-Type"), kind) {
				t.Errorf("%s%s: status %d, %v", prefix, name, got.Code, got.Header())
			}
			if policy := got.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s%s: the policy is %q", prefix, name, policy)
			}
			if m := regexp.MustCompile(`https?://[^"' ]*|(?:src|href)="/[^"]*"`).FindAllString(got.Body.String(), -1); len(m) > 1 || len(m) == 1 && m[0] != "http://www.w3.org/2000/svg" {
				t.Errorf("%s%s refers to %q", prefix, name, m)
			}
		}
		if got := get(mux, "GET", prefix+"other", "localhost"); got.Code != 404 {
			t.Errorf("another file: status %d", got.Code)
		}
		if got := get(mux, "DELETE", prefix, "localhost"); got.Code != 405 {
			t.Errorf("DELETE: status %d", got.Code)
		}
	}
}

// TestHandler_Title: the title must be inserted as text, not as HTML.
func TestHandler_Title(t *testing.T) {
	d := dashboard.New(&dashboard.Options{Title: `<script>alert(1)</script>`})
	if text := get(d, "GET", "/", "localhost").Body.String(); strings.Contains(text, "<script>alert") || !strings.Contains(text, "&lt;script&gt;alert") {
		t.Errorf("the page is %s", text)
	}
}

// TestHandler_Action: an action must be refused unless it is a POST of the
// same origin with the token of the page, and the program has set its
// function.
func TestHandler_Action(t *testing.T) {
	var paused []bool
	d := dashboard.New(&dashboard.Options{OnPause: func(_ context.Context, on bool) error {
		paused = append(paused, on)
		if len(paused) > 2 {
			return errors.New("it has ended")
		}
		return nil
	}})
	token := regexp.MustCompile(`name="concert-token" content="([^"]+)"`).FindStringSubmatch(get(d, "GET", "/", "127.0.0.1:80").Body.String())[1]
	for _, c := range []struct {
		name   string
		method string
		header map[string]string
		body   string
		code   int
		want   string
	}{
		{"no token", "POST", nil, `{"do":"pause"}`, 403, "token"},
		{"wrong token", "POST", map[string]string{"Concert-Token": token + "x"}, `{"do":"pause"}`, 403, "token"},
		{"GET", "GET", map[string]string{"Concert-Token": token}, `{"do":"pause"}`, 405, "POST"},
		{"other origin", "POST", map[string]string{"Concert-Token": token, "Origin": "http://attacker.example"}, `{"do":"pause"}`, 403, "origin"},
		{"other site", "POST", map[string]string{"Concert-Token": token, "Sec-Fetch-Site": "cross-site"}, `{"do":"pause"}`, 403, "origin"},
		{"not JSON", "POST", map[string]string{"Concert-Token": token}, `do=pause`, 400, "cannot be read"},
		{"large", "POST", map[string]string{"Concert-Token": token}, `{"do":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "cannot be read"},
		{"unknown", "POST", map[string]string{"Concert-Token": token}, `{"do":"explode"}`, 404, "does not permit"},
		{"not permitted", "POST", map[string]string{"Concert-Token": token}, `{"do":"cancel","source":1,"task":"1"}`, 404, "does not permit"},
		{"pause", "POST", map[string]string{"Concert-Token": token, "Origin": "http://127.0.0.1:80", "Sec-Fetch-Site": "same-origin"}, `{"do":"pause"}`, 200, "paused"},
		{"resume", "POST", map[string]string{"Concert-Token": token}, `{"do":"resume","task":"0"}`, 200, "resumed"},
		{"failure", "POST", map[string]string{"Concert-Token": token}, `{"do":"pause"}`, 500, "it has ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(paused)
			r := httptest.NewRequest(c.method, "/action", strings.NewReader(c.body))
			r.Host = "127.0.0.1:80"
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			text, _ := io.ReadAll(w.Body)
			if w.Code != c.code || !strings.Contains(string(text), c.want) {
				t.Errorf("status %d: %s", w.Code, text)
			}
			if acted := len(paused) > before; acted != (c.code == 200 || c.code == 500) {
				t.Errorf("the function was called: %v", acted)
			}
		})
	}
	if len(paused) != 3 || !paused[0] || paused[1] {
		t.Errorf("the function was called with %v", paused)
	}
}

// TestAdd_Nil: Add must panic for a nil source.
func TestAdd_Nil(t *testing.T) {
	defer func() {
		if v := recover(); v != "dashboard: Add: the source is nil" {
			t.Errorf("panic %v", v)
		}
	}()
	var none concert.Executor
	dashboard.New(nil).Add("none", none)
}
