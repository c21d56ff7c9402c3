package download_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"concert"
	"concert/download"
	"concert/goroutines"
)

// newExampleSite returns a server with one small file, and a directory for it.
func newExampleSite() (site *httptest.Server, dir string, remove func()) {
	site = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		fmt.Fprint(w, "this is ", r.URL.Path)
	}))
	dir, err := os.MkdirTemp("", "pages-")
	if err != nil {
		panic(err)
	}
	return site, dir, func() {
		site.Close()
		os.RemoveAll(dir)
	}
}

// Several files are downloaded concurrently. Get makes the retries.
func ExampleGet() {
	site, dir, remove := newExampleSite()
	defer remove()

	get := func(ctx context.Context, url string) (download.Result, error) {
		return download.Get(ctx, download.Request{URL: url, Dir: dir})
	}
	ctx := context.Background()
	ex := goroutines.New(4, nil)
	defer ex.Close()
	urls := []string{site.URL + "/one", site.URL + "/two"}
	for got, err := range concert.Map(ctx, ex, get, slices.Values(urls)) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(filepath.Base(got.Path), got.Size)
	}
	// Output:
	// one 12
	// two 12
}

// The file must have the given digest.
func ExampleGet_digest() {
	site, dir, remove := newExampleSite()
	defer remove()
	want, err := download.ParseDigest("md5:00000000000000000000000000000000")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = download.Get(context.Background(), download.Request{URL: site.URL + "/one", Dir: dir, Digests: []download.Digest{want}})
	fmt.Println(errors.Is(err, download.ErrChecksum))
	// Output: true
}

// A client with shorter timeouts, and without retries, is for servers in the
// same network.
func ExampleNewClient() {
	silent := make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	defer site.Close()
	defer close(silent)
	client := download.NewClient(&download.ClientOptions{Connect: time.Second, Header: 20 * time.Millisecond, Retries: -1})
	defer client.Close()
	_, err := client.Get(context.Background(), download.Request{URL: site.URL + "/slow", Dir: os.TempDir()})
	e, ok := errors.AsType[*download.Error](err)
	fmt.Println(ok && e.Temporary())
	// Output: true
}

// A file that exists, and is the file of the server, is not downloaded again.
func ExampleClient_Get() {
	site, dir, remove := newExampleSite()
	defer remove()
	client := download.NewClient(&download.ClientOptions{Headers: http.Header{"User-Agent": {"example/1.0"}}})
	defer client.Close()
	r := download.Request{URL: site.URL + "/report?format=pdf", Dir: dir, Name: "report.pdf", Update: true}
	for range 2 {
		got, err := client.Get(context.Background(), r)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(filepath.Base(got.Path), got.Size, "bytes")
	}
	// Output:
	// report.pdf 15 bytes
	// report.pdf 15 bytes
}

// OnEvent shows the progress.
func ExampleEvent() {
	content := bytes.Repeat([]byte("x"), 300_000)
	broken := false
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if !broken {
			broken = true
			w.Header().Set("Content-Length", "300000")
			w.Write(content[:100_000])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler) // breaks the connection
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer site.Close()
	dir, err := os.MkdirTemp("", "pages-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	client := download.NewClient(&download.ClientOptions{RetryDelay: time.Millisecond})
	defer client.Close()
	var last int64
	_, err = client.Get(context.Background(), download.Request{URL: site.URL + "/big", Dir: dir, OnEvent: func(e download.Event) {
		switch e.Kind {
		case download.EventReply:
			fmt.Printf("attempt %d: status %d, from byte %d of %d\n", e.Attempt, e.Status, e.Done, e.Total)
		case download.EventProgress:
			last = e.Done
		case download.EventRetry:
			fmt.Println("broken after", last, "bytes")
		}
	}})
	fmt.Println(last, "bytes", err)
	// Output:
	// attempt 1: status 200, from byte 0 of 300000
	// broken after 100000 bytes
	// attempt 2: status 206, from byte 100000 of 300000
	// 300000 bytes <nil>
}

// An error tells whether a retry may succeed, and the number of bytes that are
// kept for it.
func ExampleError() {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "the quota is used up", http.StatusForbidden)
	}))
	defer site.Close()
	_, err := download.Get(context.Background(), download.Request{URL: site.URL + "/one", Dir: os.TempDir()})
	if e, ok := errors.AsType[*download.Error](err); ok {
		fmt.Println(e.Status, e.Body)
		fmt.Println("temporary:", e.Temporary(), "kept:", e.Kept)
	}
	// Output:
	// 403 the quota is used up
	// temporary: false kept: 0
}

func ExampleParseDigest() {
	fmt.Println(download.ParseDigest("d41d8cd98f00b204e9800998ecf8427e"))
	fmt.Println(download.ParseDigest("SHA-1=da39a3ee5e6b4b0d3255bfef95601890afd80709"))
	_, err := download.ParseDigest("sha256:1234")
	fmt.Println(err)
	// Output:
	// md5=d41d8cd98f00b204e9800998ecf8427e <nil>
	// sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709 <nil>
	// download: "1234" is not a sha256 digest, which has 64 hexadecimal digits
}

func ExampleSafeURL() {
	u, err := url.Parse("https://anna:secret@example.com/file?version=2&X-Amz-Signature=abcdef#top")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(download.SafeURL(u))
	// Output: https://example.com/file?version=2&X-Amz-Signature=...
}

func ExampleName() {
	fmt.Println(download.Name("https://example.com/a/report%202026.pdf?v=3"))
	_, err := download.Name("https://example.com/..%2f..%2fevil")
	fmt.Println(err)
	// Output:
	// report 2026.pdf <nil>
	// download: "../../evil" cannot be the name of a file: it has a path separator
}

func ExampleCheckName() {
	fmt.Println(download.CheckName("report 2026.pdf"))
	fmt.Println(download.CheckName("report.part"))
	// Output:
	// <nil>
	// download: "report.part" cannot be the name of a file: the suffix is reserved for unfinished downloads
}

func ExampleParseProxy() {
	fmt.Println(download.ParseProxy("proxy.example.com:3128"))
	_, err := download.ParseProxy("ftp://anna:secret@proxy.example.com")
	fmt.Println(err != nil)
	// Output:
	// http://proxy.example.com:3128 <nil>
	// true
}

// A direct connection to one host, and the proxies of the environment for all
// others.
func ExampleProxyFromEnvironment() {
	direct := func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "files.test" {
			return nil, nil
		}
		return download.ProxyFromEnvironment(r)
	}
	r, err := http.NewRequest(http.MethodGet, "http://files.test/one", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(direct(r))
	// Output: <nil> <nil>
}
