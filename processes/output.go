package processes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
)

// What workers print never touches the protocol: it has pipes of its own.

const (
	longestLine = 64 << 10 // longer ones are cut into several
	tailSize    = 4 << 10  // of standard error, for the error of a task
)

// tail keeps what was written last: from the line on with which the Go runtime
// begins to say why the process dies, or else the last few lines.
type tail struct {
	mu    sync.Mutex
	buf   []byte // guarded by mu
	dying bool   // guarded by mu: buf begins with such a line
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dying && lastWords(line) {
		t.buf, t.dying = t.buf[:0], true
	}
	if t.dying {
		t.buf = append(t.buf, line[:min(len(line), tailSize-len(t.buf))]...)
		return
	}
	t.buf = append(t.buf, line...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
}

// lastWords reports whether a line is what the Go runtime begins its end with.
func lastWords(line []byte) bool {
	for _, start := range []string{"panic: ", "fatal error: ", "unexpected fault address ", "runtime: out of memory", "runtime: goroutine stack exceeds "} {
		if bytes.HasPrefix(line, []byte(start)) {
			return true
		}
	}
	name, _, ok := bytes.Cut(line, []byte(": ")) // SIGABRT: abort
	return ok && bytes.HasPrefix(name, []byte("SIG")) && !bytes.ContainsAny(name, " \t")
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// console is where lines of all workers of this process go, unless a pool has a logger.
var console sync.Mutex // held while writing a line to os.Stderr

// collect reads what a worker prints, line by line, until the end.
func (w *worker) collect(stream string, pipe *os.File, keep *tail) {
	defer pipe.Close()
	in := bufio.NewReaderSize(pipe, longestLine)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			if keep != nil {
				keep.add(line)
			}
			w.print(stream, line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (w *worker) print(stream string, line []byte) {
	if w.pool.opts.Output == nil {
		console.Lock()
		defer console.Unlock()
		os.Stderr.Write(line)
		if line[len(line)-1] != '\n' {
			io.WriteString(os.Stderr, "\n")
		}
		return
	}
	if line[len(line)-1] == '\n' {
		line = line[:len(line)-1]
	}
	id, task := w.doing()
	attrs := []slog.Attr{slog.Int("worker", id), slog.Int("pid", w.pid), slog.String("stream", stream)}
	if task != "" {
		attrs = append(attrs, slog.String("task", task))
	}
	w.pool.opts.Output.LogAttrs(context.Background(), slog.LevelInfo, string(line), attrs...)
}
