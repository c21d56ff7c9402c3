package processes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"concert"
	"concert/internal/frame"
)

// Exit codes of a worker that ends by itself.
const (
	exitEnd      = 0   // the pool had no more calls for it
	exitBroken   = 111 // it could not be prepared; the pool has been told why
	exitProtocol = 112 // the pool sent what it does not understand
	exitPoolGone = 113 // the pool has gone
)

// server is a worker process, seen from inside. One goroutine reads calls and
// runs them; another one reads what is said about them, and notices the end of the
// pool whatever the first one is doing.
type server struct {
	setup   workerSetup
	in      *frame.Reader
	out     *results
	journal journal // without memory: there is none
	base    context.Context
	ended   chan int // the exit code

	// The loop's own:
	scratch []byte
	name    string       // of the last function
	spare   *callContext // of the last call, if nobody has asked for its Done
	now     time.Time    // when the last call ended, if there was no wait since

	mu        sync.Mutex
	seq       uint32                  // guarded by mu: of the call that runs
	ctx       *callContext            // guarded by mu: its context; nil if none runs
	begun     time.Time               // guarded by mu
	cancelled map[uint32]frame.Reason // guarded by mu: calls that have not begun
}

// serve is what Main does in a worker. It returns the exit code.
func serve(text string) int {
	setup, err := parseSetup(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitProtocol
	}
	files, err := openPassed(setup.files)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitProtocol
	}
	// Ctrl-C is for the pool, which decides what becomes of its workers.
	signal.Ignore(os.Interrupt)

	s := &server{setup: setup, base: context.Background(), ended: make(chan int, 2), cancelled: make(map[uint32]frame.Reason), scratch: make([]byte, 0, 4<<10)}
	depth = setup.depth
	if len(files) == 4 {
		mem, err := mapShared(files[3], journalSize)
		files[3].Close()
		if s.journal = (journal{mem}); err != nil || !s.journal.valid() {
			fmt.Fprintln(os.Stderr, "processes: the journal cannot be used:", err)
			return exitProtocol
		}
	}
	s.in = frame.NewReader(files[0], maxFrame)
	s.out = newResults(files[1], s.journal)
	s.out.put(frame.AppendHello(nil, frame.Version))
	s.out.flush()
	go s.control(files[2])
	go s.loop(true)
	return <-s.ended
}

// control reads what the pool says about calls, until the pool has gone.
func (s *server) control(pipe *os.File) {
	in := frame.NewReader(pipe, 1<<10)
	for {
		kind, body, err := in.Next()
		if err != nil {
			s.ended <- exitPoolGone
			return
		}
		if kind != frame.Cancel {
			continue // of a later version, perhaps: nothing that a call depends on
		}
		if seq, why, err := frame.ParseCancel(body); err == nil {
			s.cancel(seq, why)
		}
	}
}

func (s *server) cancel(seq uint32, why frame.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx != nil && s.seq == seq:
		s.ctx.cancel(causeOf(why))
	case s.journal.mem == nil && int32(seq-s.seq) > 0:
		s.cancelled[seq] = why // it comes yet
	}
}

func causeOf(why frame.Reason) error {
	if why == frame.Expired {
		return context.DeadlineExceeded
	}
	return concert.ErrCancelled
}

// loop reads calls and runs them, until there will be no more. A function
// that ends the goroutine ends this loop, and another one takes over.
func (s *server) loop(first bool) {
	code := -1
	defer func() {
		if code >= 0 {
			s.ended <- code
			return
		}
		s.finish(concert.Encoded{}, concert.ErrGoexit)
		go s.loop(false)
	}()
	if first {
		if s.setup.prepare {
			code = s.prepare()
		}
		if code >= 0 {
			return
		}
		s.out.put(frame.AppendReady(nil))
		s.out.flush()
	}
	for {
		if !s.in.Buffered() {
			s.out.flush()
			s.now = time.Time{}
		}
		kind, body, err := s.in.Next()
		switch {
		case err == io.EOF:
			s.out.flush()
			code = exitEnd
			return
		case err != nil || kind != frame.Call:
			fmt.Fprintf(os.Stderr, "processes: from the pool came %q: %v\n", kind, err)
			code = exitProtocol
			return
		}
		c, err := frame.ParseCall(body, s.name)
		if err != nil {
			fmt.Fprintln(os.Stderr, "processes: from the pool came", err)
			code = exitProtocol
			return
		}
		s.name = c.Name
		s.call(c)
	}
}

// prepare runs the initializer. It returns an exit code, or -1.
func (s *server) prepare() int {
	kind, body, err := s.in.Next()
	if err == io.EOF {
		return exitEnd
	}
	c, parseErr := frame.ParseCall(body, "")
	if err != nil || kind != frame.Call || parseErr != nil {
		fmt.Fprintf(os.Stderr, "processes: from the pool came %q: %v\n", kind, errors.Join(err, parseErr))
		return exitProtocol
	}
	done := make(chan error, 1)
	go func() { // a Goexit must not end the loop before there is one
		err := concert.ErrGoexit
		defer func() { done <- err }()
		_, err = concert.Invoke(s.base, c.Name, concert.Encoded{Kind: c.Arg.Kind, Bytes: c.Arg.Bytes})
	}()
	if err := <-done; err != nil {
		s.out.put(frame.AppendBroken(nil, concert.EncodeError(err)))
		s.out.flush()
		return exitBroken
	}
	return -1
}

// call runs one call, unless the pool has taken it back.
func (s *server) call(c frame.CallBody) {
	if !s.begin(c) {
		return
	}
	ctx := context.Context(s.ctx)
	if s.setup.report {
		ctx = concert.WithProgress(ctx, func(done, total int64) { s.out.progress(c.Seq, done, total) })
	}
	result, err := concert.Invoke(ctx, c.Name, concert.Encoded{Kind: c.Arg.Kind, Bytes: c.Arg.Bytes})
	s.finish(result, err)
}

// begin says that a call begins, or reports that it must not.
func (s *server) begin(c frame.CallBody) bool {
	if s.journal.mem != nil && !s.journal.start(c.Seq) {
		return false
	}
	now := s.now
	if now.IsZero() {
		now = time.Now()
	}
	ctx := s.spare
	s.spare = nil
	if ctx == nil || c.Left != 0 {
		ctx = &callContext{base: s.base}
	}
	if c.Left != 0 {
		ctx.deadline = now.Add(c.Left)
	}
	s.mu.Lock()
	why, dropped := s.cancelled[c.Seq]
	delete(s.cancelled, c.Seq)
	s.seq, s.ctx, s.begun = c.Seq, ctx, now
	s.mu.Unlock()
	if dropped {
		s.finish(concert.Encoded{}, causeOf(why))
		return false
	}
	if s.journal.mem == nil {
		s.out.put(frame.AppendStarted(s.scratch[:0], c.Seq))
		s.out.flush()
	}
	return true
}

// finish says what became of the call that runs.
func (s *server) finish(result concert.Encoded, err error) {
	now := time.Now()
	s.now = now
	s.mu.Lock()
	ctx := s.ctx
	o := frame.Outcome{Seq: s.seq, Ran: now.Sub(s.begun), Value: frame.Inline(result)}
	s.ctx = nil
	s.mu.Unlock()
	if ctx.fresh() {
		s.spare = ctx // only a goroutine that the call left behind could tell
	} else {
		ctx.end()
	}
	if err == nil && len(result.Bytes) > maxPayload {
		err = fmt.Errorf("%w: the result has %d bytes, more than %d", ErrTooLarge, len(result.Bytes), maxPayload)
	}
	switch {
	case err != nil:
		o.Error = concert.EncodeError(err)
		s.out.outcome(frame.AppendFailure(s.scratch[:0], o), now)
	case len(result.Bytes) > directly/2:
		s.out.putLarge(frame.ResultHead(s.scratch[:0], o, len(result.Bytes)), result.Bytes)
	default:
		s.out.outcome(frame.AppendResult(s.scratch[:0], o), now)
	}
}
