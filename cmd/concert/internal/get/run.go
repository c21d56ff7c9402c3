package get

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"concert"
	"concert/cmd/concert/internal/cli"
	"concert/download"
	"concert/goroutines"
)

// getter downloads a list.
type getter struct {
	options
	client  *download.Client
	hosts   *hosts
	report  *report
	ctx     context.Context // canceled by Ctrl-C
	run     context.Context // child of ctx, also canceled by an error that stops the list
	stop    context.CancelCauseFunc
	stopped atomic.Bool      // whether the error of a file has stopped the list
	missing map[string]error // has the error for each directory of files that could not be created
	names   names
	directories
}

// outcome is the result of a file.
type outcome struct {
	*wanted
	index int32
	download.Result
	err      error
	attempts int
	status   int
	received bool // whether bytes have arrived
	waits    bool // there is no result yet: the file waits for its host
	stops    bool // the error of this file has stopped the list
	skipped  bool // the file existed, and was not compared
	took     time.Duration
}

// errMaxTime is the cause with which --max-time ends a download.
var errMaxTime = errors.New("the time limit of the file has passed (--max-time)")

// stopGrace is the time between Ctrl-C and the message why the program does
// not end yet.
const stopGrace = 50 * time.Millisecond

// fileKey is a context key: its value is the *file that is downloaded.
type fileKey struct{}

func (g *getter) getAll(list []*wanted, r *report) error {
	// A closed pipe must not end the program without a message. After
	// signal.Notify, a write to a closed pipe returns an error instead. The
	// signal is not ignored, because then the processes that this process
	// starts would ignore it, too.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	g.report = r
	g.run, g.stop = context.WithCancelCause(g.ctx)
	defer g.stop(nil)
	g.directories = g.lookAtDirectories(list)
	g.hosts = newHosts(list, g.jobs, g.perHost, patience(g.retries), r.away)
	defer context.AfterFunc(g.run, func() { g.hosts.stop(context.Cause(g.run)) })()
	defer context.AfterFunc(g.ctx, func() {
		time.Sleep(stopGrace)
		r.stopping()
	})()
	ex := goroutines.New(g.hosts.width(), &goroutines.Options{Name: "concert get", Observer: r.trace})
	defer ex.Close()
	// Ctrl-C cancels each download, but not the Map, so that r also reports the
	// canceled downloads.
	for done, err := range concert.MapUnordered(context.WithoutCancel(g.ctx), ex, g.get, g.hosts.next()) {
		if p, ok := errors.AsType[*concert.PanicError](err); ok {
			panic(p)
		}
		if done.waits {
			continue
		}
		if done.stops {
			r.stoppedBy(done)
			continue
		}
		r.finished(done, g.run.Err() != nil && isStop(done.err, context.Cause(g.run)))
	}
	failed := r.close(g.ctx.Err() != nil)
	switch {
	case g.ctx.Err() != nil:
		return cli.ErrReported
	case r.writeError() != nil:
		return fmt.Errorf("cannot write to the standard output: %w", r.writeError())
	case failed:
		return cli.ErrReported
	}
	return nil
}

// isLast reports whether every further file would have the same error. If a
// directory is read-only and --url-dirs is set, isLast returns false, because
// other directories may be writable.
func (g *getter) isLast(err error) bool {
	_, isReadOnly := errors.AsType[*readOnlyError](err)
	if isReadOnly || errors.Is(err, syscall.EROFS) {
		return !g.urlDirs
	}
	if errors.Is(err, fs.ErrNotExist) {
		_, look := os.Stat(g.dir) // another program may have removed or renamed the directory
		return errors.Is(look, fs.ErrNotExist)
	}
	return isFull(err)
}

// errStopped is the cause with which downloads are ended after an error that
// every further file would have, too.
var errStopped = errors.New("stopped")

// isFull reports whether no further file can be written, because the disk or
// the quota is full, or the file system is read-only.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// isStop reports whether a download ended because the list was stopped.
func isStop(err, cause error) bool {
	return err != nil && (errors.Is(err, cause) || errors.Is(err, context.Canceled) || isFull(err) || errors.Is(err, errAway))
}

// acquire waits until an attempt may start at a host. It refuses an attempt
// for a new file in a directory that is read-only, and for a file of a host
// that was given up. These errors come only now, because a file that exists
// needs no attempt.
func (g *getter) acquire(ctx context.Context, host string) (release func(error), err error) {
	f := ctx.Value(fileKey{}).(*file)
	if ctx.Err() != nil { // --max-time may have passed while the file waited for its host
		return nil, context.Cause(ctx)
	}
	if f.lost != nil {
		return nil, f.lost
	}
	if readOnly := g.readOnly[f.dir]; readOnly != nil {
		if _, err := os.Lstat(filepath.Join(f.directory(g.dir), f.name)); errors.Is(err, fs.ErrNotExist) {
			return nil, readOnly
		}
	}
	return g.hosts.acquire(ctx, f, host)
}

// get downloads one file. The outcome that get returns also has the error. The
// second result is for observers of the executor alone.
func (g *getter) get(task context.Context, f *file) (outcome, error) {
	r := g.request(f.wanted)
	done := outcome{wanted: f.wanted, index: f.index, err: g.missing[f.dir]}
	path := filepath.Join(r.Dir, r.Name)
	if f.begin.IsZero() {
		f.begin = time.Now()
		r.Listing = g.listings[f.dir] // only in the first task: later, the file may have a part of an earlier task
	}
	if done.err == nil {
		g.download(task, f, r, &done)
	}
	if f.lost != nil && errors.Is(done.err, f.lost) {
		done.err = &lostError{f.lost, done.err}
	}
	done.attempts = f.attempts
	done.took = time.Since(f.begin)
	if done.Path == "" {
		done.Path = path
	}
	attempt := done.err
	if g.run.Err() == nil && g.isLast(attempt) && g.stopped.CompareAndSwap(false, true) {
		g.stop(errStopped) // before finished admits the next file
		done.stops = true
	}
	done.waits, done.err = g.hosts.finished(f, attempt)
	if done.waits && isUnreachable(attempt) {
		g.report.waits(&done, f.pause)
	}
	return done, done.err
}

// download makes the attempts for a file.
func (g *getter) download(task context.Context, f *file, r download.Request, done *outcome) {
	ctx, cancel := context.WithCancelCause(context.WithValue(g.run, fileKey{}, f))
	defer cancel(nil)
	f.cancel = cancel
	if g.maxTime > 0 { // if the host of a file is away, one limit holds for all tasks of the file
		var end context.CancelFunc
		ctx, end = context.WithDeadlineCause(ctx, f.begin.Add(g.maxTime), errMaxTime)
		defer end()
	}
	if r.ServerName {
		r.OnName = func(name string) error { return g.names.claim(f.wanted, name) }
	}
	t := &tracker{getter: g, file: f, task: task, before: f.attempts, attempts: f.attempts, path: filepath.Join(r.Dir, r.Name)}
	r.OnEvent = t.event
	g.report.begun(f, t.path)
	done.Result, done.err = g.client.Get(ctx, r)
	t.end(done)
	f.attempts, done.status, done.received = t.attempts, t.status, t.received
	done.skipped = done.Present && r.Keep
}
