package executortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"concert"
)

var errEventTimeout = errors.New("executortest: the case did not end in time")

// The functions of the suite, by the names that they have in other processes.
var (
	square     = concert.Register("executortest.square", squareFunc)
	hold       = concert.Register("executortest.hold", holdFunc)
	holdSlow   = concert.Register("executortest.holdSlow", holdSlowFunc)
	stubborn   = concert.Register("executortest.stubborn", stubbornFunc)
	fail       = concert.Register("executortest.fail", failFunc)
	blob       = concert.Register("executortest.blob", blobFunc)
	scribble   = concert.Register("executortest.scribble", scribbleFunc)
	deadline   = concert.Register("executortest.deadline", deadlineFunc)
	milestone  = concert.Register("executortest.milestone", milestoneFunc)
	appendLine = concert.Register("executortest.appendLine", appendLineFunc)
	sizeOf     = concert.Register("executortest.sizeOf", func(_ context.Context, b *[]byte) (int, error) { return len(*b), nil })
)

func squareFunc(_ context.Context, n int) (int, error) { return n * n, nil }

// gate blocks tasks, which may run in other processes, until the case opens it.
// It consists of files: one file exists if the gate is open, and there is one
// file for each task that has reached or left the gate.
type gate struct{ Path string }

// gate returns a new gate.
func (s *suite) gate() gate {
	s.gates++
	return gate{filepath.Join(s.dir, fmt.Sprint("gate", s.gates))}
}

// open opens the gate, so that the tasks that are blocked at it continue.
func (g gate) open() { touch(g.Path + ".open") }

func (g gate) isOpen() bool { return exists(g.Path + ".open") }

// entered returns the number of tasks that have reached the gate. left returns
// the number of tasks that have left the gate, because the gate was open or the
// context of the task has ended.
func (g gate) entered() int { return count(g.Path + ".in") }
func (g gate) left() int    { return count(g.Path + ".out") }

// held submits a task that blocks at a new gate, and waits until the task runs.
func (s *suite) held(ex concert.Executor) (gate, *concert.Future[string]) {
	s.Helper()
	g := s.gate()
	f := concert.Submit(s.ctx, ex, hold, g)
	s.eventually("the task starts", func() bool { return g.entered() == 1 })
	return g, f
}

func touch(path string) {
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	f.Close()
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// mark creates a file with this prefix. count counts such files.
func mark(prefix string) {
	f, err := os.CreateTemp(filepath.Dir(prefix), filepath.Base(prefix)+".*")
	if err != nil {
		panic(err)
	}
	f.Close()
}

func count(prefix string) int {
	entries, err := os.ReadDir(filepath.Dir(prefix))
	if err != nil {
		panic(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(prefix)+".") {
			n++
		}
	}
	return n
}

// holdFunc blocks at a gate until the gate is open or the context ends.
func holdFunc(ctx context.Context, g gate) (string, error) {
	mark(g.Path + ".in")
	defer mark(g.Path + ".out")
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !g.isOpen() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	return "passed", nil
}

// slowGate is a gate whose encoding blocks until the case allows it.
type slowGate struct {
	gate
	begun func() // called when the encoding begins; nil in the worker
	may   <-chan struct{}
}

// MarshalCBOR waits until the case allows the encoding. Then it encodes the
// gate as a map that contains the Path.
func (g slowGate) MarshalCBOR() ([]byte, error) {
	g.begun()
	<-g.may
	const textOf16 = 0x79 // the head of a text whose length follows in two bytes: RFC 8949, section 3
	b := append([]byte{0xa1, 0x64}, "Path"...)
	b = append(b, textOf16, byte(len(g.Path)>>8), byte(len(g.Path)))
	return append(b, g.Path...), nil
}

// UnmarshalCBOR decodes what MarshalCBOR encodes: the text begins after nine
// bytes.
func (g *slowGate) UnmarshalCBOR(b []byte) error {
	if len(b) < 9 {
		return io.ErrUnexpectedEOF
	}
	g.Path = string(b[9:])
	return nil
}

func holdSlowFunc(ctx context.Context, g slowGate) (string, error) { return holdFunc(ctx, g.gate) }

// stubbornFunc blocks at a gate, and ignores the end of its context.
func stubbornFunc(_ context.Context, g gate) (string, error) {
	return holdFunc(context.Background(), g)
}

// failFunc fails: its argument says in which way.
func failFunc(_ context.Context, how string) (string, error) {
	switch how {
	case "error":
		return "", errors.New("a plain error")
	case "eof":
		return "", fmt.Errorf("reading the test: %w", io.ErrUnexpectedEOF)
	case "sentinel":
		return "", fmt.Errorf("wrapped: %w", errOurs)
	case "type":
		return "", fmt.Errorf("wrapped: %w", &codeError{Code: 99, Note: "teapot"})
	case "panic":
		panic("out of cheese")
	case "panic error":
		panic(fmt.Errorf("wrapped: %w", errOurs))
	case "goexit":
		runtime.Goexit()
	}
	return "no failure: " + how, nil
}

var errOurs = concert.RegisterError("executortest.errOurs", errors.New("one of ours"))

type codeError struct {
	Code int
	Note string
}

// Error returns the code and the note.
func (e *codeError) Error() string { return fmt.Sprintf("code %d: %s", e.Code, e.Note) }

func init() { concert.RegisterErrorType[*codeError]("executortest.codeError") }

// blobFunc returns the given number of bytes. Cases use it to measure the
// memory that a Map needs for results.
func blobFunc(_ context.Context, size int) ([]byte, error) {
	b := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		b[i] = byte(i >> 12)
	}
	return b, nil
}

// line is a line with a number, which appendLineFunc appends to a file.
type line struct {
	Path   string
	Number int
}

// appendLineFunc appends a line to a file, and returns its number.
func appendLineFunc(_ context.Context, l line) (int, error) {
	f, err := os.OpenFile(l.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, l.Number)
	return l.Number, err
}

// scribbleFunc changes its argument, and returns it.
func scribbleFunc(_ context.Context, p *[]int) (*[]int, error) {
	(*p)[0] = 42
	return p, nil
}

// deadlineFunc reports whether its context has a deadline.
func deadlineFunc(ctx context.Context, _ struct{}) (bool, error) {
	_, ok := ctx.Deadline()
	return ok, nil
}

// milestoneFunc reports progress up to n.
func milestoneFunc(ctx context.Context, n int64) (int64, error) {
	for i := range n {
		concert.Progress(ctx, i+1, n)
	}
	return n, nil
}
