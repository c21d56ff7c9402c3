// Package web serves the live page of a command: the flag --web.
//
//	http://127.0.0.1:41235/?token=...  -->  cookie, redirect to /PATH/  -->  package dashboard
//
// The server listens on the loopback address by default. Other users of the
// machine can connect to it, and so can web sites in a browser of the user. So
// every request needs a random token, which only the output of the command
// contains. The first request moves the token to a cookie.
//
// A browser sends a cookie to all ports of a host. A server of another user of
// the machine may listen on another port, and a web site may open it in the
// browser. So the page is at a random path, and the cookie is for this path
// only.
package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"concert/cmd/concert/internal/cli"
	"concert/dashboard"
)

// Flag is the flag --web, which may have an address: --web=ADDR.
type Flag struct {
	on      bool
	address string
}

const loopback = "127.0.0.1:0"

// Declare adds the flag to the flags of a command.
func (f *Flag) Declare(flags *cli.Flags) {
	flags.Add(f, "web", "", "serve a live page of the tasks, and print its URL; --web=HOST:PORT sets the address (default 127.0.0.1 and a free port)")
}

// String implements flag.Value.
func (f *Flag) String() string {
	if f.address == loopback {
		return ""
	}
	return f.address
}

// IsBoolFlag makes the value optional, for package flag.
func (f *Flag) IsBoolFlag() bool { return true }

var errAddress = errors.New("want a host and a port, as in 127.0.0.1:8080, or a port")

// Set implements flag.Value.
func (f *Flag) Set(text string) error {
	switch text {
	case "true":
		*f = Flag{true, loopback}
		return nil
	case "false":
		*f = Flag{}
		return nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = "127.0.0.1", text
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errAddress
	}
	*f = Flag{true, net.JoinHostPort(host, port)}
	return nil
}

// IsSet reports whether the command has a live page.
func (f *Flag) IsSet() bool { return f.on }

// Page is a live page that a server serves. A nil Page serves nothing.
type Page struct {
	*dashboard.Dashboard
	server *http.Server
	token  string
	path   string // of the page and of the cookie
}

// cookie is the name of the cookie with the token.
const cookie = "concert_token"

// Serve starts the server of a command, if the flag is set, and prints the URL
// of the page. Otherwise it returns nil.
func (f *Flag) Serve(command string, opts dashboard.Options, errOut io.Writer) (*Page, error) {
	if !f.on {
		return nil, nil
	}
	l, err := net.Listen("tcp", f.address)
	if err != nil {
		return nil, fmt.Errorf("--web: %w", err)
	}
	host, _, _ := net.SplitHostPort(f.address)
	address := l.Addr().(*net.TCPAddr)
	shown := host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if shown, err = os.Hostname(); err != nil {
			shown = "localhost"
		}
	}
	opts.Hosts = append(opts.Hosts, shown)
	p := &Page{Dashboard: dashboard.New(&opts), token: rand.Text(), path: "/" + rand.Text() + "/"}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go p.server.Serve(l)
	at := url.URL{Scheme: "http", Host: net.JoinHostPort(shown, strconv.Itoa(address.Port)), Path: "/", RawQuery: "token=" + p.token}
	fmt.Fprintf(errOut, "concert %s: live page: %s\n", command, at.String())
	if !address.IP.IsLoopback() {
		fmt.Fprintf(errOut, "concert %s: other machines can reach this page, and the connection is not encrypted\n", command)
	}
	return p, nil
}

// ServeHTTP serves the page to requests with the token.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if given := r.URL.Query().Get("token"); given != "" && p.isToken(given) {
		http.SetCookie(w, &http.Cookie{Name: cookie, Value: p.token, Path: p.path, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, p.path, http.StatusSeeOther)
		return
	}
	c, err := r.Cookie(cookie)
	if err != nil || !p.isToken(c.Value) {
		http.Error(w, "This page needs the URL with a token that the command has printed.", http.StatusForbidden)
		return
	}
	if file, ok := strings.CutPrefix(r.URL.Path, p.path); !ok || strings.Contains(file, "/") {
		http.NotFound(w, r)
		return
	}
	p.Dashboard.ServeHTTP(w, r)
}

func (p *Page) isToken(given string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(p.token)) == 1
}

// closeTime is how long an open page may take to receive the last numbers.
const closeTime = 100 * time.Millisecond

// Close shows the final numbers on open pages, and ends the server. It does not
// wait for a page that is slow.
func (p *Page) Close() {
	if p == nil {
		return
	}
	p.Dashboard.Close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if p.server.Shutdown(ctx) != nil {
		p.server.Close()
	}
}
