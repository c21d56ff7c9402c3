package output

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// Printer prints the output of jobs. One goroutine prints. A call of Done
// gives a job to this goroutine. If any job can be printed, the call then
// waits until one more job is printed. Concurrent calls wait for different
// jobs. So one job is printed for each new job, and the backlog does not grow.
// A call never waits for the whole backlog.
type Printer struct {
	store *Store
	opts  Options

	mu      sync.Mutex // guards the fields below
	changed sync.Cond  // of the fields below
	waiting waiting    // if ordered: the jobs whose turn has not come
	next    int        // if ordered: the number of the job whose turn it is
	ready   bool       // if ordered: whether waiting has this job
	queue   []*item    // if not ordered: the jobs to print
	printed int        // the number of printed jobs
	awaited int        // the highest value of printed that a call of Done waits for
	busy    bool       // a job is being printed
	closing bool
	err     error

	failed  chan struct{} // closed when err is set
	stopped chan struct{} // closed when the goroutine has ended

	write sync.Mutex // guards streams
	streams
}

// item is a job that is printed.
type item struct {
	number int
	id     string // of the record
	head   []byte // the beginning of the line of JSON, or the tag of each line
	cost   int64  // the number of bytes that the job occupies in the memory of the store
	out    *Output
	lost   error // not nil if the job was stored and cannot be read
}

// NewPrinter starts a printer. The caller must have called signal.Notify for
// SIGPIPE. Otherwise Go ends the program when the reader of os.Stdout closes
// the pipe.
func NewPrinter(s *Store, opts *Options) *Printer {
	o := *opts
	if o.JSON && o.Mode != Grouped || o.Tag && (o.Mode == Ungroup || o.JSON) {
		panic("output: these options cannot be combined")
	}
	p := &Printer{store: s, opts: o, next: 1, failed: make(chan struct{}), stopped: make(chan struct{})}
	p.changed.L = &p.mu
	p.waiting.store, p.waiting.find = s, o.Recorded
	p.streams = newStreams(o.Stdout, o.Stderr)
	go p.run()
	return p
}

// isOrdered reports whether jobs are printed in the order of their numbers.
func (p *Printer) isOrdered() bool { return p.opts.Mode == Grouped && !p.opts.Unordered }

// Begin returns the files for the next attempt of a job.
func (p *Printer) Begin(inputs []string) (*Capture, error) {
	switch p.opts.Mode {
	case LineBuffer:
		return p.beginLines(inputs)
	case Ungroup:
		stdout, ok1 := p.opts.Stdout.(*os.File)
		stderr, ok2 := p.opts.Stderr.(*os.File)
		if !ok1 || !ok2 {
			return nil, errors.New("jobs can write to stdout and stderr directly only if these are files")
		}
		return &Capture{Stdout: stdout, Stderr: stderr, store: p.store}, nil
	}
	return p.store.Begin()
}

// Done prints a job when all jobs with lower numbers are done. The caller must
// use each number from 1 up exactly once. A nil output is empty. Done releases
// the output. Done waits while the reader of the Printer's output is slow, but
// it does not wait for running jobs. After an error of stdout or stderr, Done
// returns the same error as Close. If ctx ends, Done no longer waits, and the
// error is the cause of ctx.
func (p *Printer) Done(ctx context.Context, r *Record, o *Output) error {
	it := p.newItem(r, o)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		it.out.Release()
		return p.err
	}
	isEmpty := it.out.isEmpty() && !p.opts.JSON
	switch {
	case isEmpty && (!p.isOrdered() || r.Number == p.next):
		it.out.Release()
		if !p.isOrdered() {
			return nil
		}
		p.advance()
	case !p.isOrdered():
		p.queue = append(p.queue, it)
	default:
		p.waiting.add(it)
		p.ready = p.ready || r.Number == p.next
	}
	if !p.canPrint() {
		return nil
	}
	p.changed.Broadcast()
	if isEmpty {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer stop()
	p.awaited = max(p.awaited, p.printed) + 1
	for turn := p.awaited; p.printed < turn && (p.busy || p.canPrint()) && p.err == nil; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.changed.Wait()
	}
	return p.err
}

// newItem returns the item for a job.
func (p *Printer) newItem(r *Record, o *Output) *item {
	if o == nil {
		o = &Output{}
	}
	it := &item{number: r.Number, id: r.ID, out: o}
	switch {
	case p.opts.JSON:
		it.head = r.line()
	case p.opts.Tag && !o.isEmpty():
		it.head = tag(r.Inputs)
	}
	return it
}

// Failed returns a channel that is closed when stdout or stderr has failed, so
// that no further output can be printed. Close returns the error, which can be
// ErrReaderClosed.
func (p *Printer) Failed() <-chan struct{} { return p.failed }

// Close prints all jobs that are done, also if numbers before them are missing.
// It returns the error of stdout or stderr.
func (p *Printer) Close() error {
	p.mu.Lock()
	p.closing = true
	p.changed.Broadcast()
	p.mu.Unlock()
	<-p.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting.close()
	return p.err
}

// run prints jobs until Close.
func (p *Printer) run() {
	defer close(p.stopped)
	for {
		it := p.take()
		if it == nil {
			return
		}
		readErr, err := it.lost, error(nil)
		if readErr == nil {
			readErr, err = p.print(it)
		}
		it.out.Release()
		if readErr != nil && p.opts.OnError != nil {
			p.opts.OnError(it.number, readErr)
		}
		p.fail(err)
		p.mu.Lock()
		p.printed++
		p.busy = false
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

// take waits for the next job to print. It returns nil at the end.
func (p *Printer) take() *item {
	p.mu.Lock()
	defer p.mu.Unlock()
	for isFlushed := false; ; {
		switch {
		case p.err != nil:
			for _, it := range p.queue {
				it.out.Release()
			}
			p.queue = nil
			return nil
		case p.ready:
			it := p.waiting.take(p.next)
			p.advance()
			p.busy = true
			return it
		case len(p.queue) > 0:
			it := p.queue[0]
			p.queue = p.queue[1:]
			p.busy = true
			return it
		case p.closing && p.skip():
		case !isFlushed:
			p.mu.Unlock()
			p.flush()
			p.mu.Lock()
			isFlushed = true
		case p.closing:
			return nil
		default:
			p.changed.Wait()
		}
	}
}

// canPrint reports whether there is a job to print.
func (p *Printer) canPrint() bool { return p.ready || len(p.queue) > 0 }

// advance gives the turn to the next job. It skips jobs that are done and have
// no output.
func (p *Printer) advance() {
	for p.next++; p.waiting.dropEmpty(p.next); p.next++ {
	}
	p.ready = p.waiting.has(p.next)
}

// skip gives the turn to the next job that is done, even if jobs with lower
// numbers are missing. It reports whether there is such a job.
func (p *Printer) skip() bool {
	n, ok := p.waiting.lowest(p.next)
	if ok {
		p.next, p.ready = n, true
	}
	return ok
}

// print prints a job. In the mode LineBuffer, it is only called for jobs of an
// earlier run.
func (p *Printer) print(it *item) (readErr, writeErr error) {
	p.write.Lock()
	defer p.write.Unlock()
	if p.opts.JSON {
		return p.printJSON(it)
	}
	for i := range it.out.parts {
		part := &it.out.parts[i]
		if part.size == 0 {
			continue
		}
		w, err := p.stream(i)
		if err != nil {
			return nil, err
		}
		tagged := tagWriter{w: w, tag: it.head}
		readErr, err := part.copyTo(&tagged, it.out.store, p.buffer())
		if err == nil {
			err = tagged.end()
		}
		if readErr != nil || err != nil {
			return readErr, err
		}
	}
	if p.opts.Mode == LineBuffer { // other lines are written without the buffer, so it must be empty
		return nil, p.flushStreams()
	}
	return nil, nil
}

// flush writes the buffered bytes.
func (p *Printer) flush() {
	p.write.Lock()
	err := p.flushStreams()
	p.write.Unlock()
	p.fail(err)
}

// fail records an error of stdout or stderr.
func (p *Printer) fail(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, syscall.EPIPE) {
		err = ErrReaderClosed
	} else {
		err = fmt.Errorf("cannot write the output of jobs: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		close(p.failed)
		p.changed.Broadcast()
	}
}
