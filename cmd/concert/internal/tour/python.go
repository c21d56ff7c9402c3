package tour

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"concert"
	"concert/python"
)

// Package choose measures these functions, too.
const (
	cpuTaskText = `
def cpu_task(n):
    return sum(i * i for i in range(n))
`
	fetchText = `
def fetch(url):
    import urllib.request

    with urllib.request.urlopen(url) as page:
        return len(page.read())
`
)

// What the tour runs in Python.
var (
	pythonCPUTask  = python.Source[int, int]("cpu_task", cpuTaskText)
	pythonFetch    = python.Source[string, int]("fetch", fetchText)
	pythonChecksum = python.Source[int, string]("checksum", `
import hashlib

page = bytes(1 << 20)

def checksum(n):
    sum = hashlib.sha256()
    for _ in range(n):
        sum.update(page)
    return sum.hexdigest()
`)
	pythonCrash = python.Source[int, int]("extension", `
def extension(n):
    if n == 7:
        import ctypes

        ctypes.string_at(0)  # as an extension in C with a bug
    return n
`)
)

func showPython(ctx context.Context, t *tour) error {
	const threads = 4
	quiet := slog.New(slog.DiscardHandler) // an interpreter prints a long text when it crashes
	one, err := python.New(1, &python.Options{Threads: threads, Output: quiet})
	if err != nil {
		t.noted("left out", err.Error())
		return nil
	}
	defer one.Close()
	n := runtime.GOMAXPROCS(0)
	many, err := python.New(n, &python.Options{Output: quiet})
	if err != nil {
		return err
	}
	defer many.Close()
	info, err := python.Describe(ctx, one)
	if err != nil {
		return err
	}
	expected, why := noSpeedup, "one thread holds the GIL"
	if !info.GIL {
		expected, why = onProcessors(n), "this build has no GIL"
	}
	t.noted("the interpreter", fmt.Sprintf("%s %s", info.Implementation, info.Version))

	const size = 1_000_000
	sums := slices.Repeat([]int{size}, threads)
	right := func(got int) bool { return got == (size-1)*size*(2*size-1)/6 }
	alone, err := onThreads(ctx, t, one, "sums", pythonCPUTask, sums, right, expected, why)
	if err != nil {
		return err
	}
	parallel, err := took(ctx, many, pythonCPUTask, sums, right)
	if err != nil {
		return err
	}
	t.compared(fmt.Sprintf("on %d interpreters", n), alone, parallel, onProcessors(n), "each has its own GIL")

	site, stop, err := serve()
	if err != nil {
		return err
	}
	defer stop()
	var urls []string
	for i := range threads {
		urls = append(urls, fmt.Sprintf("%s/page/%d", site, i))
	}
	if _, err := onThreads(ctx, t, one, "pages", pythonFetch, urls, func(n int) bool { return n == pageSize }, speedup, "waiting releases the GIL"); err != nil {
		return err
	}
	megabytes := slices.Repeat([]int{32}, threads)
	zeros := sha256.Sum256(make([]byte, 32<<20))
	wantSum := func(sum string) bool { return sum == hex.EncodeToString(zeros[:]) }
	if _, err := onThreads(ctx, t, one, "checksums", pythonChecksum, megabytes, wantSum, onProcessors(n), "hashlib releases the GIL"); err != nil {
		return err
	}

	if err := crashOne(ctx, many, pythonCrash); err != nil {
		return err
	}
	t.noted("20 tasks, one crashes in C", "19 results, 1 error")
	return nil
}

// onThreads measures tasks in an interpreter with threads. It runs the tasks
// first sequentially and then concurrently, and prints the two times. It
// returns the sequential time.
func onThreads[In, Out any](ctx context.Context, t *tour, ex concert.Executor, what string, f func(context.Context, In) (Out, error), inputs []In, right func(Out) bool, expected expectation, why string) (alone time.Duration, err error) {
	for i := range len(inputs) + 1 {
		one, err := took(ctx, ex, f, inputs[max(0, i-1):][:1], right)
		if err != nil {
			return 0, err
		}
		if i > 0 { // do not count the first call, which also imports modules
			alone += one
		}
	}
	t.measured(fmt.Sprintf("%d %s, sequentially", len(inputs), what), alone, "")
	all, err := took(ctx, ex, f, inputs, right)
	if err != nil {
		return 0, err
	}
	t.compared(fmt.Sprintf("on %d threads", len(inputs)), alone, all, expected, why)
	return alone, nil
}

// took runs tasks concurrently, and returns the time until all of them have
// ended. It returns an error if a result is wrong.
func took[In, Out any](ctx context.Context, ex concert.Executor, f func(context.Context, In) (Out, error), inputs []In, right func(Out) bool) (time.Duration, error) {
	begin := time.Now()
	for got, err := range concert.Map(ctx, ex, f, slices.Values(inputs)) {
		if err != nil {
			return 0, err
		}
		if !right(got) {
			return 0, fmt.Errorf("the result %v is wrong", got)
		}
	}
	return time.Since(begin), nil
}
