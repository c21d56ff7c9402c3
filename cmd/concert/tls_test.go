package main

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concert/cmd/concert/internal/cli"
)

// secure starts an https server, and returns the file of its certificate.
func secure(t *testing.T, h http.HandlerFunc) (s *httptest.Server, authority string) {
	s = httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients refuse the certificate
	s.StartTLS()
	t.Cleanup(s.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, authority
}

// TestGet_Authorities: get must trust the authorities of --cacert, and no other
// ones. --http1.1 must select the protocol.
func TestGet_Authorities(t *testing.T) {
	t.Setenv("NETRC", "")
	s, authority := secure(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	dir := t.TempDir()
	for _, row := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown", nil, cli.ExitFailed, ""},
		{"h2", []string{"--cacert", authority}, cli.ExitOK, "HTTP/2.0"},
		{"h1", []string{"--cacert", authority, "--http1.1"}, cli.ExitOK, "HTTP/1.1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := append([]string{"get", "-d", dir, "--retries", "0", s.URL + "/" + row.name}, row.args...)
			code, _, errOut := call(t.Context(), args...)
			got, _ := os.ReadFile(filepath.Join(dir, row.name))
			if code != row.code || string(got) != row.want {
				t.Errorf("exit %d, the file has %q, want %d and %q\n%s", code, got, row.code, row.want, errOut)
			}
			if code == cli.ExitFailed && !strings.Contains(errOut, "certificate") {
				t.Errorf("the error does not name the certificate: %s", errOut)
			}
		})
	}
}

// TestGet_Downgrade: get must follow a redirect from https to http only with
// --allow-downgrade.
func TestGet_Downgrade(t *testing.T) {
	t.Setenv("NETRC", "")
	f := newFaulty()
	defer f.Close()
	s, authority := secure(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, f.URL+"/plain/a", http.StatusFound)
	})
	args := []string{"get", "-d", t.TempDir(), "--cacert", authority, s.URL + "/a"}
	if code, _, errOut := call(t.Context(), args...); code != cli.ExitFailed || f.requests("/plain/a") != 0 {
		t.Errorf("exit %d, %d requests\n%s", code, f.requests("/plain/a"), errOut)
	}
	if code, _, errOut := call(t.Context(), append(args, "--allow-downgrade")...); code != cli.ExitOK || f.requests("/plain/a") != 1 {
		t.Errorf("with the flag: exit %d, %d requests\n%s", code, f.requests("/plain/a"), errOut)
	}
}
