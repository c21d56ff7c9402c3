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

// The standard output and the standard error of a worker are two pipes. The
// pool does not trust the text that a worker prints: package printable
// escapes the text.

const (
	maxLine       = 64 << 10 // longer lines are split
	tailSize      = 4 << 10  // maximum size of the kept end of standard error
	tracebackSize = 64 << 10 // maximum size of a kept crash report

	holdTime = 2 * time.Second // maximum time from the crash report of a process to its death
)

// tail keeps the crash report of a process, or the last lines of its standard
// error if it has printed no crash report.
type tail struct {
	mu       sync.Mutex
	buf      []byte // guarded by mu
	crashing bool   // guarded by mu: buf is a crash report
	before   []byte // guarded by mu: the line before the crash report, where C code writes why it aborts
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.crashing && beginsCrashReport(line) {
		all := bytes.TrimSpace(t.buf)
		t.before = bytes.Clone(all[bytes.LastIndexByte(all, '\n')+1:])
		t.buf, t.crashing = t.buf[:0], true
	}
	if t.crashing {
		t.buf = append(t.buf, line[:min(len(line), tracebackSize-len(t.buf))]...)
		return
	}
	t.buf = append(t.buf, line...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
}

// isCrashing reports whether the process has printed the beginning of a crash
// report.
func (t *tail) isCrashing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.crashing
}

// cause returns the line before the crash report.
func (t *tail) cause() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.before)
}

// String returns the kept text, escaped for a terminal.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return printable.Text(string(t.buf))
}

// console is the standard error of this process. Pools without Options.Output
// write the output of their workers to it.
var console struct {
	sync.Mutex      // held while writing a line to os.Stderr
	over       bool // guarded by Mutex: the last line is an update
}

// writeConsole writes a line. On a terminal, the next line overwrites an
// update. If standard error is not a terminal, an update is written like any
// other line.
func writeConsole(text string, kind lineKind) {
	console.Lock()
	defer console.Unlock()
	const clear = "\x1b[K" // clears the rest of the line on the terminal
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

// collect forwards the output of a worker, line by line, until the pipe
// ends. It calls the function passed after it has forwarded all output that
// the worker printed before its death. The pipe may end later, because other
// processes may have the pipe open and may print more.
func (w *worker) collect(stream string, pipe *os.File, keep *tail, passed func()) {
	passed = sync.OnceFunc(passed)
	defer passed()
	defer pipe.Close()
	var held holdback
	if keep != nil {
		defer held.end(w)
	}
	lines := lineSplitter{emit: func(line []byte, kind lineKind) {
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
		case errors.Is(err, osproc.ErrEmpty): // the rest of the output is from other processes
			lines.end()
			passed()
			dead = false
		default:
			lines.end()
			return
		}
	}
}

// holdback delays the lines of a crash report if standard error is a
// terminal, because there may be hundreds of them. If the process dies, the
// lines are not printed: the error of the task contains them. If the process
// does not die, the lines are printed after holdTime.
type holdback struct {
	mu    sync.Mutex
	lines [][]byte    // guarded by mu: the delayed lines
	bytes int         // guarded by mu: their size
	timer *time.Timer // guarded by mu: nil if no line was delayed
	over  bool        // guarded by mu: lines are no longer delayed
}

// hold delays a line of a crash report. It reports false if the caller must
// print the line.
func (h *holdback) hold(w *worker, keep *tail, line []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || w.pool.opts.Output != nil || !keep.isCrashing() || h.timer == nil && !term.IsTerminal(int(os.Stderr.Fd())) {
		return false
	}
	if h.timer == nil {
		h.timer = time.AfterFunc(holdTime, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.releaseLocked(w)
		})
	}
	if h.bytes += len(line); h.bytes <= tracebackSize {
		h.lines = append(h.lines, bytes.Clone(line))
	}
	return true
}

// releaseLocked prints the delayed lines.
func (h *holdback) releaseLocked(w *worker) {
	for _, line := range h.lines {
		w.print("stderr", line, whole)
	}
	h.lines, h.over = nil, true
}

// end handles the end of the worker's standard error. It drops the delayed
// lines if the process has died with an exit code other than 0. Otherwise it
// prints them.
func (h *holdback) end(w *worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil {
		return
	}
	h.timer.Stop()
	select {
	case <-w.dead:
		if s := w.cmd.ProcessState; s != nil && s.Success() { // the process exited with code 0, so the lines are not the reason of its end
			h.releaseLocked(w)
		}
	case <-time.After(drainTime): // the process has only closed its standard error
		h.releaseLocked(w)
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
