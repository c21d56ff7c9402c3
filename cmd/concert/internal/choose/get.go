package choose

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"concert"
	"concert/choose"
	"concert/choose/models"
	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/get"
	"concert/download"
)

// fetching is a URL, and the directory for the file.
type fetching struct{ URL, Dir string }

// fetch downloads a file and removes it. It is registered because one of the
// models runs it in processes.
var fetch = concert.Register("concert choose --get", func(ctx context.Context, f fetching) (int64, error) {
	name := fmt.Sprintf("%d-%d", os.Getpid(), fetched.Add(1))
	got, err := fetchClient.Get(ctx, download.Request{URL: f.URL, Dir: f.Dir, Name: name})
	if err != nil {
		return 0, err
	}
	return got.Size, os.Remove(got.Path)
})

var (
	fetched     atomic.Int64
	fetchClient = download.NewClient(&download.ClientOptions{Wrap: cli.ReleasingTransport})
)

// getJob returns the job of downloads.
func getJob(urls []string) (*job, error) {
	for i, u := range urls {
		if err := get.Check(u, fmt.Sprintf("input %d", i+1)); err != nil {
			return nil, cli.UsageError{Text: err.Error()}
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
