package dashboard

import (
	"bytes"
	"context"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"concert/executor"
	"concert/internal/page"
)

//go:embed page.html
var pageText string

//go:embed dashboard.js
var script []byte

//go:embed dashboard.css
var style string

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageText))
})

var styleSheet = sync.OnceValue(func() []byte { return []byte(page.Style() + style) })

// policy permits only files of this handler. It forbids code in the page
// itself, so a text of a task can never run, even if the script had a mistake.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// tokenHeader is the name of the header with the token of an action.
const tokenHeader = "Concert-Token"

// ServeHTTP serves the page at any path that ends in a slash, and the files of
// the page next to it.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !d.isKnownHost(r.Host) {
		http.Error(w, "dashboard: this page is not served for the host name "+fmt.Sprintf("%.100q", r.Host)+
			": use the IP address or localhost, or add the name to Options.Hosts", http.StatusForbidden)
		return
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if name == "action" {
		d.serveAction(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "dashboard: want GET", http.StatusMethodNotAllowed)
		return
	}
	switch name {
	case "":
		d.servePage(w, r)
	case "dashboard.js":
		serveFile(w, r, "text/javascript; charset=utf-8", script)
	case "dashboard.css":
		serveFile(w, r, "text/css; charset=utf-8", styleSheet())
	case "events":
		d.serveEvents(w, r)
	default:
		http.NotFound(w, r)
	}
}

// isKnownHost reports whether a page may be served for the Host header. It
// accepts all addresses, but only known names: an attacker can make a name
// point to the address of this server.
func (d *Dashboard) isKnownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return slices.ContainsFunc(d.opts.Hosts, func(known string) bool { return strings.EqualFold(known, host) })
}

func serveFile(w http.ResponseWriter, r *http.Request, kind string, content []byte) {
	w.Header().Set("Content-Type", kind)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (d *Dashboard) servePage(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	err := pageTemplate().Execute(&b, map[string]any{
		"Title": strings.ToValidUTF8(d.opts.Title, "?"), "Token": d.token,
		"Pause": d.opts.OnPause != nil, "Cancel": d.opts.OnCancel != nil, "Replay": d.opts.OnReplay != nil,
	})
	if err != nil {
		http.Error(w, "dashboard: "+err.Error(), http.StatusInternalServerError)
		return
	}
	serveFile(w, r, "text/html; charset=utf-8", b.Bytes())
}

// action is the body of a request of a button.
type action struct {
	Do     string `json:"do"` // pause, resume, cancel or replay
	Source int    `json:"source"`
	Task   uint64 `json:"task,string"` // the task to cancel
	Group  int    `json:"group"`       // the group to replay
}

const maxAction = 4 << 10 // bytes

// serveAction runs the action of a button. It requires the token in a header:
// a page of another origin can send a POST, but can neither read the token nor
// set the header.
func (d *Dashboard) serveAction(w http.ResponseWriter, r *http.Request) {
	fail := func(code int, why string) { http.Error(w, "dashboard: "+why, code) }
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		fail(http.StatusMethodNotAllowed, "an action needs POST")
		return
	case d.csrf.Check(r) != nil:
		fail(http.StatusForbidden, "an action of another origin is refused")
		return
	case subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(d.token)) != 1:
		fail(http.StatusForbidden, "the token is missing or wrong: load the page again")
		return
	}
	var a action
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAction)).Decode(&a); err != nil {
		fail(http.StatusBadRequest, "the action cannot be read: "+err.Error())
		return
	}
	text, err := d.do(r.Context(), a)
	if err != nil {
		code := http.StatusInternalServerError
		if errors.Is(err, errNoAction) || errors.Is(err, errNoTask) {
			code = http.StatusNotFound
		}
		fail(code, executor.ErrorText(err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, text)
}

var (
	errNoAction = errors.New("the program does not permit this action")
	errNoTask   = errors.New("the task has ended, or is no longer known")
)

// do calls the function of an action, and returns a text about the result.
func (d *Dashboard) do(ctx context.Context, a action) (text string, err error) {
	switch {
	case (a.Do == "pause" || a.Do == "resume") && d.opts.OnPause != nil:
		pause := a.Do == "pause"
		d.pausing.Lock()
		defer d.pausing.Unlock()
		if err := d.opts.OnPause(ctx, pause); err != nil {
			return "", err
		}
		d.mu.Lock()
		d.paused = pause
		d.mu.Unlock()
		return a.Do + "d", nil
	case a.Do == "cancel" && d.opts.OnCancel != nil:
		t, ok := d.hub.runningTask(a.Source, a.Task)
		if !ok {
			return "", errNoTask
		}
		return "canceled", d.opts.OnCancel(ctx, t)
	case a.Do == "replay" && d.opts.OnReplay != nil:
		tasks := d.hub.failedTasks(a.Source, a.Group)
		if len(tasks) == 0 {
			return "", errNoTask
		}
		var failed []Task
		var first error // the first error of a replay
		for _, t := range tasks {
			if err := d.opts.OnReplay(ctx, t); err != nil {
				failed = append(failed, t)
				if first == nil {
					first = err
				}
			}
		}
		text = fmt.Sprintf("%d of %d replayed", len(tasks)-len(failed), len(tasks))
		if first != nil {
			d.hub.keepFailed(a.Source, a.Group, failed)
			return "", fmt.Errorf("%s: %w", text, first)
		}
		return text, nil
	}
	return "", errNoAction
}
