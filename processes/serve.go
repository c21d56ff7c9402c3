package processes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/signal"
	"sync"
	"time"

	"concert"
	"concert/internal/frame"
	"concert/processes/internal/osproc"
	"concert/processes/internal/shm"
)

// Exit codes of a worker that ends by itself.
const (
	exitEnd      = 0   // the pool had no more calls for it
	exitBroken   = 111 // it could not be prepared; the pool has been told why
	exitProtocol = 112 // the pool sent what it does not understand
	exitPoolGone = 113 // the pool has gone
)

// server is a worker process, seen from inside. One goroutine reads calls and
// runs them; another one reads what is said about them, and notices the end of
// the pool whatever the first one is doing.
type server struct {
	setup   workerSetup
	in      *frame.Reader
	out     *results
	journal *shm.Journal // nil: there is none
	arena   *shm.Arena   // nil: there is none
	ended   chan int     // the exit code

	// The loop's own:
	scratch  []byte
	name     string // of the function that is called
	function *concert.Function
	missing  error              // why there is none
	head     frame.CallHead     // of the frame whose calls run
	rest     []byte             // its arguments that are left
	parent   context.Context    // of the contexts of its calls
	stop     context.CancelFunc // of parent's deadline; nil if it has none
	spare    *callContext       // of the last call, if nobody has asked for its Done
	now      time.Duration      // when the last call ended, if there was no wait since; else 0
	places   shm.Allocator      // of results in the arena that the pool has not copied, as far as is known
	placed   uint64             // results in the arena, ever
	tidy     *tidy

	mu        sync.Mutex
	id        frame.ID                  // guarded by mu, written by the loop: the call that runs, or the last one
	ctx       *callContext              // guarded by mu: its context; nil if none runs
	begun     time.Duration             // guarded by mu
	canceled  map[frame.ID]frame.Reason // guarded by mu: calls that have not begun
	givenBack map[uint32]uint32         // guarded by mu: of frames, from which call on
}

var started = time.Now()

// uptime is how long this process has run. It is one reading of a clock, where
// time.Now takes two.
func uptime() time.Duration { return time.Since(started) }

// serve is what Main does in a worker. It returns the exit code.
func serve(text string) int {
	setup, err := parseSetup(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitProtocol
	}
	if setup.sandbox != nil {
		if err := setup.sandbox.CloseInherited(setup.files); err != nil {
			fmt.Fprintln(os.Stderr, "processes: cannot close inherited files:", err)
			return exitProtocol
		}
	}
	files, err := osproc.OpenPassed(setup.files)
	if err != nil {
		fmt.Fprintln(os.Stderr, "processes:", err)
		return exitProtocol
	}
	// Ctrl-C is for the pool, which decides what becomes of its workers.
	signal.Ignore(os.Interrupt)

	s := &server{tidy: newTidy(), id: frame.ID{Seq: math.MaxUint32}, setup: setup, ended: make(chan int, 2), canceled: make(map[frame.ID]frame.Reason), givenBack: make(map[uint32]uint32), scratch: make([]byte, 0, 4<<10)}
	depth = setup.depth
	if len(files) > 3 {
		mem, err := shm.Map(files[3])
		files[3].Close()
		if err == nil {
			s.journal, err = shm.OpenJournal(mem)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "processes: the journal cannot be used:", err)
			return exitProtocol
		}
	}
	if len(files) > 4 {
		mem, err := shm.Map(files[4])
		files[4].Close()
		if err != nil {
			fmt.Fprintln(os.Stderr, "processes: the arena cannot be used:", err)
			return exitProtocol
		}
		s.arena = shm.NewArena(mem)
		s.places = s.arena.NewAllocator()
	}
	s.in = frame.NewReader(files[0], maxFrame)
	s.out = newResults(files[1], s.journal)
	hello := frame.HelloBody{Version: frame.Version}
	if s.journal != nil {
		hello.Flags = frame.Slots
	}
	s.out.put(frame.AppendHello(nil, hello))
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
		switch kind {
		case frame.Cancel:
			if id, why, err := frame.ParseCancel(body); err == nil {
				s.cancel(id, why)
			}
		case frame.TakeBack:
			if id, err := frame.ParseID(body); err == nil {
				s.takeBack(id)
			}
		}
	}
}

// takeBack gives calls back that have not begun. Without slots the pool asks
// for calls that it wants back; with slots it has taken them, and wants to know
// whether this process answers.
func (s *server) takeBack(id frame.ID) {
	s.mu.Lock()
	switch ahead := int32(id.Seq - s.id.Seq); {
	case ahead < 0:
		id.Index = math.MaxUint32 // all have begun
	case ahead == 0 && s.journal == nil:
		id.Index = max(id.Index, s.id.Index+1)
		fallthrough
	case s.journal == nil:
		s.givenBack[id.Seq] = id.Index
	}
	s.mu.Unlock()
	s.out.put(frame.AppendID(nil, frame.GivenBack, id))
	s.out.flush()
}

func (s *server) cancel(id frame.ID, why frame.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx != nil && s.id == id && why == frame.Expired:
		s.ctx.limit.pass()
	case s.ctx != nil && s.id == id:
		s.ctx.lazy.Cancel(causeOf(why))
	case s.journal == nil && (int32(id.Seq-s.id.Seq) > 0 || id.Seq == s.id.Seq && id.Index > s.id.Index):
		s.canceled[id] = why // it comes yet
	}
}

func causeOf(why frame.Reason) error {
	if why == frame.Expired {
		return context.DeadlineExceeded
	}
	return concert.ErrCanceled
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
		if code < 0 && s.setup.sandbox != nil {
			if err := s.setup.sandbox.Apply(); err != nil {
				code = s.broken(fmt.Errorf("the worker cannot be confined: %w", err))
			}
		}
		if code >= 0 {
			return
		}
		s.out.put(frame.AppendReady(nil))
		s.out.flush()
	} else if err := s.goOn(int(s.id.Index) + 1); err != nil {
		fmt.Fprintln(os.Stderr, "processes: from the pool came", err)
		code = exitProtocol
		return
	}
	for {
		waits := !s.in.Buffered()
		if waits {
			s.out.flush()
			s.now = 0
			s.rest = nil // of the last frame, which may be large
			s.tidy.begin()
		}
		kind, body, err := s.in.Next()
		if waits {
			s.tidy.end()
		}
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
		if err := s.calls(body); err != nil {
			fmt.Fprintln(os.Stderr, "processes: from the pool came", err)
			code = exitProtocol
			return
		}
	}
}

// calls runs the calls of a frame, until the pool has taken back the rest.
func (s *server) calls(body []byte) error {
	h, rest, err := frame.ParseCall(body, s.name)
	if err != nil {
		return err
	}
	if h.Name != s.name || s.function == nil {
		s.name = h.Name
		s.function, s.missing = concert.Find(h.Name)
	}
	s.head, s.rest, s.parent, s.stop = h, rest, context.Background(), nil
	if h.Left != 0 {
		s.parent, s.stop = context.WithTimeout(s.parent, h.Left)
	}
	if s.journal == nil {
		s.forget()
	}
	return s.goOn(0)
}

// forget drops what was said about calls of frames before this one.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.canceled, func(id frame.ID, _ frame.Reason) bool { return int32(id.Seq-s.head.Seq) < 0 })
	maps.DeleteFunc(s.givenBack, func(seq, _ uint32) bool { return int32(seq-s.head.Seq) < 0 })
}

// goOn runs the calls of the frame from one on. It is apart from calls for the
// loop that takes over when a function has ended the goroutine.
func (s *server) goOn(from int) error {
	for i := from; i < int(s.head.Count); i++ {
		arg, rest, err := frame.NextArg(s.rest)
		if err != nil {
			return err
		}
		s.rest = rest
		if arg.Shared {
			if s.arena == nil {
				return fmt.Errorf("%w: an argument in shared memory, which this worker does not have", frame.ErrFrame)
			}
			if arg.Bytes, err = s.arena.Argument(arg.Span); err != nil {
				return err
			}
		}
		if !s.begin(frame.ID{Seq: s.head.Seq, Index: uint32(i)}) {
			break // the rest has been taken back
		}
		if s.ctx != nil {
			s.call(arg)
		}
	}
	if s.stop != nil {
		s.stop()
	}
	return nil
}

// prepare runs the initializer. It returns an exit code, or -1.
func (s *server) prepare() int {
	kind, body, err := s.in.Next()
	if err == io.EOF {
		return exitEnd
	}
	h, rest, parseErr := frame.ParseCall(body, "")
	arg, _, argErr := frame.NextArg(rest)
	if err := errors.Join(err, parseErr, argErr); err != nil || kind != frame.Call {
		fmt.Fprintf(os.Stderr, "processes: from the pool came %q: %v\n", kind, err)
		return exitProtocol
	}
	done := make(chan error, 1)
	go func() { // a Goexit must not end the loop before there is one
		err := concert.ErrGoexit
		defer func() { done <- err }()
		_, err = concert.Invoke(context.Background(), h.Name, concert.Encoded{Kind: arg.Kind, Bytes: arg.Bytes})
	}()
	if err := <-done; err != nil {
		return s.broken(fmt.Errorf("initializer: %w", err))
	}
	return -1
}

// broken tells the pool why there will be no worker here.
func (s *server) broken(err error) int {
	s.out.put(frame.AppendBroken(nil, s.encodeError(err)))
	s.out.flush()
	return exitBroken
}

// call runs one call, which has begun.
func (s *server) call(arg frame.Payload) {
	ctx := context.Context(s.ctx)
	if s.setup.report {
		id := s.id
		ctx = concert.WithProgress(ctx, func(done, total int64) { s.progress(id, done, total) })
	}
	var result concert.Encoded
	err := s.missing
	if err == nil {
		result, err = s.function.Invoke(ctx, concert.Encoded{Kind: arg.Kind, Bytes: arg.Bytes})
	}
	s.finish(result, err)
}

// progress tells the pool how far a call is, unless it has ended: a goroutine
// that it left behind may speak of it.
func (s *server) progress(id frame.ID, done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx != nil && s.id == id {
		s.out.put(frame.AppendProgress(nil, frame.ProgressBody{ID: id, Done: done, Total: total}))
		s.out.flush()
	}
}

// begin says that a call begins, or reports that it must not, nor those after
// it in the frame. One that is canceled already is answered, and has no
// context.
func (s *server) begin(id frame.ID) bool {
	if s.journal != nil && !s.journal.Begin(id.Seq, int(id.Index)) {
		return false
	}
	now := s.now
	if now == 0 {
		now = uptime()
	}
	ctx := s.spare
	s.spare = nil
	if ctx == nil || ctx.limit.Context != s.parent {
		ctx = newCallContext(s.parent)
	}
	s.mu.Lock()
	if from, some := s.givenBack[id.Seq]; some && id.Index >= from {
		s.mu.Unlock()
		return false
	}
	why, dropped := s.canceled[id]
	delete(s.canceled, id)
	s.id, s.ctx, s.begun = id, ctx, now
	s.mu.Unlock()
	if dropped {
		s.finish(concert.Encoded{}, causeOf(why))
		return true
	}
	if s.journal == nil {
		s.out.put(frame.AppendID(s.scratch[:0], frame.Started, id))
		s.out.flush()
	}
	return true
}

// finish says what became of the call that runs.
func (s *server) finish(result concert.Encoded, err error) {
	now := uptime()
	s.now = now
	s.mu.Lock()
	ctx := s.ctx
	o := frame.Outcome{ID: s.id, Ran: now - s.begun, Value: frame.Inline(result)}
	s.ctx = nil
	s.mu.Unlock()
	switch {
	case ctx.lazy.Opened():
		ctx.end()
	case !ctx.limit.passed.Load():
		s.spare = ctx
	}
	if n := int64(len(result.Bytes)); err == nil && n > s.setup.result {
		err = fmt.Errorf("%w: the result of %s has %d bytes, more than %d, which Options.MaxResult allows", ErrTooLarge, s.name, n, s.setup.result)
	}
	switch {
	case err != nil:
		o.Error = s.encodeError(err)
		s.out.outcome(now, frame.AppendFailure(s.scratch[:0], o))
	case s.place(result.Bytes, &o.Value):
		s.out.outcome(now, frame.AppendResult(s.scratch[:0], o))
	case len(result.Bytes) > shm.MaxInline:
		s.out.outcome(now, frame.ResultHead(s.scratch[:0], o, len(result.Bytes)), result.Bytes)
	default:
		s.out.outcome(now, frame.AppendResult(s.scratch[:0], o))
	}
}

// encodeError encodes an error, with as many bytes as the pool accepts.
func (s *server) encodeError(err error) []byte {
	return concert.ShortenError(concert.EncodeError(err), int(max(s.setup.result, maxError)))
}

// place copies a large result into the arena, if there is one with a place for
// it, and says so in p.
func (s *server) place(result []byte, p *frame.Payload) bool {
	if s.arena == nil || len(result) <= shm.MaxInline {
		return false
	}
	waiting := s.placed - s.journal.Copied().Load()
	s.places.Free(s.places.Len() - int(waiting))
	at, ok := s.places.Allocate(len(result))
	if !ok {
		return false
	}
	if s.arena.WriteResult(at, result) != nil {
		s.places.Undo()
		return false
	}
	s.placed++
	p.Shared, p.Span, p.Bytes = true, at, nil
	return true
}
