package download_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"time"

	"concert"
	"concert/download"
	"concert/goroutines"
)

// Several files are downloaded concurrently, with retries after temporary
// errors. Package download makes one attempt for one file, and package concert
// does the rest.
func ExampleGet() {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "this is ", r.URL.Path)
	}))
	defer site.Close()
	dir, err := os.MkdirTemp("", "pages-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	get := concert.Retry(func(ctx context.Context, url string) (download.Result, error) {
		return download.Get(ctx, nil, download.Request{URL: url, Dir: dir})
	}, &concert.RetryOptions{Attempts: 5, Delay: time.Second, If: func(err error) bool {
		e, ok := errors.AsType[*download.Error](err)
		return ok && e.Temporary()
	}})

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

// A client with shorter timeouts is for servers in the same network.
func ExampleNewClient() {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
	}))
	defer site.Close()
	client := download.NewClient(&download.ClientOptions{Connect: time.Second, Header: 20 * time.Millisecond})
	_, err := download.Get(context.Background(), client, download.Request{URL: site.URL + "/slow", Dir: os.TempDir()})
	e, ok := errors.AsType[*download.Error](err)
	fmt.Println(ok && e.Temporary())
	// Output: true
}

func ExampleName() {
	fmt.Println(download.Name("https://example.com/a/report%202026.pdf?v=3"))
	_, err := download.Name("https://example.com/..%2f..%2fevil")
	fmt.Println(err)
	// Output:
	// report 2026.pdf <nil>
	// download: "../../evil" cannot be the name of a file: it has a path separator
}
