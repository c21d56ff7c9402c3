package processes

import (
	"bufio"
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

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
}

func (t *tail) add(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
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
