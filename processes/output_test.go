package processes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/internal/logtest"
	"concert/processes"
)

// chat prints a text, and waits for a file. So the task still runs when the
// pool reads the text, and the pool can log the text with the name of the task.
var chat = concert.Register("processes_test.chat", func(ctx context.Context, c chatter) (string, error) {
	fmt.Fprint(os.Stdout, c.Text)
	fmt.Fprintln(os.Stderr, "about it")
	for tick := time.NewTicker(time.Millisecond); ; {
		if _, err := os.Stat(c.Seen); err == nil {
			return "said", nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
})

type chatter struct{ Text, Seen string }

// TestOutput: the pool must log each line that a worker prints, with the stream
// and the task.
func TestOutput(t *testing.T) {
	var log logtest.Buffer
	p := newPool(t, 1, &processes.Options{Output: slog.New(slog.NewJSONHandler(&log, nil))})
	c := chatter{"one\ntwo", filepath.Join(t.TempDir(), "seen")}
	f := concert.Submit(t.Context(), p, chat, c)
	for len(log.Lines()) < 2 { // the third line ends only when the worker ends
		runtime.Gosched()
	}
	if err := os.WriteFile(c.Seen, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Close()
	seen := map[string]string{}
	for _, line := range log.Lines() {
		var r struct {
			Msg, Stream, Task string
			Worker, Pid       int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r.Pid == 0 || r.Worker != 0 {
			t.Errorf("line %s", line)
		}
		seen[r.Msg] = r.Stream + " " + r.Task
	}
	if len(seen) != 3 || seen["one"] != "stdout processes_test.chat" || !strings.HasPrefix(seen["two"], "stdout") || seen["about it"] != "stderr processes_test.chat" {
		t.Errorf("lines: %q", seen)
	}
}

var printMuch = concert.Register("processes_test.printMuch", func(_ context.Context, n int) (string, error) {
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range n / len(line) {
		os.Stdout.Write(line)
	}
	return "printed", nil
})

// counter counts the logged bytes.
type counter struct {
	slog.Handler
	mu sync.Mutex
	n  int // guarded by mu
}

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += len(r.Message) + 1
	return nil
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

// TestOutput_TenMegabytes: if tasks print ten megabytes to standard output,
// their results and all bytes must arrive.
func TestOutput_TenMegabytes(t *testing.T) {
	c := &counter{Handler: slog.DiscardHandler}
	p := newPool(t, 2, &processes.Options{Output: slog.New(c)})
	var futures []*concert.Future[string]
	for range 4 {
		futures = append(futures, concert.Submit(t.Context(), p, printMuch, 2_500_000))
	}
	for _, f := range futures {
		if got, err := f.Result(t.Context()); got != "printed" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	p.Close()
	if c.n != 10_000_000 {
		t.Errorf("%d bytes arrived, want 10,000,000", c.n)
	}
}

// TestOutput_LongLine: if a line is very long, the pool must split the line and
// log all of its parts. It must not keep the whole line in memory.
func TestOutput_LongLine(t *testing.T) {
	var log logtest.Buffer
	p := newPool(t, 1, &processes.Options{Output: slog.New(slog.NewTextHandler(&log, nil))})
	here, err := os.Executable() // a file that exists, so chat does not wait
	if err != nil {
		t.Fatal(err)
	}
	if _, err := concert.Submit(t.Context(), p, chat, chatter{strings.Repeat("y", 300_000), here}).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Close()
	total := 0
	for _, line := range log.Lines() {
		if len(line) > 70_000 {
			t.Errorf("a line of %d bytes", len(line))
		}
		total += strings.Count(line, "y")
	}
	if total != 300_000 {
		t.Errorf("%d bytes arrived, want 300,000", total)
	}
}

// TestPool_LargeValuesBothWays: the arguments and results need more space
// than all pipes and buffers have. All results must still arrive: there must
// be no deadlock.
func TestPool_LargeValuesBothWays(t *testing.T) {
	t.Parallel()
	leftovers(t)
	p := newPool(t, 2, nil)
	size := 64 << 20
	if testing.Short() {
		size = 8 << 20
	}
	big := make([]byte, size)
	for i := range big {
		big[i] = byte(i * i >> 8)
	}
	var futures []*concert.Future[[]byte]
	for range 4 {
		futures = append(futures, concert.Submit(t.Context(), p, echo, big))
	}
	for _, f := range futures {
		if got, err := f.Result(t.Context()); !bytes.Equal(got, big) || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

// TestProgress_ReachesObserver: if a task in a worker reports progress, the
// pool's observer must receive the progress.
func TestProgress_ReachesObserver(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	p := newPool(t, 1, &processes.Options{Observer: func(e concert.Event) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprint(e.Kind, e.Done))
	}})
	if _, err := concert.Submit(t.Context(), p, stages, 2).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if got, want := strings.Join(seen, ", "), "submitted 0, started 0, progress 1, progress 2, finished 0"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestProgress_ReachesWatch: the pool has no Options.Observer, and Watch
// adds an observer. This observer must receive the progress of tasks, both
// from workers that already run and from workers that start later.
func TestProgress_ReachesWatch(t *testing.T) {
	p := newPool(t, 1, nil)
	submitTo := func() {
		if _, err := concert.Submit(t.Context(), p, stages, 2).Result(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	submitTo() // the worker runs
	var reports atomic.Int64
	p.Watch(func(concert.Event) {})()
	defer p.Watch(func(e concert.Event) {
		if e.Kind == concert.TaskProgress {
			reports.Add(1)
		}
	})()
	for reports.Load() == 0 {
		submitTo() // more than once, because the first tasks may begin before the worker knows that there is an observer
	}
	if _, err := concert.Submit(t.Context(), p, exitWith, 3).Result(t.Context()); err == nil {
		t.Error("the worker did not exit")
	}
	for reports.Store(0); reports.Load() == 0; {
		submitTo()
	}
}

var stages = concert.Register("processes_test.stages", func(ctx context.Context, n int) (int, error) {
	for i := range n {
		concert.Progress(ctx, int64(i+1), int64(n))
	}
	return n, nil
})
