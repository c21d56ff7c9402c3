package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"

	"concert"
	"concert/choose"
	"concert/choose/models"
	"concert/download"
)

// fetching is a URL, and the directory for it.
type fetching struct{ URL, Dir string }

// fetch downloads a file, checks it, and removes it. It is registered, as one
// of the models is processes.
var fetch = concert.Register("concert choose --get", func(ctx context.Context, f fetching) (int64, error) {
	name := fmt.Sprintf("%d-%d", os.Getpid(), fetched.Add(1))
	got, err := download.Get(ctx, fetchClient, download.Request{URL: f.URL, Dir: f.Dir, Name: name})
	if err != nil {
		return 0, err
	}
	return got.Size, os.Remove(got.Path)
})

var (
	fetched     atomic.Int64
	fetchClient = releasingClient(download.NewClient(nil))
)

// releasingClient has a client let go of the lock under which a request is made
// while it waits for the network: the interpreter lock's way, and that of an
// event loop.
func releasingClient(client *http.Client) *http.Client {
	client.Transport = releasing{client.Transport}
	return client
}

type releasing struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r releasing) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	lock := concert.ReleaserOf(req.Context())
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
	lock concert.Releaser
}

// Read lets go of the lock while it waits.
func (b releasingBody) Read(p []byte) (n int, err error) {
	b.lock.Release(func() { n, err = b.ReadCloser.Read(p) })
	return n, err
}

// getJob is to download.
func getJob(urls []string) (*job, error) {
	for i, u := range urls {
		w := wanted{url: u, where: fmt.Sprintf("input %d", i+1)}
		if err := w.check(); err != nil {
			return nil, usageError{err.Error()}
		}
	}
	dir, err := os.MkdirTemp("", "concert-choose-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary directory for the downloads: %w", err)
	}
	inputs := make([]fetching, len(urls))
	for i, u := range urls {
		inputs[i] = fetching{u, dir}
	}
	return &job{
		what: "downloads",
		run: func(ctx context.Context, opts *choose.Options) (*choose.Report, error) {
			all := models.Go()
			all[1].Code = func(k int) string { return fmt.Sprintf("concert get --jobs %d --per-host %[1]d -i LIST", k) }
			return choose.Run(ctx, fetch, inputs, all, opts)
		},
		close: func() { os.RemoveAll(dir) },
	}, nil
}
