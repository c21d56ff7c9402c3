package cli

import (
	"io"
	"net/http"

	"concert/executor"
)

// ReleasingTransport returns a transport for tasks that may hold a lock: a
// lock of package gil, or the lock of an event loop. While the transport
// waits for the network, the task releases the lock.
func ReleasingTransport(t http.RoundTripper) http.RoundTripper { return releasing{t} }

type releasing struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r releasing) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	lock := executor.ReleaserOf(req.Context())
	if lock == nil {
		return r.RoundTripper.RoundTrip(req)
	}
	lock.Release(func() { resp, err = r.RoundTripper.RoundTrip(req) })
	if err == nil {
		resp.Body = releasingBody{resp.Body, lock}
	}
	return resp, err
}

type releasingBody struct {
	io.ReadCloser
	lock executor.Releaser
}

// Read implements io.Reader.
func (b releasingBody) Read(p []byte) (n int, err error) {
	b.lock.Release(func() { n, err = b.ReadCloser.Read(p) })
	return n, err
}
