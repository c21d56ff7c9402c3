package python

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"concert"
	"concert/executor"
	"concert/processes"
)

// streamed is the argument of a task that sends values through a socket.
type streamed[In any] struct {
	Path string `json:"path"`
	Arg  In     `json:"arg"`
}

const afterEnd = 100 * time.Millisecond // maximum time to read from the socket after the task has ended

// Stream returns a Python generator, or another function that returns an
// iterable, as a Go function that returns a sequence. The parameter where
// and the type In have the same meaning as for [Func]. Out is the type of
// each value.
//
//	var tokens = python.Stream[string, string]("models:Model().generate")
//
//	for token, err := range tokens(ctx, ex, "Once upon a time") { ... }
//
// Each loop is one task of the pool. The task lasts as long as the loop,
// including the loop's body, and Options.Timeout and ctx limit this time. The
// generator is at most one value ahead of the loop. Asynchronous generators run
// on the event loop of their thread.
//
// When the loop ends early, by break for example, the generator is closed: if
// the generator waits at a yield, Python raises GeneratorExit there. If the
// generator computes, it is interrupted like any task. The loop statement ends
// when the generator has ended, or when its process was killed after
// Options.Grace.
//
// If there is an error, it is the last element of the sequence. Its reason
// is one of these: an exception of the generator, a value that does not fit
// Out or has more bytes than Options.MaxResult, the death of the
// interpreter, or the end of ctx. The loop receives all values before the
// error. A sequence can be iterated several times, also concurrently: each
// loop calls the function again.
//
// Methods of Out that decode a value, such as UnmarshalText, run on a
// separate goroutine. If such a method panics, the error is a
// [*concert.PanicError]. If the method does not return within
// Options.Timeout, or within Options.Grace after the task or ctx has ended,
// the loop ends with an error. The error of a value has the label that
// [concert.WithLabel] has added to ctx.
//
// Stream needs Unix sockets. Python has no Unix sockets on Windows. So on
// Windows, the error of each loop is [errors.ErrUnsupported]. Stream panics
// in the same cases as Func.
func Stream[In, Out any](where string) func(ctx context.Context, ex *processes.Pool, in In) iter.Seq2[Out, error] {
	check("Stream", where)
	return declareStream[In, Out](where, "")
}

// StreamSource is [Stream] for a generator in source text. The text has the
// same form as for [Source].
func StreamSource[In, Out any](name, text string) func(ctx context.Context, ex *processes.Pool, in In) iter.Seq2[Out, error] {
	return declareStream[In, Out](checkSource("StreamSource", name, text))
}

// declareStream declares a generator function. If text is not empty, it is the
// source text of the module, and each call sends it to the worker.
func declareStream[In, Out any](where, text string) func(ctx context.Context, ex *processes.Pool, in In) iter.Seq2[Out, error] {
	call := declareText[streamed[In], int](howOf[In]()+"s", where, text)
	return func(ctx context.Context, ex *processes.Pool, in In) iter.Seq2[Out, error] {
		if ctx == nil {
			panic("python: Stream with a nil context")
		}
		opts := ex.Options() // panics if the pool is nil or zero
		return func(yield func(Out, error) bool) {
			ctx, end := executor.Isolate(ctx)
			defer end()
			ctx, cancel := context.WithCancel(ctx)
			s, err := openStream(opts)
			if err != nil {
				cancel()
				yield(*new(Out), fmt.Errorf("python: Stream(%q): %w", where, err))
				return
			}
			s.task = concert.Submit(ctx, ex, call, streamed[In]{s.path, in})
			defer s.close(ctx, cancel)
			for n := 0; ; n++ {
				item, ok, err := s.next(ctx, n > 0)
				var out Out
				if ok {
					out, err = decodeItem[Out](ctx, s, item)
				}
				if s.large > 0 {
					err = fmt.Errorf("%w: the value has %d bytes, more than the %d that Options.MaxResult allows", processes.ErrTooLarge, s.large, s.opts.MaxResult)
				}
				if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
					err = fmt.Errorf("%w: %w", cause, err) // the stream has noticed the end of the task before the end of the context
				}
				if err != nil {
					if ok || s.large > 0 {
						err = &streamError{where, n, s.task.Input(), err}
					}
					yield(*new(Out), err)
					return
				}
				if !ok || !yield(out, nil) {
					return
				}
			}
		}
	}
}

// streamError is the error of a loop that cannot yield a value.
type streamError struct {
	where string
	n     int            // index of the value, from 0
	in    *concert.Input // of the task; nil if the task has no label
	err   error
}

// Error returns the label of the task, the index of the value and the reason.
func (e *streamError) Error() string {
	input := ""
	if e.in != nil {
		input = e.in.String() + ": "
	}
	return fmt.Sprintf("python: %svalue %d of %s: %v", input, e.n, e.where, e.err)
}

// Unwrap returns the reason.
func (e *streamError) Unwrap() error { return e.err }

// TaskInput returns the input of the task, for [concert.InputOf].
func (e *streamError) TaskInput() *concert.Input { return e.in }

// stream receives the values of a task.
type stream struct {
	dir, path string
	listener  *net.UnixListener
	conn      *net.UnixConn // nil until the task has connected to the socket
	task      *concert.Future[int]
	opts      processes.Options // of the pool
	large     int64             // size of a value that was not read because it is too large; otherwise 0
}

func openStream(o processes.Options) (*stream, error) {
	if runtime.GOOS == "windows" {
		return nil, errors.ErrUnsupported
	}
	dir, path, err := socketPath()
	if err != nil {
		return nil, err
	}
	s := &stream{dir: dir, path: path, opts: o}
	if s.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"}); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// maxSocketPath is the maximum length of the path of a socket, in bytes, on all
// systems. Linux would allow 107.
const maxSocketPath = 103

// socketPath creates a directory for a socket, and returns the absolute
// paths of both. If the path of the directory for temporary files is too
// long, the new directory is in /tmp.
func socketPath() (dir, path string, err error) {
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		if parent, err = filepath.Abs(parent); err != nil {
			return "", "", err
		}
		if dir, err = os.MkdirTemp(parent, "concert"); err != nil {
			return "", "", err
		}
		if path = filepath.Join(dir, "s"); len(path) <= maxSocketPath {
			return dir, path, nil
		}
		os.Remove(dir)
	}
	return "", "", fmt.Errorf("the path %s is too long for a socket: set TMPDIR to a shorter one", path)
}

// next returns the next value. If there is no other value, it returns false
// and the error of the task. If ask is true, next first requests the value
// from the task.
func (s *stream) next(ctx context.Context, ask bool) (item executor.Encoded, ok bool, err error) {
	concert.Release(ctx, func() { item, ok = s.read(ask) })
	if !ok && s.large == 0 {
		_, err = s.task.Result(context.WithoutCancel(ctx))
	}
	return item, ok, err
}

// read returns the next value. It returns false if there is no other value, or
// if the value is too large. In the second case, read also sets s.large.
func (s *stream) read(ask bool) (item executor.Encoded, ok bool) {
	if s.conn == nil {
		s.await(s.listener.SetDeadline, func() (err error) {
			s.conn, err = s.listener.AcceptUnix()
			return err
		})
		s.remove()
	}
	if s.conn == nil {
		return item, false
	}
	if ask {
		s.conn.Write([]byte{1}) // if Write fails, the task has ended
	}
	var head [4]byte
	if s.readFull(head[:]) != nil {
		return item, false
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 {
		return item, false
	}
	if size := int64(n) - 1; size > s.opts.MaxResult {
		s.large = size
		return item, false
	}
	var b []byte
	for len(b) < int(n) { // allocate as the bytes arrive, because the size may be wrong
		from := len(b)
		b = append(b, make([]byte, min(int(n)-from, 1<<20))...)
		if s.readFull(b[from:]) != nil {
			return item, false
		}
	}
	return executor.Encoded{Kind: b[0], Bytes: b[1:]}, true
}

func (s *stream) readFull(b []byte) error {
	return s.await(s.conn.SetReadDeadline, func() error {
		n, err := io.ReadFull(s.conn, b)
		b = b[n:]
		return err
	})
}

// await calls the function do, which waits for the worker. If the task ends
// before do returns, await interrupts do, and calls it again for the data
// that remains. The second call has a short deadline, because a child of the
// worker may keep the socket open.
func (s *stream) await(deadline func(time.Time) error, do func() error) error {
	returned, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.task.Done():
			deadline(time.Unix(1, 0))
		case <-returned:
		}
	}()
	err := do()
	close(returned)
	<-watched
	deadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		deadline(time.Now().Add(afterEnd))
		err = do()
	}
	return err
}

// close ends the task, and waits until it has ended.
func (s *stream) close(ctx context.Context, cancel context.CancelFunc) {
	cancel()
	if s.conn != nil {
		s.conn.Close()
	}
	s.remove()
	s.task.Result(context.WithoutCancel(ctx))
}

// remove removes the file of the socket. The connection does not need the
// file. If the file is removed early, a program that is killed during the
// loop leaves no file.
func (s *stream) remove() {
	s.listener.Close()
	os.RemoveAll(s.dir)
}
