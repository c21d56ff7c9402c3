package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// faulty is a server whose paths go wrong in ways of their own.
type faulty struct {
	mu     sync.Mutex
	asked  map[string]int // guarded by mu: requests for each path
	busy   atomic.Int32   // requests going on
	most   atomic.Int32   // the most of them at once
	gate   chan struct{}  // /held waits for it
	onHeld chan struct{}  // told when /held is asked for
}

func body(name string) []byte { return bytes.Repeat([]byte(name+"\n"), 10_000/len(name)) }

func checksum(name string) string { s := sha256.Sum256(body(name)); return hex.EncodeToString(s[:]) }

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked[r.URL.Path]++
	n := f.asked[r.URL.Path]
	f.mu.Unlock()
	f.most.Store(max(f.most.Load(), f.busy.Add(1)))
	defer f.busy.Add(-1)
	name := filepath.Base(r.URL.Path)
	b := body(name)
	w.Header().Set("ETag", `"`+name+`"`)
	switch {
	case strings.HasPrefix(name, "missing"):
		http.NotFound(w, r)
		return
	case strings.HasPrefix(name, "busy") && n < 3:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case strings.HasPrefix(name, "down"):
		w.WriteHeader(http.StatusBadGateway)
		return
	case strings.HasPrefix(name, "cut") && n == 1:
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b[:len(b)/2])
		panic(http.ErrAbortHandler)
	case strings.HasPrefix(name, "held"):
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b[:len(b)/2])
		http.NewResponseController(w).Flush()
		f.onHeld <- struct{}{}
		select {
		case <-f.gate:
		case <-r.Context().Done():
			return
		}
		w.Write(b[len(b)/2:])
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func newFaulty(t *testing.T) (*faulty, string) {
	f := &faulty{asked: map[string]int{}, gate: make(chan struct{}), onHeld: make(chan struct{}, 100)}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server.URL
}

// names returns the names in a folder, sorted.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestGet(t *testing.T) {
	f, site := newFaulty(t)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	list := filepath.Join(t.TempDir(), "list")
	text := fmt.Sprintf("# what we need\n\n%s/a name=first sha256=%s\r\n%s/cut\n  %s/busy  \n", site, checksum("a"), site, site)
	if err := os.WriteFile(list, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := call(t.Context(), "get", "-d", dir, "-i", list, "--retry-delay", "1ms", site+"/b")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"b", "busy", "cut", "first"}) {
		t.Errorf("in the folder are %q", got)
	}
	for file, of := range map[string]string{"b": "b", "busy": "busy", "cut": "cut", "first": "a"} {
		if got, _ := os.ReadFile(filepath.Join(dir, file)); !bytes.Equal(got, body(of)) {
			t.Errorf("%s has %d bytes that are not the server's", file, len(got))
		}
		if !strings.Contains(out, filepath.Join(dir, file)+"\n") {
			t.Errorf("the output does not have %s:\n%s", file, out)
		}
	}
	if f.asked["/cut"] != 2 || f.asked["/busy"] != 3 || !strings.Contains(errOut, "of it from before") || !strings.Contains(errOut, "4 files in") {
		t.Errorf("requests %v, and:\n%s", f.asked, errOut)
	}
	// Again: what has a checksum is there, what has none is not touched.
	code, _, errOut = call(t.Context(), "get", "-d", dir, "-i", list)
	if code != exitFailed || !strings.Contains(errOut, "2 of 3 files failed") || !strings.Contains(errOut, "is there already (--overwrite replaces it)") {
		t.Errorf("again: exit %d\n%s", code, errOut)
	}
	if code, _, errOut = call(t.Context(), "get", "--quiet", "--overwrite", "-d", dir, "-i", list); code != exitOK || errOut != "" {
		t.Errorf("with --overwrite --quiet: exit %d\n%s", code, errOut)
	}
}

func TestGetFailures(t *testing.T) {
	f, site := newFaulty(t)
	dir := t.TempDir()
	code, out, errOut := call(t.Context(), "get", "-d", dir, "--retries", "2", "--retry-delay", "1ms",
		site+"/a", site+"/missing", site+"/down", strings.Replace(site, "//", "//user:secret@", 1)+"/missing2")
	if code != exitFailed || strings.TrimSpace(out) != filepath.Join(dir, "a") {
		t.Errorf("exit %d, output %q", code, out)
	}
	for _, want := range []string{"3 of 4 files failed:", `/missing: cannot get it: the server replied "404 Not Found"`, `502 Bad Gateway" (3 attempts)`, "user:xxxxx@"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("it does not say %q:\n%s", want, errOut)
		}
	}
	if f.asked["/missing"] != 1 || f.asked["/down"] != 3 || strings.Contains(errOut, "secret") {
		t.Errorf("requests %v, and:\n%s", f.asked, errOut)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"a"}) {
		t.Errorf("in the folder are %q", got)
	}
}

func TestGetJSON(t *testing.T) {
	_, site := newFaulty(t)
	dir := t.TempDir()
	code, out, errOut := call(t.Context(), "get", "--json", "-d", dir, site+"/a", site+"/missing")
	var events []event
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var e event
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		events = append(events, e)
	}
	slices.SortFunc(events, func(a, b event) int { return strings.Compare(a.Event, b.Event) })
	if code != exitFailed || len(events) != 3 || events[0].Event != "done" || events[0].Size != int64(len(body("a"))) || events[0].Path != filepath.Join(dir, "a") ||
		events[1].Event != "failed" || !strings.Contains(events[1].Error, "404") || events[2].Files != 2 || events[2].Failed != 1 {
		t.Errorf("exit %d, events %+v", code, events)
	}
	if !strings.Contains(errOut, "1 of 2 files failed") {
		t.Errorf("standard error: %s", errOut)
	}
}

// TestGetInterrupted: Ctrl-C ends it soon, says what is missing, and the same
// command goes on where it stopped.
func TestGetInterrupted(t *testing.T) {
	f, site := newFaulty(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		<-f.onHeld
		for t.Context().Err() == nil { // until what was sent is on the disk
			if info, err := os.Stat(filepath.Join(dir, "held.part")); err == nil && info.Size() > 0 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	code, _, errOut := call(ctx, "get", "-d", dir, "--jobs", "1", site+"/held", site+"/a")
	if code != exitSignal || !strings.Contains(errOut, "2 of 2 files failed") || strings.Count(errOut, ": interrupted") < 2 || !strings.Contains(errOut, "continues where it stopped") {
		t.Errorf("exit %d:\n%s", code, errOut)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"held.part", "held.part.json"}) {
		t.Errorf("in the folder are %q", got)
	}
	close(f.gate)
	if code, _, errOut := call(t.Context(), "get", "-d", dir, site+"/held", site+"/a"); code != exitOK {
		t.Errorf("exit %d:\n%s", code, errOut)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"a", "held"}) {
		t.Errorf("in the folder are %q", got)
	}
}

func TestGetPerHost(t *testing.T) {
	f, site := newFaulty(t)
	args := []string{"get", "-d", t.TempDir(), "--per-host", "3", "--jobs", "10"}
	for i := range 10 {
		args = append(args, fmt.Sprint(site, "/held", i))
	}
	go func() {
		for range 3 {
			<-f.onHeld
		}
		close(f.gate)
	}()
	if code, _, errOut := call(t.Context(), args...); code != exitOK || f.most.Load() > 3 {
		t.Errorf("exit %d, %d requests at once, want at most 3\n%s", code, f.most.Load(), errOut)
	}
}

func TestGetBadInput(t *testing.T) {
	_, site := newFaulty(t)
	for _, c := range []struct{ list, want string }{
		{"ftp://host/x", `list:1: "ftp://host/x" is not an http or https URL`},
		{site + "/a\nhttp://%zz/", "list:2: not a URL"},
		{site + "/a name=", "list:1: name= without a value"},
		{site + "/a my file", `list:1: "my" is neither name=NAME nor sha256=HEX`},
		{site + "/a name=x name=y", "list:1: a second name"},
		{site + "/a name=../x", "list:1: download: \"../x\" is no name for a file"},
		{site + "/..%2f..%2fevil", "give it another with name="},
		{site + "/a sha256=123", "is not a SHA-256 checksum"},
		{site + "/a\n" + site + "/b name=A", "list:1 and "},
		{"# nothing", "list has no URL"},
		{strings.Repeat("x", 100_000), "a line longer than 65536 bytes"},
	} {
		dir := t.TempDir()
		list := filepath.Join(dir, "list")
		if err := os.WriteFile(list, []byte(c.list), 0o666); err != nil {
			t.Fatal(err)
		}
		code, out, errOut := call(t.Context(), "get", "-d", dir, "-i", list)
		if code != exitUsage || out != "" || !strings.Contains(errOut, c.want) {
			t.Errorf("list %.40q: exit %d, %q\n%s\nwant %q", c.list, code, out, errOut, c.want)
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("list %.40q: something was started: %q", c.list, got)
		}
	}
	for _, args := range []string{"", "-i missing-list", "--jobs 0 x", "--per-host 0 x", "--retries -1 x", "--stall-timeout 0s x", "--frobnicate x", "http:///x"} {
		if code, _, errOut := call(t.Context(), append([]string{"get"}, strings.Fields(args)...)...); code != exitUsage || errOut == "" {
			t.Errorf("get %s: exit %d, %q", args, code, errOut)
		}
	}
	if code, out, _ := call(t.Context(), "get", "-h"); code != exitOK || !strings.Contains(out, "Exit codes") {
		t.Errorf("get -h: exit %d, %s", code, out)
	}
	readOnly := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(readOnly, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := call(t.Context(), "get", "-d", filepath.Join(readOnly, "x"), site+"/a"); code != exitFailed || !strings.Contains(errOut, readOnly) {
		t.Errorf("into a folder that cannot be: exit %d, %s", code, errOut)
	}
}

func TestSpread(t *testing.T) {
	var list []wanted
	for _, h := range strings.Split("aaaabbc", "") {
		list = append(list, wanted{host: h})
	}
	var got string
	for _, w := range spread(list) {
		got += w.host
	}
	if got != "abcabaa" {
		t.Errorf("spread() = %s, want abcabaa", got)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1234567: "1.23 MB", 999_999: "1 MB", 12_300_000_000: "12.3 GB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("http://h/a name=b sha256=" + checksum("a") + "\n# c\n\nhttps://h/c")
	f.Add("http://h/a name=../b")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseList(strings.NewReader(s), "list")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "list:") {
				t.Errorf("error without a line: %v", err)
			}
			return
		}
		for _, w := range list {
			if w.name == "" || w.host == "" || !filepath.IsLocal(w.name) {
				t.Errorf("%q: %+v", s, w)
			}
		}
	})
}
