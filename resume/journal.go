package resume

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"concert/internal/filelock"
)

var (
	// ErrInUse is wrapped by the error of Open if another process uses the
	// journal, or this process has opened it already.
	ErrInUse = errors.New("resume: the journal is in use")

	// ErrNotJournal is wrapped by the error of Open if the file is not a
	// journal, or if its data file does not belong to it. Open has not changed
	// the files.
	ErrNotJournal = errors.New("resume: not a journal")
)

// openError says why a file was refused. It wraps ErrInUse or ErrNotJournal,
// but does not repeat their texts.
type openError struct {
	kind error
	text string
}

// Error returns the reason.
func (e *openError) Error() string { return e.text }

// Unwrap returns ErrInUse or ErrNotJournal.
func (e *openError) Unwrap() error { return e.kind }

// Options tunes a Journal. The zero value, and nil, are ready to use.
type Options struct {
	// KeepFailed makes [Map] yield the recorded error of a failed call. If it
	// is false, Map calls the function again.
	KeepFailed bool
}

// A Journal is an open journal. Its methods are safe for concurrent use.
type Journal struct {
	path string
	opts Options
	file *os.File
	data dataFile
	// damaged is the number of lines that Open could not read.
	damaged int

	commit sync.Mutex // held while a batch becomes durable

	mu       sync.Mutex // guards the fields below
	closed   bool
	batch    *batch // the batch that takes further records, or nil
	end      int64  // the offset at which the next line begins
	durable  int64  // the lines before this offset are durable
	torn     bool   // the file may have a part of a line behind end
	failures int    // the number of failed syncs

	index index
}

// index has the offset of the last line of each key.
type index struct {
	mu    sync.RWMutex
	lines map[Key]int64 // guarded by mu
}

func (x *index) find(k Key) (offset int64, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	offset, ok = x.lines[k]
	return offset, ok
}

// Open opens the journal at path, and reads the keys of its records. If there
// is no such file, or it is empty, Open creates a journal. A journal with
// damage is no error: see [Journal.Damaged]. If another process uses the
// journal, Open waits for 0.2 seconds, because a process that was killed may
// still be ending.
func Open(path string, opts *Options) (*Journal, error) {
	j, err := open(path, *cmp.Or(opts, &Options{}))
	if err != nil {
		return nil, fmt.Errorf("resume: open %s: %w", path, withoutPath(err))
	}
	return j, nil
}

func open(path string, opts Options) (_ *Journal, err error) {
	j := &Journal{path: path, opts: opts, index: index{lines: map[Key]int64{}}}
	if j.file, err = openLocked(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			filelock.Unlock(j.file)
			j.file.Close()
		}
	}()
	// The data file is next to the journal, also if path is a symbolic link, or
	// if the program changes its directory before there are data.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	id, err := j.load(path + ".data")
	if err != nil {
		return nil, err
	}
	// The previous process may have been killed before its files and its
	// records were durable.
	if err := syncData(j.file); err != nil {
		return nil, fmt.Errorf("sync the file: %w", withoutPath(err))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return j, j.data.open(path+".data", id)
}

// openLocked opens the file, or creates it, and locks it.
func openLocked(path string) (*os.File, error) {
	for begin := time.Now(); ; {
		// For some special files, the opening alone would block or have an
		// effect.
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			return nil, &openError{ErrNotJournal, "it is not a regular file: use the name of a file"}
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		if filelock.LockUnlessTaken(f) {
			f.Close()
			if time.Since(begin) < lockTime {
				time.Sleep(lockTime / 20)
				continue
			}
			return nil, &openError{ErrInUse, "another process or another Open uses this journal: wait until it has ended, or use another file"}
		}
		// Another process may have removed or replaced the file before it was
		// locked.
		opened, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if named, err := os.Stat(path); err == nil && os.SameFile(opened, named) {
			return f, nil
		}
		filelock.Unlock(f)
		f.Close()
	}
}

// lockTime is the time for which Open waits for another process.
const lockTime = 200 * time.Millisecond

// Len returns the number of keys that have a record.
func (j *Journal) Len() int {
	j.index.mu.RLock()
	defer j.index.mu.RUnlock()
	return len(j.index.lines)
}

// Damaged returns the number of lines that Open has found to be damaged. This
// includes lines whose data are missing because the data file was removed or
// is too short. The records in these lines are lost, so their calls run again.
// A kill of the program may damage one line, the last one.
func (j *Journal) Damaged() int { return j.damaged }

// Close waits for running calls of Append, and closes the files. Then other
// processes may open the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	b := j.batch
	j.mu.Unlock()
	if b != nil {
		b.wait()
	}
	// If a batch is being written, this waits for it.
	j.commit.Lock()
	defer j.commit.Unlock()
	err := j.data.close()
	filelock.Unlock(j.file)
	if closeErr := j.file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("resume: close %s: %w", j.path, withoutPath(err))
	}
	return nil
}

// withoutPath returns the reason of an error of package os, for errors that
// name the file already.
func withoutPath(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) && err == error(e) {
		return e.Err
	}
	return err
}
