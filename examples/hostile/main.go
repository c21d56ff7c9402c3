// Hostile unpacks zip archives from untrusted sources, with code that trusts
// all their contents:
//
//	go run ./examples/hostile              archives that it creates, most of them with an attack
//	go run ./examples/hostile *.zip        your archives
//
// The code runs in workers that are confined: they can write to one directory,
// and have no network, no other programs, 512 MiB of memory and two seconds for
// an archive. So a malicious archive only makes its own task fail. The same
// would hold for a decoder in C with a bug that lets an archive run code.
//
// Exit codes: 0 if all archives were unpacked, 1 if some were not, 2 if the
// program cannot work, 3 if this system cannot confine processes.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"concert"
	"concert/processes"
)

// job is the argument of a task.
type job struct{ Archive, Into string }

// unpack runs in the workers.
var unpack = concert.Register("hostile.unpack", unpackBelieving)

func main() {
	processes.Main() // does not return in a worker process
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := show(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
	}
	os.Exit(code)
}

// show unpacks archives. If the list is empty, it creates archives. It prints
// the outcome of each archive, and returns the exit code.
func show(ctx context.Context, archives []string) (code int, err error) {
	into, err := os.MkdirTemp("", "unpacked-")
	if err != nil {
		return 2, err
	}
	own := len(archives) == 0
	if own {
		defer os.RemoveAll(into)
		if archives, err = makeArchives(into); err != nil {
			return 2, err
		}
	}
	outcomes, err := run(ctx, into, archives)
	if err != nil {
		os.RemoveAll(into)
		if errors.Is(err, errors.ErrUnsupported) {
			return 3, fmt.Errorf("nothing was unpacked: %w", err)
		}
		return 2, err
	}
	for i, err := range outcomes {
		outcome := "unpacked"
		if err != nil {
			outcome = err.Error()
			code = 1
		}
		fmt.Printf("%-14s %s\n", filepath.Base(archives[i]), outcome)
	}
	if own {
		return 0, nil // some of the created archives are meant to fail
	}
	fmt.Println("into", filepath.Join(into, "files"))
	return code, nil
}

// run unpacks each archive into a separate directory below the directory into.
// It returns the outcome of each archive.
func run(ctx context.Context, into string, archives []string) ([]error, error) {
	root, err := filepath.Abs(into)
	if err != nil {
		return nil, err
	}
	read := []string{} // the workers may read the archives, and no other files
	var jobs []job
	for i, archive := range archives {
		path, err := filepath.Abs(archive)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(root, "files", fmt.Sprintf("%03d-%s", i+1, filepath.Base(path)))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		read = append(read, path)
		jobs = append(jobs, job{path, dir})
	}
	pool, err := processes.New(2, &processes.Options{
		Sandbox: &processes.Sandbox{Read: read, Write: []string{filepath.Join(root, "files")}},
		Memory:  512 << 20,
		Timeout: 2 * time.Second,
		Grace:   100 * time.Millisecond,
		Env:     []string{},                    // workers get no secrets from the environment
		Output:  slog.New(slog.DiscardHandler), // the output is dropped, but errors contain its end
	})
	if err != nil {
		return nil, err
	}
	defer pool.Close()

	var futures []*concert.Future[int]
	for _, j := range jobs {
		futures = append(futures, concert.Submit(ctx, pool, unpack, j))
	}
	var outcomes []error
	for _, f := range futures {
		_, err := f.Result(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		outcomes = append(outcomes, err)
	}
	return outcomes, nil
}
