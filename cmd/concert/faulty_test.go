package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// faulty is a server with faults. The path of a request selects the fault. The
// last part of the path is the name of a file, and body returns the content of
// this file. The parts before the name say how the server replies:
//
//	/plain/F        without a fault
//	/cut/N/F        the first reply breaks off after N percent of the file
//	/short/F        each reply breaks off after half of the file
//	/changed/F      the first reply breaks off after half of the file; then the
//	                file has changed
//	/wrongrange/F   the first reply breaks off after half of the file; later
//	                replies have the wrong part
//	/norange/F      the first reply breaks off after half of the file; later
//	                replies have all of the file, even if a part is requested
//	/portal/F       the first reply has the file; then it is an HTML page
//	/emptied/F      the first reply has the file; then it is empty
//	/digest/F       with the digest of another file
//	/slowheaders/F  no reply
//	/stall/F        half of the file, and nothing after it
//	/drip/F         one half, and the other one after 1.5 seconds
//	/endless/F      a body without an end, and without a validator
//	/held/F         half of the file, and the rest after release
//	/busy/CODE/F    the first reply has the status CODE, and Retry-After: 1
//	/down/CODE/F    each reply has the status CODE
//	/loop/F         a redirect to the same path
//	/away/F         a redirect to a host that cannot be reached
//
// See also serveDemand.
type faulty struct {
	*httptest.Server
	gate chan struct{} // closed by release
	most atomic.Int32  // the largest number of concurrent requests so far
	busy atomic.Int32  // the number of concurrent requests

	mu    sync.Mutex
	asked map[string]int // the number of requests for each path; guarded by mu
}

func newFaulty() *faulty {
	f := &faulty{asked: map[string]int{}, gate: make(chan struct{})}
	f.Server = httptest.NewServer(f)
	return f
}

func (f *faulty) release() { close(f.gate) }

func (f *faulty) requests(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

// body returns the content of a file: 10,000 bytes, or 4 MB if the name begins
// with "large". Half of such a file is enough for a part with a name.
func body(name string) []byte {
	size := 10_000
	if strings.HasPrefix(name, "large") {
		size = 4_000_000
	}
	return bytes.Repeat([]byte(name+"\n"), size/len(name))[:size]
}

func checksum(name string) string { s := sha256.Sum256(body(name)); return hex.EncodeToString(s[:]) }

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked[r.URL.Path]++
	first := f.asked[r.URL.Path] == 1
	f.mu.Unlock()
	for n := f.busy.Add(1); ; {
		if most := f.most.Load(); n <= most || f.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer f.busy.Add(-1)
	if isDemand(r) {
		f.serveDemand(w, r)
		return
	}

	name := path.Base(r.URL.Path)
	fault, arg, _ := strings.Cut(strings.TrimPrefix(path.Dir(r.URL.Path), "/"), "/")
	number, _ := strconv.Atoi(arg)
	b := body(name)
	// part sends the first n bytes of the file, and leaves the reply open.
	part := func(n int) {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b[:n])
		http.NewResponseController(w).Flush()
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", name))
	switch {
	case fault == "cut" && first:
		part(len(b) * number / 100)
		panic(http.ErrAbortHandler)
	case fault == "short", (fault == "changed" || fault == "wrongrange" || fault == "norange") && first:
		part(len(b) / 2)
		panic(http.ErrAbortHandler)
	case fault == "changed":
		b = body(name + "2")
		w.Header().Set("ETag", fmt.Sprintf("%q", name+"2"))
	case fault == "wrongrange":
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(b)/2-1, len(b)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(b[:len(b)/2])
		return
	case fault == "norange":
		w.Write(b)
		return
	case fault == "portal" && !first:
		w.Header().Set("ETag", `"portal"`)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>Log in</html>")
		return
	case fault == "emptied" && !first:
		w.Header().Set("ETag", `"empty"`)
		return
	case fault == "digest":
		other := sha256.Sum256(body("other"))
		w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(other[:])+":")
	case fault == "slowheaders":
		<-r.Context().Done()
		return
	case fault == "stall":
		part(len(b) / 2)
		<-r.Context().Done()
		return
	case fault == "drip":
		part(len(b) / 2)
		select {
		case <-time.After(1500 * time.Millisecond):
			w.Write(b[len(b)/2:])
		case <-r.Context().Done():
		}
		return
	case fault == "endless":
		w.Header().Del("ETag")
		for r.Context().Err() == nil {
			w.Write(b)
			http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
		return
	case fault == "held":
		select {
		case <-f.gate:
		default:
			part(len(b) / 2)
			select {
			case <-f.gate:
				w.Write(b[len(b)/2:])
			case <-r.Context().Done():
			}
			return
		}
	case fault == "busy" && first:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(number)
		return
	case fault == "down":
		w.WriteHeader(number)
		return
	case fault == "away":
		http.Redirect(w, r, "http://127.0.0.1:1/"+name, http.StatusFound)
		return
	case fault == "loop":
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return
	case fault != "plain" && fault != "cut" && fault != "busy" && fault != "portal" && fault != "emptied":
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
