package processes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"concert"
	"concert/internal/printable"
	"concert/processes/internal/osproc"
)

// The output of workers has pipes of its own, apart from the protocol. It is
// not trusted: package printable escapes all of it.

const (
	maxLine       = 64 << 10 // longer lines are cut into several
	tailSize      = 4 << 10  // bytes of standard error that are kept
	tracebackSize = 64 << 10 // bytes that are kept from the report of a runtime on

	holdTime = 2 * time.Second // how long a process may take to die after such a report
)

// tail keeps the end of the output: from the line on with which a runtime
// begins to report why the process dies, or otherwise the last lines.
type tail struct {
	mu     sync.Mutex
	buf    []byte // guarded by mu
	dying  bool   // guarded by mu: buf begins with the report of a runtime
	before []byte // guarded by mu: the line before the report, where C code writes why it aborts
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dying && lastWords(line) {
		all := bytes.TrimSpace(t.buf)
		t.before = bytes.Clone(all[bytes.LastIndexByte(all, '\n')+1:])
		t.buf, t.dying = t.buf[:0], true
	}
	if t.dying {
		t.buf = append(t.buf, line[:min(len(line), tracebackSize-len(t.buf))]...)
		return
	}
	t.buf = append(t.buf, line...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
}

// lastWords reports whether the Go runtime, or Python, begins with this line to
// report why the process dies.
func lastWords(line []byte) bool {
	for _, start := range []string{"panic: ", "fatal error: ", "unexpected fault address ", "runtime: out of memory", "runtime: goroutine stack exceeds ", fatalPython} {
		if bytes.HasPrefix(line, []byte(start)) {
			return true
		}
	}
	name, _, ok := bytes.Cut(line, []byte(": ")) // as in "SIGABRT: abort"
	return ok && bytes.HasPrefix(name, []byte("SIG")) && !bytes.ContainsAny(name, " \t")
}

// isDying reports whether the process has begun to report why it dies.
func (t *tail) isDying() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dying
}

// cause returns the line before the report of a runtime.
func (t *tail) cause() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.before)
}

// String returns what was kept, escaped for a terminal.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return printable.Text(string(t.buf))
}

// console is standard error, where the output of all workers goes, unless a
// pool has a logger.
var console struct {
	sync.Mutex      // held while writing a line to os.Stderr
	over       bool // guarded by Mutex: the last line is an update
}

// writeConsole writes a line. On a terminal, an update stays until the next
// line. Elsewhere, each update is a line.
func writeConsole(text string, kind lineKind) {
	console.Lock()
	defer console.Unlock()
	const clear = "\x1b[K" // the rest of the line
	switch inPlace := (kind != whole || console.over) && term.IsTerminal(int(os.Stderr.Fd())); {
	case !inPlace && kind == repeat:
	case !inPlace:
		io.WriteString(os.Stderr, text+"\n")
	case kind == update:
		io.WriteString(os.Stderr, text+clear+"\r")
		console.over = true
	default:
		io.WriteString(os.Stderr, text+clear+"\n")
		console.over = false
	}
}

// collect forwards the output of a worker, line by line, until the pipe ends.
// It calls passed when it has forwarded all that the worker printed before it
// died. Other processes may have the pipe open and print more.
func (w *worker) collect(stream string, pipe *os.File, keep *tail, passed func()) {
	passed = sync.OnceFunc(passed)
	defer passed()
	defer pipe.Close()
	var held holdback
	if keep != nil {
		defer held.end(w)
	}
	lines := lineCutter{emit: func(line []byte, kind lineKind) {
		if keep != nil && kind != update {
			keep.add(line)
		}
		if keep == nil || !held.hold(w, keep, line) {
			w.print(stream, line, kind)
		}
	}}
	buf := make([]byte, 32<<10)
	dead := false
	for {
		read := pipe.Read
		if dead {
			read = func(b []byte) (int, error) { return osproc.ReadAvailable(pipe, b) }
		}
		n, err := read(buf)
		lines.add(buf[:n])
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			dead = true
		case errors.Is(err, osproc.ErrEmpty): // the next output is from other processes
			lines.end()
			passed()
			dead = false
		default:
			lines.end()
			return
		}
	}
}

// holdback keeps the report of a dying process from a terminal: a traceback of
// hundreds of lines, of which the error of the task has the beginning and the
// log one line. If the process does not die, the lines are printed after
// holdTime.
type holdback struct {
	mu    sync.Mutex
	lines [][]byte    // guarded by mu
	bytes int         // guarded by mu
	timer *time.Timer // guarded by mu: nil if nothing is held
	over  bool        // guarded by mu: the process did not die
}

// hold reports whether it holds a line back.
func (h *holdback) hold(w *worker, keep *tail, line []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || w.pool.opts.Output != nil || !keep.isDying() || h.timer == nil && !term.IsTerminal(int(os.Stderr.Fd())) {
		return false
	}
	if h.timer == nil {
		h.timer = time.AfterFunc(holdTime, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.release(w)
		})
	}
	if h.bytes += len(line); h.bytes <= tracebackSize {
		h.lines = append(h.lines, bytes.Clone(line))
	}
	return true
}

// release prints the held lines. The caller holds h.mu.
func (h *holdback) release(w *worker) {
	for _, line := range h.lines {
		w.print("stderr", line, whole)
	}
	h.lines, h.over = nil, true
}

// end drops the held lines if the process has died, and prints them otherwise.
func (h *holdback) end(w *worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil {
		return
	}
	h.timer.Stop()
	select {
	case <-w.dead:
		if s := w.cmd.ProcessState; s != nil && s.Success() { // the process did not die of an error
			h.release(w)
		}
	case <-time.After(drainTime): // the process has only closed its standard error
		h.release(w)
	}
	h.lines, h.over = nil, true
}

func (w *worker) print(stream string, line []byte, kind lineKind) {
	text := printable.Text(strings.TrimSuffix(string(line), "\n"))
	if w.pool.opts.Output == nil {
		writeConsole(text, kind)
		return
	}
	if kind == repeat {
		return
	}
	id, task, doing := w.runningTask()
	attrs := []slog.Attr{slog.Int("worker", id), slog.Int("pid", w.pid), slog.String("stream", stream)}
	if task != "" {
		attrs = append(attrs, slog.String("task", task))
	}
	if doing.batch != nil {
		if input := doing.batch.Input(doing.from); input != nil { // without mu, because Input calls the submitter's context
			attrs = append(attrs, inputAttrs(input)...)
		}
	}
	w.pool.opts.Output.LogAttrs(context.Background(), slog.LevelInfo, text, attrs...)
}

// inputAttrs returns the attributes of an input, for the log.
func inputAttrs(in *concert.Input) (attrs []slog.Attr) {
	if in.Index >= 0 {
		attrs = append(attrs, slog.Int64("input", in.Index))
	}
	if in.Label != "" {
		attrs = append(attrs, slog.String("label", in.Label))
	}
	return attrs
}
