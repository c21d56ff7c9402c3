package main

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"concert"
	"concert/choose"
	"concert/choose/usage"
	"concert/goroutines"
)

// commands returns the workloads of real programs. The server handles six
// requests concurrently. The program curl computes for 8 ms, and waits for
// this slow server most of its time. The programs read a file of random bytes
// in dir.
func commands(dir, server string) ([]*workload, error) {
	file := filepath.Join(dir, "random")
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	random := rand.NewChaCha8([32]byte{})
	if _, err := io.CopyN(f, random, 8<<20); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	var all []*workload
	for _, c := range []struct {
		id, about string
		kind      choose.Kind
		levels    []int
		argv      []string
	}{
		{"curl", "curl, from a server that handles 6 requests concurrently", choose.IOBound, many, []string{"curl", "-sSf", "-o", os.DevNull, server}},
		{"sha256sum", "sha256sum of 8 MiB", choose.CPUBound, few, []string{"sha256sum", file}},
		{"gzip", "gzip of 8 MiB", choose.CPUBound, few, []string{"gzip", "-kc", file}},
	} {
		if _, err := exec.LookPath(c.argv[0]); err == nil {
			all = append(all, inCommand(c.id, c.about, c.kind, c.levels, c.argv))
		}
	}
	return all, nil
}

// inCommand returns the workload of a command.
func inCommand(id, about string, kind choose.Kind, levels []int, argv []string) *workload {
	start := func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, argv[0], argv[1:]...) }
	run := func(ctx context.Context, _ int) (int, error) { return 0, start(ctx).Run() }
	models := []choose.Model{choose.Sequential(), {
		Name: "processes",
		Open: func(n int, o concert.Observer) (concert.Executor, error) {
			return goroutines.New(n, &goroutines.Options{Observer: o}), nil
		},
	}}
	return &workload{
		id: id, about: about, kind: kind, levels: levels, models: models,
		run: func(ctx context.Context, ex concert.Executor, tasks int) error {
			if ex != nil {
				return mapped(ctx, ex, run, 0, tasks)
			}
			for range tasks {
				if _, err := run(ctx, 0); err != nil {
					return err
				}
			}
			return nil
		},
		choose: func(ctx context.Context, opts *choose.Options) (*choose.Report, error) {
			opts.Profile = func(ctx context.Context, _ int) (usage.Usage, error) { return usage.Command(start(ctx)) }
			return choose.Run(ctx, run, []int{0}, models, opts)
		},
	}
}
