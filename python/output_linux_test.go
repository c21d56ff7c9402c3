package python_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"concert/python"
)

// TestOutput_Sources: a task prints in Python, by a system call, or in C. In
// each case, Options.Output must receive the text, and the task must have
// its result.
func TestOutput_Sources(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer // without a lock, because the handler writes one record at a time, and the test reads only after Close
	p := newPool(t, 1, &python.Options{Output: slog.New(slog.NewTextHandler(&out, nil))})
	if _, err := call(t, p, python.Func[string, any]("tasks:say"), "words"); err != nil {
		t.Fatal(err)
	}
	p.Close()
	for _, want := range []string{"words of Python", "words of the system", "words of C"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

// seen is a handler that sends the texts of its records to a channel.
type seen struct {
	slog.Handler
	texts chan string
}

func (seen) Enabled(context.Context, slog.Level) bool { return true }

func (s seen) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "reason" { // the record is about the death of a worker
			text += ": " + a.Value.String()
		}
		return true
	})
	s.texts <- text
	return nil
}

// TestOutput_ProgressBar: if a task prints a progress bar, Options.Output
// must receive each update while the task runs.
func TestOutput_ProgressBar(t *testing.T) {
	log := seen{slog.DiscardHandler, make(chan string, 10)}
	p := newPool(t, 1, &python.Options{Output: slog.New(log)})
	bar := python.Source[string, any]("bar", `
import os, sys, time
def bar(path):
    for i in range(3):
        sys.stderr.write("\r%d of 3" % i)
        sys.stderr.flush()
        while not os.path.exists(path + str(i)):
            time.sleep(0.001)
    sys.stderr.write("\n")
`)
	path := filepath.Join(t.TempDir(), "gate")
	f := submit(t, p, bar, path)
	for i, want := range []string{"0 of 3", "1 of 3", "2 of 3"} {
		if got := <-log.texts; got != want {
			t.Errorf("update %d is %q, want %q", i, got, want)
		}
		touch(t, path+strconv.Itoa(i))
	}
	if _, err := f.Result(t.Context()); err != nil {
		t.Error(err)
	}
	p.Close()
	if n := len(log.texts); n != 0 {
		t.Errorf("%d more records; the first is %q", n, <-log.texts)
	}
}
