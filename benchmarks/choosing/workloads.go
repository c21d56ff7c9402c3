package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"concert"
	"concert/choose"
	"concert/choose/models"
	"concert/python"
)

// spin computes a sum of squares.
func spin(rounds int) (sum uint64) {
	for i := range uint64(rounds) * 1000 {
		sum += i * i
	}
	return sum
}

// nap waits. If the task holds a lock, nap releases the lock during the wait.
func nap(ctx context.Context, d time.Duration) { concert.Release(ctx, func() { time.Sleep(d) }) }

var (
	shared sync.Mutex
	block  = sync.OnceValue(func() []uint64 { return slices.Repeat([]uint64{1}, 8<<20) }) // 64 MiB; all pages are written, because a page that was never written may be in the cache
	client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
)

// The functions of the workloads.
var (
	cpu = concert.Register("cpu", func(_ context.Context, n int) (uint64, error) { return spin(n), nil })

	wait = concert.Register("wait", func(ctx context.Context, ms int) (int, error) {
		nap(ctx, time.Duration(ms)*time.Millisecond)
		return ms, nil
	})

	half = concert.Register("half", func(ctx context.Context, ms int) (uint64, error) {
		sum := spin(4000)
		nap(ctx, time.Duration(ms)*time.Millisecond)
		return sum, nil
	})

	tenth = concert.Register("tenth", func(ctx context.Context, ms int) (uint64, error) {
		sum := spin(2000)
		nap(ctx, time.Duration(ms)*time.Millisecond)
		return sum, nil
	})

	locked = concert.Register("locked", func(_ context.Context, n int) (uint64, error) {
		shared.Lock()
		defer shared.Unlock()
		return spin(n), nil
	})

	visit = concert.Register("visit", func(ctx context.Context, url string) (n int64, err error) {
		concert.Release(ctx, func() {
			var resp *http.Response
			if resp, err = client.Get(url); err != nil {
				return
			}
			defer resp.Body.Close()
			n, err = io.Copy(io.Discard, resp.Body)
		})
		return n, err
	})

	memory = concert.Register("memory", func(_ context.Context, step int) (sum uint64, err error) {
		b := block()
		for i := 0; i < len(b); i += step { // with step 8, reads one word of each cache line
			sum += b[i]
		}
		return sum, nil
	})

	tiny = concert.Register("tiny", func(_ context.Context, n int) (int, error) { return n * n, nil })
)

// pythonText has the functions in Python.
const pythonText = `
import contextlib
import sqlite3
import time


def compute(n):
    return sum(i * i for i in range(n))


def wait(s):
    time.sleep(s)


def query(path):
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as db:
        return db.execute("SELECT sum(n * n) FROM numbers WHERE n % 3 = 1").fetchone()[0]
`

// databaseText makes the database for the function query.
const databaseText = `
import sqlite3, sys

with sqlite3.connect(sys.argv[1]) as db:
    db.execute("CREATE TABLE numbers (n INTEGER)")
    db.executemany("INSERT INTO numbers VALUES (?)", ((i,) for i in range(50_000)))
`

// workload is one kind of work, for which package choose recommends a model and
// a concurrency.
type workload struct {
	id     string
	about  string
	kind   choose.Kind // the true kind
	models []choose.Model
	levels []int // the levels to measure for a model that lists no levels itself
	// run runs tasks on an executor. If ex is nil, run calls the function in a
	// plain loop.
	run func(ctx context.Context, ex concert.Executor, tasks int) error
	// choose runs package choose for the workload.
	choose func(ctx context.Context, opts *choose.Options) (*choose.Report, error)
}

// model returns the model with a name.
func (w *workload) model(name string) choose.Model {
	return w.models[slices.IndexFunc(w.models, func(m choose.Model) bool { return m.Name == name })]
}

func workloads() (all []*workload, done func(), err error) {
	dir, err := os.MkdirTemp("", "choosing-")
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "choosing.py"), []byte(pythonText), 0o666); err != nil {
		return nil, nil, err
	}
	if out, err := exec.Command("python3", "-c", databaseText, filepath.Join(dir, "rows.db")).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("making a database: %w: %s", err, out)
	}
	server := httptest.NewServer(answer(20 * time.Millisecond))
	slow := httptest.NewServer(answer(60 * time.Millisecond))
	opts := &python.Options{Path: []string{dir}}
	prober, err := python.New(1, opts)
	if err != nil {
		return nil, nil, err
	}
	done = func() {
		prober.Close()
		server.Close()
		slow.Close()
		os.RemoveAll(dir)
	}
	programs, err := commands(dir, slow.URL)
	if err != nil {
		done()
		return nil, nil, err
	}
	return append([]*workload{
		inGo("cpu", "computes, 5 ms", choose.CPUBound, few, cpu, 8000),
		inGo("wait", "waits, 20 ms", choose.IOBound, many, wait, 20),
		inGo("half", "computes 2.5 ms, waits 3 ms", choose.Mixed, many, half, 3),
		inGo("tenth", "computes 1 ms, waits 10 ms", choose.IOBound, many, tenth, 10),
		inGo("lock", "computes under a lock", choose.CPUBound, few, locked, 3000),
		inGo("server", "a server that handles 6 requests concurrently", choose.IOBound, many, visit, server.URL),
		inGo("memory", "reads 64 MiB of memory", choose.CPUBound, few, memory, 8),
		inGo("tiny", "a multiplication", choose.CPUBound, few, tiny, 7),
		inPython("python-cpu", "computes in Python, 5 ms", choose.CPUBound, opts, prober, "choosing:compute", 60_000),
		inPython("python-wait", "waits in Python, 20 ms", choose.IOBound, opts, prober, "choosing:wait", 0.02),
		inPython("sqlite", "queries of SQLite in Python", choose.CPUBound, opts, prober, "choosing:query", filepath.Join(dir, "rows.db")),
	}, programs...), done, nil
}

// answer returns a handler that waits before it answers, and handles six
// requests concurrently.
func answer(wait time.Duration) http.Handler {
	slots := make(chan struct{}, 6)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		slots <- struct{}{}
		time.Sleep(wait)
		<-slots
		fmt.Fprintln(w, "done")
	})
}

var (
	few  = []int{1, 2, 3, 4, 6, 8, 12, 16}
	many = []int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}
)

// inGo returns the workload of a Go function.
func inGo[In, Out any](id, about string, kind choose.Kind, levels []int, fn func(context.Context, In) (Out, error), in In) *workload {
	return &workload{
		id: id, about: about, kind: kind, levels: levels, models: models.Go(),
		run: func(ctx context.Context, ex concert.Executor, tasks int) error {
			if ex == nil {
				for range tasks {
					if _, err := fn(ctx, in); err != nil {
						return err
					}
				}
				return nil
			}
			return mapped(ctx, ex, fn, in, tasks)
		},
		choose: func(ctx context.Context, opts *choose.Options) (*choose.Report, error) {
			return choose.Run(ctx, fn, []In{in}, models.Go(), opts)
		},
	}
}

// inPython returns the workload of a Python function.
func inPython[In any](id, about string, kind choose.Kind, opts *python.Options, prober concert.Executor, where string, in In) *workload {
	fn := python.Func[In, any](where)
	return &workload{
		id: id, about: about, kind: kind, models: models.Python(opts),
		run: func(ctx context.Context, ex concert.Executor, tasks int) error {
			return mapped(ctx, ex, fn, in, tasks)
		},
		choose: func(ctx context.Context, with *choose.Options) (*choose.Report, error) {
			with.Profile = models.PythonProfile(prober, where, []In{in})
			return choose.Run(ctx, fn, []In{in}, models.Python(opts), with)
		},
	}
}

// mapped runs a Map that calls fn once for each task, always with the same
// input.
func mapped[In, Out any](ctx context.Context, ex concert.Executor, fn func(context.Context, In) (Out, error), in In, tasks int) error {
	for _, err := range concert.Map(ctx, ex, fn, slices.Values(slices.Repeat([]In{in}, tasks))) {
		if err != nil {
			return err
		}
	}
	return nil
}
