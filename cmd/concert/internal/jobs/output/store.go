package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

const (
	maxSmall  = 64 << 10 // a larger output is not kept in memory
	maxMemory = 4 << 20  // the maximum size of all outputs in memory
	maxLarge  = 64       // the maximum number of large outputs that stay in the file of their job
	minFree   = 64 << 10 // if less disk space is free, an output may be incomplete
)

// Store has the captured output of jobs.
//
// A captured output moves through these states:
//
//	file of the job --> memory         if it is small, and there is room
//	                --> the same file  if it is large, at most maxLarge of them
//	                --> overflow file  otherwise
type Store struct {
	dir  string
	over overflow

	mu     sync.Mutex // guards the fields below
	free   []*os.File // empty files that no process has open
	memory int64      // the number of bytes in memory
	large  int        // the number of outputs that stay in the file of their job
	closed bool

	sys system
}

// system has operations that are not possible on all systems and file systems.
type system struct {
	create    func(dir string) (*os.File, error) // a file without a name
	reopen    func(*os.File) (*os.File, error)   // opens a file again for a job, with a new file description
	duplicate func(f *os.File) (*os.File, error) // a descriptor with the same description, if reopen is not possible
	freeSpace func(*os.File) int64               // the number of bytes that this process can still use
}

// newSystem returns the operations of this system.
func newSystem() system { return system{createFile, reopen, duplicate, freeSpace} }

// NewStore returns a store whose files are in a directory, usually
// os.TempDir().
func NewStore(dir string) (*Store, error) { return newStore(dir, newSystem()) }

func newStore(dir string, sys system) (*Store, error) {
	s := &Store{dir: dir, sys: sys}
	s.over.create = s.create
	f, err := s.create()
	if err != nil {
		return nil, s.error(err)
	}
	s.free = append(s.free, f)
	return s, nil
}

// create creates a file without a name.
func (s *Store) create() (*os.File, error) { return s.sys.create(s.dir) }

// Close closes the files of the store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, f := range s.free {
		f.Close()
	}
	s.free = nil
	return s.over.close()
}

// error adds the directory to an error of a file that has no name.
func (s *Store) error(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("cannot store output in the temporary directory %s: %w; the variable TMPDIR chooses another directory", s.dir, err)
}

// Capture receives the output of a running job, for one attempt. The caller
// must call either Finish or Discard.
type Capture struct {
	Stdout, Stderr *os.File // for the process; the caller does not close them

	store *Store
	files [2]captured // stdout and stderr
	lines *lineReader // with LineBuffer
}

// captured is the file of one stream of a running job.
type captured struct {
	base *os.File // the descriptor of the store; nil if the output is not stored
	job  *os.File // the descriptor for the job
}

// Begin returns the files for an attempt of a job.
func (s *Store) Begin() (*Capture, error) {
	c := &Capture{store: s}
	for i := range c.files {
		f, err := s.open()
		if err != nil {
			c.Discard(false)
			return nil, s.error(err)
		}
		c.files[i] = f
	}
	c.Stdout, c.Stderr = c.files[0].job, c.files[1].job
	return c, nil
}

// open returns an empty file for a job.
func (s *Store) open() (captured, error) {
	if base := s.take(); base != nil {
		if job, err := s.sys.reopen(base); err == nil {
			return captured{base: base, job: job}, nil
		}
		base.Close() // a job may have changed the mode of the file, or there is no /proc
	}
	base, err := s.create()
	if err != nil {
		return captured{}, err
	}
	if job, err := s.sys.reopen(base); err == nil {
		return captured{base: base, job: job}, nil
	}
	job, err := s.sys.duplicate(base)
	if err != nil {
		base.Close()
		return captured{}, err
	}
	return captured{base: base, job: job}, nil
}

// take returns an empty file that was used before, or nil.
func (s *Store) take() *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.free)
	if n == 0 {
		return nil
	}
	f := s.free[n-1]
	s.free = s.free[:n-1]
	return f
}

// reuse makes a file available to the next job, if it can be emptied.
func (s *Store) reuse(f *os.File, occupied bool) {
	if occupied && f.Truncate(0) != nil {
		f.Close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		f.Close()
		return
	}
	s.free = append(s.free, f)
}

// reuseLarge makes a file available to the next job whose output was large. It
// opens and closes the file; the comment of finish has the reason.
func (s *Store) reuseLarge(f *os.File) {
	if f.Truncate(0) == nil {
		if again, err := s.sys.reopen(f); err == nil {
			again.Close()
			s.reuse(f, false)
			return
		}
	}
	f.Close()
}

// Finish is called when the attempt has ended. survivors says that a process
// may still have the files open. If an error is returned, the output may be
// incomplete, because it could not be stored. Then the job has failed. The
// output has the bytes that could be stored, and is never nil.
func (c *Capture) Finish(survivors bool) (*Output, error) {
	if c.lines != nil {
		c.lines.finish()
		survivors = false // no job has the files of the store open
	}
	o := &Output{store: c.store}
	var err error
	if base := c.files[0].base; base != nil && c.store.sys.freeSpace(base) < minFree {
		err = errors.New("the disk is full, so the output may be incomplete")
	}
	for i := range c.files {
		if e := c.store.finish(&c.files[i], &o.parts[i], survivors); err == nil {
			err = e
		}
	}
	if c.lines != nil {
		if e := c.lines.describe(o); e != nil {
			err = e
		}
	}
	if err != nil {
		err = c.store.error(err)
	}
	return o, err
}

// Discard drops the output of an attempt if the job will run again.
func (c *Capture) Discard(survivors bool) {
	if o, _ := c.Finish(survivors); o != nil {
		o.Release()
	}
}

// finish moves a captured stream to the place in which it waits until it is
// printed.
//
// The descriptor of the job is closed last, when the file is empty again.
// Otherwise the close could take long: after a file was emptied once, ext4
// writes its new contents to the disk at the next close.
func (s *Store) finish(c *captured, p *part, survivors bool) error {
	if c.job != nil {
		defer c.job.Close()
	}
	base := c.base
	if base == nil {
		return nil
	}
	size, occupied, err := measure(base)
	if err == nil && size > maxSmall && !survivors && s.keepLarge() {
		*p = part{file: base, size: size, end: size, own: true}
		return nil
	}
	if err == nil && size > 0 {
		err = s.copyPart(p, base, size)
	}
	if survivors || err != nil {
		base.Close()
	} else {
		s.reuse(base, occupied)
	}
	return err
}

// keepLarge reports whether one more large output may stay in its file.
func (s *Store) keepLarge() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.large == maxLarge {
		return false
	}
	s.large++
	return true
}

// copyPart copies a stream to memory, or to the overflow file.
func (s *Store) copyPart(p *part, base *os.File, size int64) error {
	if size <= maxSmall && s.allocate(size) {
		data := make([]byte, size)
		n, err := base.ReadAt(data, 0)
		s.allocate(int64(n) - size)
		*p = part{data: data[:n], size: int64(n)}
		if err == io.EOF { // another process has emptied the file
			return nil
		}
		return err
	}
	off, stored, err := s.over.store(base, size, make([]byte, min(size, 256<<10)))
	if err != nil {
		return err
	}
	*p = part{file: s.over.file, off: off, size: stored, end: off + size}
	if stored == 0 { // another process has emptied the file
		p.release(s)
	}
	return nil
}

// allocate reserves n bytes of memory. It reports false if there is no room. A
// negative n frees memory.
func (s *Store) allocate(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.memory+n > maxMemory {
		return false
	}
	s.memory += n
	return true
}
