package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"

	"concert/internal/filelock"
)

// draft is a directory of one run, within the directory of the results:
//
//	DIR/.run-XXXXXXXX/lock    locked as long as the run lives
//	DIR/.run-XXXXXXXX/1, ...  files that are not complete
//
// A run removes its directory at the end, and at the start the directories of
// runs that were killed: their locks are free.
//
// Another run may find the directory before the new run has locked it. The
// other run removes it if it is empty, or after the other run has locked it
// itself. The new run then finds that the directory or the lock file is
// missing, or that the lock is taken. So it makes another directory.
type draft struct {
	root  *os.Root
	name  string
	lock  *os.File
	files atomic.Int64 // the number of the last file
}

const (
	draftPrefix = ".run-"
	lockName    = "/lock"
	maxTries    = 100
)

// newDraft removes the directories of killed runs, and makes one for this run.
func newDraft(root *os.Root) (d *draft, err error) {
	for range maxTries {
		d = &draft{root: root, name: fmt.Sprintf("%s%08x", draftPrefix, rand.Uint32())}
		if err = d.create(); err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	switch again, taken := d.tryLock(d.name); {
	case taken:
		d.removeOthers()
	case again != nil: // then the file system has no locks
		again.Close()
	}
	return d, nil
}

// create makes and locks the directory. The error is fs.ErrNotExist if another
// run has removed it in the meantime.
func (d *draft) create() error {
	if err := d.root.Mkdir(d.name, 0o777); err != nil {
		return err
	}
	var err error
	if d.lock, err = d.root.OpenFile(d.name+lockName, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
		return err
	}
	if filelock.LockUnlessTaken(d.lock) {
		err = fs.ErrNotExist
	} else {
		_, err = d.root.Lstat(d.name + lockName)
	}
	if err != nil {
		d.lock.Close()
	}
	return err
}

// tryLock locks the directory of a run. It reports whether the run lives, or
// may live. It returns nil if there is no file to lock.
func (d *draft) tryLock(name string) (lock *os.File, taken bool) {
	f, err := d.root.OpenFile(name+lockName, os.O_RDWR, 0)
	if err != nil {
		return nil, !errors.Is(err, fs.ErrNotExist)
	}
	if filelock.LockUnlessTaken(f) {
		f.Close()
		return nil, true
	}
	return f, false
}

// removeOthers removes the directories of runs that were killed.
func (d *draft) removeOthers() {
	dir, err := d.root.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	for err == nil {
		var names []string
		names, err = dir.Readdirnames(1000)
		for _, name := range names {
			if strings.HasPrefix(name, draftPrefix) && name != d.name {
				d.removeOther(name)
			}
		}
	}
}

func (d *draft) removeOther(name string) {
	lock, taken := d.tryLock(name)
	switch {
	case taken:
	case lock == nil:
		d.root.Remove(name) // fails if the directory is not empty
	default:
		d.root.RemoveAll(name)
		filelock.Unlock(lock)
		lock.Close()
	}
}

// write writes a file. The file gets its name when it is complete.
func (d *draft) write(name string, from io.Reader) error {
	temporary := fmt.Sprintf("%s/%d", d.name, d.files.Add(1))
	f, err := d.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = d.root.Rename(temporary, name)
	}
	if err != nil {
		d.root.Remove(temporary)
	}
	return err
}

// close removes the directory.
func (d *draft) close() {
	d.root.RemoveAll(d.name)
	filelock.Unlock(d.lock)
	d.lock.Close()
}
