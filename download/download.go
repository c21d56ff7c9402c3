// Package download downloads one URL into one file: completely and verified, or
// not at all.
//
//	client := download.NewClient(nil)
//	got, err := download.Get(ctx, client, download.Request{URL: url, Dir: "pages"})
//
// # The model
//
//	GET --> name.part (+ name.part.json: the version of the file)
//	          |
//	          +-- complete, and length, digest and checksum are right --> name
//
// Get writes the bytes to a partial file, name.part, in the directory of the
// file. When the partial file is complete and verified, Get renames it. So a
// file with the final name is always complete. The next Get continues an
// interrupted download, if the server proves that it still has the same file.
//
// # The rules
//
//   - Get returns an error if the body ends before its announced length, if it
//     does not have the digest that the server sends (Repr-Digest,
//     Content-Digest, Digest: RFC 9530 and its precursor), or if it does not
//     have the checksum that the caller knows.
//   - Get continues a partial file only with If-Range and a strong validator
//     (RFC 9110, section 13.1.5). If the file has changed, or if the server
//     does not support ranges, the server sends the whole file, and Get
//     replaces the content of the partial file. If a reply has another range
//     than the requested one, Get removes the partial file and returns an
//     error.
//   - File names come from the caller or the URL, never from a header, and
//     cannot leave the directory, by ".." or by a symbolic link (see
//     [os.Root]).
//   - A Get makes one attempt. An [*Error] says whether a retry may help, and
//     how long the server asked the client to wait.
//
// # Retries
//
// Retry of package concert makes further attempts. It waits as long as the
// server asked. By default it repeats a Get after any error, even if a page is
// missing. So specify that only temporary errors are repeated:
//
//	fetch := concert.Retry(get, &concert.RetryOptions{If: func(err error) bool {
//		e, ok := errors.AsType[*download.Error](err)
//		return ok && e.Temporary()
//	}})
//
// # Concurrent downloads
//
// Do not call Get for the same file twice concurrently: both calls write the
// same partial file, so one may replace the file of the other, or both may
// fail.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Request is a URL to download, and the file for it.
type Request struct {
	// URL is the address of the file, with the scheme http or https.
	URL string

	// Dir is the directory for the file. It must exist. Empty means the working
	// directory.
	Dir string

	// Name is the name of the file in Dir: a single element, no path. Empty
	// means the last element of the URL's path, see [Name].
	Name string

	// SHA256 is the checksum that the file must have, 64 hexadecimal digits.
	// Empty means that the caller does not know the checksum.
	SHA256 string

	// Overwrite makes Get replace an existing file. Otherwise Get does not
	// change an existing file. It succeeds without a request if the checksum of
	// the file is SHA256, and fails with fs.ErrExist if not.
	Overwrite bool

	// Stall is the maximum time until the next byte of the body. Zero means 30
	// seconds, and a negative number means no limit.
	Stall time.Duration

	// Progress, if set, is called with the number of bytes that have arrived,
	// and with the size of the file, which is -1 if the server does not send
	// it. In the first call, done is the number of bytes from an earlier
	// attempt. The calls are on the goroutine that calls Get.
	Progress func(done, total int64)
}

// Result describes the file that Get has downloaded.
type Result struct {
	Path    string // the path of the file
	Size    int64  // the size in bytes
	Resumed int64  // the number of bytes that an earlier attempt had downloaded
	SHA256  string // the checksum of the file, if the caller or the server has given one; otherwise empty
	Present bool   // whether the file existed already, with the right checksum
}

// ClientOptions tunes NewClient. The zero value, and nil, are ready to use.
type ClientOptions struct {
	// Connect is the maximum time for a connection, TLS included. Zero means 30
	// seconds.
	Connect time.Duration
	// Header is the maximum time from a request to the header of its reply.
	// Zero means 30 seconds.
	Header time.Duration
	// PerHost is the maximum number of connections to one host; further
	// requests wait. Zero means no limit.
	PerHost int
}

// NewClient returns a client for downloads. The client has timeouts for
// everything but the body; Request.Stall is the timeout for the body. The
// client keeps connections open for further files from the same host. It does
// not request compressed bodies, because their length and digest are not those
// of the file. It uses the proxies of the environment.
func NewClient(opts *ClientOptions) *http.Client {
	o := ClientOptions{Connect: 30 * time.Second, Header: 30 * time.Second}
	if opts != nil {
		if opts.Connect > 0 {
			o.Connect = opts.Connect
		}
		if opts.Header > 0 {
			o.Header = opts.Header
		}
		o.PerHost = opts.PerHost
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: o.Connect}).DialContext,
		TLSHandshakeTimeout:   o.Connect,
		ResponseHeaderTimeout: o.Header,
		MaxConnsPerHost:       o.PerHost,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		DisableCompression:    true,
		ForceAttemptHTTP2:     true,
	}}
}

// Get downloads the URL into the file, and returns when the file is complete.
// An error is an [*Error], unless a field of the request is invalid. When ctx
// ends, Get returns an error with the cause of ctx, and the next Get continues
// the download. A nil client means a client of NewClient(nil), which all such
// calls share.
func Get(ctx context.Context, client *http.Client, r Request) (Result, error) {
	if client == nil {
		client = defaultClient
	}
	g, err := prepare(r)
	if err != nil {
		return Result{}, err
	}
	if g.root, err = os.OpenRoot(g.dir); err != nil {
		return Result{}, g.fail("open the directory", err)
	}
	defer g.root.Close()
	if present, err := g.present(); err != nil || present {
		return g.result, err
	}
	if err := g.fetch(ctx, client); err != nil {
		return Result{}, err
	}
	return g.result, nil
}

var defaultClient = NewClient(nil)

// get is a running Get.
type get struct {
	Request
	url    *url.URL
	dir    string
	root   *os.Root
	part   part
	result Result
}

// prepare checks a request before it has any effect.
func prepare(r Request) (*get, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		// The text of err has the URL, which may contain a password.
		return nil, errors.New("download: not a URL: " + strings.TrimPrefix(errors.Unwrap(err).Error(), "net/url: "))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("download: %s: not an http or https URL", u.Redacted())
	}
	if r.Name == "" {
		if r.Name, err = Name(r.URL); err != nil {
			return nil, err
		}
	}
	if err := CheckName(r.Name); err != nil {
		return nil, err
	}
	r.SHA256 = strings.ToLower(r.SHA256)
	if r.SHA256 != "" && !IsSHA256(r.SHA256) {
		return nil, fmt.Errorf("download: %q is not a SHA-256 checksum: 64 hexadecimal digits", r.SHA256)
	}
	if r.Stall == 0 {
		r.Stall = 30 * time.Second
	}
	g := &get{Request: r, url: u, dir: r.Dir}
	if g.dir == "" {
		g.dir = "."
	}
	g.result.Path = filepath.Join(g.dir, r.Name)
	return g, nil
}

// present reports whether the file exists already, with the right checksum. It
// returns an error if another file exists that Get must not replace.
func (g *get) present() (bool, error) {
	info, err := g.root.Stat(g.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && g.Overwrite:
		return false, nil
	case err != nil:
		return false, g.fail("look for "+g.Name, err)
	case g.SHA256 == "" || !info.Mode().IsRegular():
		return false, g.fail("create "+g.Name, fs.ErrExist)
	}
	sum, err := g.sum(g.Name)
	if err != nil {
		return false, g.fail("read "+g.Name, err)
	}
	if sum != g.SHA256 {
		return false, g.fail("create "+g.Name, fmt.Errorf("%w, with the checksum %s", fs.ErrExist, sum))
	}
	g.result.Size, g.result.SHA256, g.result.Present = info.Size(), sum, true
	return true, nil
}

// fetch sends the request and writes the body to the part.
func (g *get) fetch(ctx context.Context, client *http.Client) (err error) {
	g.part = part{root: g.root, name: g.Name + ".part", url: g.url.Redacted()}
	if err := g.part.open(); err != nil {
		return g.fail("open "+g.part.name, err)
	}
	defer g.part.close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url.String(), nil)
	if err != nil {
		return g.fail("make the request", err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if g.part.size > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", g.part.size))
		req.Header.Set("If-Range", g.part.Validator)
	}
	resp, err := client.Do(req)
	if err != nil {
		return g.failRequest(ctx, "get a reply", err)
	}
	defer resp.Body.Close()
	length, err := g.accept(resp)
	if err != nil {
		return err
	}
	return g.receive(ctx, cancel, resp, length)
}

// accept checks the header of the reply, and prepares the part for the body. It
// returns the size of the whole file, or -1 if that is unknown.
func (g *get) accept(resp *http.Response) (total int64, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		if err := g.part.begin(resp); err != nil {
			return 0, g.fail("begin "+g.part.name, err)
		}
		return resp.ContentLength, nil
	case http.StatusPartialContent:
		first, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
		if g.part.size == 0 || !ok || first != g.part.size || g.part.Size >= 0 && total != g.part.Size || total < first {
			g.part.giveUp()
			return 0, g.fail("continue", fmt.Errorf("the server sent the range %q, not the requested one", resp.Header.Get("Content-Range"))).again()
		}
		g.result.Resumed = g.part.size
		return total, nil
	case http.StatusRequestedRangeNotSatisfiable:
		g.part.giveUp()
		return 0, g.fail("continue", errors.New("the server has no such range; the next attempt starts from the beginning of the file")).again()
	}
	return 0, g.failStatus(resp)
}

// errStalled is the cause of the context of a request whose body has stalled.
var errStalled = errors.New("the server stopped sending")

// receive writes the body to the part. If the length and the checksum are
// right, it renames the part to the final name.
func (g *get) receive(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response, total int64) error {
	announced := announcedDigest(resp)
	if announced != "" && g.SHA256 != "" && announced != g.SHA256 {
		g.part.giveUp()
		return g.fail("accept the file", checksumError{got: announced, want: g.SHA256, announced: true})
	}
	want := g.SHA256
	if want == "" {
		want = announced
	}
	if err := g.part.hash(want != ""); err != nil {
		return g.fail("read "+g.part.name, err)
	}

	body := io.Reader(resp.Body)
	if g.Stall > 0 {
		stall := time.AfterFunc(g.Stall, func() { cancel(errStalled) })
		defer stall.Stop()
		body = readerFunc(func(p []byte) (int, error) {
			n, err := resp.Body.Read(p)
			stall.Reset(g.Stall)
			return n, err
		})
	}
	if g.Progress != nil {
		g.Progress(g.part.size, total)
	}
	buf := make([]byte, 128<<10)
	for {
		n, readErr := body.Read(buf)
		if n > 0 {
			if err := g.part.write(buf[:n]); err != nil {
				return g.fail("write "+g.part.name, err)
			}
			if g.Progress != nil {
				g.Progress(g.part.size, total)
			}
		}
		if readErr == io.EOF {
			break
		}
		if readErr == nil {
			readErr = ctx.Err() // if the body arrived before ctx ended, Read returns no error
		}
		if readErr != nil {
			return g.failRequest(ctx, fmt.Sprintf("receive, after %d bytes", g.part.size), readErr)
		}
		if total >= 0 && g.part.size > total {
			g.part.giveUp()
			return g.fail("receive", fmt.Errorf("the server sent more than the announced %d bytes", total)).again()
		}
	}
	if total >= 0 && g.part.size != total {
		return g.fail("receive", fmt.Errorf("the server sent %d of %d bytes: %w", g.part.size, total, io.ErrUnexpectedEOF)).again()
	}
	if want != "" {
		if sum := g.part.sum(); sum != want {
			g.part.giveUp()
			return g.fail("accept the file", checksumError{got: sum, want: want}).again()
		}
	}
	if err := g.part.finish(g.Name); err != nil {
		return g.fail("rename the partial file to "+g.Name, err)
	}
	g.result.Size, g.result.SHA256 = g.part.size, want
	return nil
}

// readerFunc is a function that implements io.Reader.
type readerFunc func([]byte) (int, error)

// Read calls the function.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
