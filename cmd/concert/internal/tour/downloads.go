package tour

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/goroutines"
)

const (
	pages     = 8
	pageDelay = 60 * time.Millisecond
	pageSize  = 64 << 10
)

// page returns the text that the tour's server has at /page/n.
func page(n int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("page %d of the tour\n", n), pageSize)[:pageSize])
}

// serve starts the tour's server on loopback.
func serve() (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("no server for the downloads: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/page/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		if _, err := fmt.Sscan(r.PathValue("n"), &n); err != nil {
			http.NotFound(w, r)
			return
		}
		// The last page is the quickest, so that the order of completion is
		// not the order of the requests.
		select {
		case <-time.After(pageDelay + time.Duration(pages-n)*4*time.Millisecond):
		case <-r.Context().Done():
			return
		}
		body := page(n)
		sum := sha256.Sum256(body)
		w.Header().Set("X-Sha256", hex.EncodeToString(sum[:]))
		w.Write(body)
	})
	mux.HandleFunc("/quick", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(quickDelay)
		w.Write(page(1))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(l)
	return "http://" + l.Addr().String(), func() { server.Close() }, nil
}

// quickDelay is the delay of the page that is fetched many times.
const quickDelay = 15 * time.Millisecond

// saver downloads pages into a directory.
type saver struct {
	client *http.Client
	dir    string
}

// save downloads a URL to a file, and returns the name of the file. If the
// checksum of the body differs from the checksum in the header, save returns an
// error and leaves no file.
func (s saver) save(ctx context.Context, url string) (name string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, resp.Status)
	}
	name = filepath.Join(s.dir, filepath.Base(req.URL.Path)+".txt")
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), resp.Body)
	if err = errors.Join(err, f.Close()); err == nil && hex.EncodeToString(sum.Sum(nil)) != resp.Header.Get("X-Sha256") {
		err = fmt.Errorf("%s: the body does not have the checksum of the header", url)
	}
	if err != nil {
		os.Remove(name)
		return "", err
	}
	return name, nil
}

// check returns an error unless all pages are complete in the directory. It
// removes the pages.
func (s saver) check() error {
	for n := range pages {
		name := filepath.Join(s.dir, fmt.Sprint(n, ".txt"))
		got, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if string(got) != string(page(n)) {
			return fmt.Errorf("%s is not page %d", name, n)
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

func showDownloads(ctx context.Context, t *tour) error {
	site, stop, err := serve()
	if err != nil {
		return err
	}
	defer stop()
	transport := &http.Transport{MaxIdleConnsPerHost: pages}
	defer transport.CloseIdleConnections()
	s := saver{&http.Client{Transport: transport}, t.dir}
	var urls []string
	for n := range pages {
		urls = append(urls, fmt.Sprint(site, "/page/", n))
	}

	begin := time.Now()
	for _, url := range urls {
		if _, err := s.save(ctx, url); err != nil {
			return err
		}
	}
	alone := time.Since(begin)
	if err := s.check(); err != nil {
		return err
	}
	t.measured("sequentially", alone, "mostly waiting")

	ex := goroutines.New(pages, nil)
	defer ex.Close()
	begin = time.Now()
	for _, err := range concert.Map(ctx, ex, s.save, slices.Values(urls)) {
		if err != nil {
			return err
		}
	}
	mapped := time.Since(begin)
	if err := s.check(); err != nil {
		return err
	}
	t.measured("concert.Map on 8 goroutines", mapped, "results in the order of the pages")

	begin = time.Now()
	asked := map[*concert.Future[string]]int{}
	var futures []*concert.Future[string]
	for n, url := range urls {
		f := concert.Submit(ctx, ex, s.save, url)
		asked[f] = n
		futures = append(futures, f)
	}
	var order []string
	for f := range concert.AsCompleted(ctx, futures...) {
		if _, err := f.Result(ctx); err != nil {
			return err
		}
		order = append(order, fmt.Sprint(asked[f]))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	completed := time.Since(begin)
	if err := s.check(); err != nil {
		return err
	}
	t.measured("concert.AsCompleted", completed, "in the order "+strings.Join(order, " "))
	t.noted("every file was read back", "and is correct")
	return nil
}
