package download

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// partNames returns the names of a part. The second name is used if another
// program has a file with the first name.
func (j *job) partNames() []string { return []string{j.Name + ".part", j.Name + ".concert.part"} }

// findPart opens and locks the part of an earlier Get. It returns nil if there
// is none, and errTaken if another call has locked it. After any other error,
// the part and its state are still there.
func (j *job) findPart() (*part, error) {
	for _, name := range j.partNames() {
		lock, err := lockState(j.path(name+".json"), false)
		if errors.Is(err, fs.ErrNotExist) || err != nil && isForeign(j.path(name+".json"), err) {
			continue // the part, if it exists, is not from a Get
		}
		if err != nil {
			return nil, err
		}
		s, ours := readState(lock)
		if !ours {
			lock.Close()
			continue
		}
		p, err := j.openPart(name, lock, s)
		if err != nil {
			lock.Close()
			return nil, err
		}
		if p != nil {
			p.startSync()
			return p, nil
		}
		// Get was killed before it named the part, or after it gave the part
		// the final name.
		os.Remove(lock.Name())
		lock.Close()
	}
	return nil, nil
}

// isForeign reports whether lockState failed because the path is a file of
// another program: a symbolic link, a directory, or a file of another user. It
// reports false for other errors, such as too many open files, which say
// nothing about the file.
func isForeign(path string, err error) bool {
	info, look := os.Lstat(path)
	return look == nil && (!info.Mode().IsRegular() || errors.Is(err, fs.ErrPermission))
}

// describes reports whether a file is the one of a state: a regular file of
// this user, with the inode of the state.
func (s *state) describes(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && s.Format == stateFormat && s.Inode == inode(info) && isOwn(info)
}

// openPart opens the part that a locked state file describes. It returns nil
// without an error if the part is missing, or if its name belongs to another
// file. If the part cannot be continued, openPart removes it and returns nil.
func (j *job) openPart(name string, lock *os.File, s state) (*part, error) {
	f, err := os.OpenFile(j.path(name), os.O_RDWR|oNoFollow, 0)
	if err != nil {
		info, look := os.Lstat(j.path(name))
		if errors.Is(look, fs.ErrNotExist) || look == nil && !s.describes(info) {
			return nil, nil
		}
		return nil, err // such as too many open files
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if s.Born != 0 && s.Born != born(f) {
		f.Close()
		return nil, nil // a newer file that has got the inode number of the part
	}
	if !s.describes(info) {
		f.Close()
		return nil, nil
	}
	// If Get was killed while linkNew renamed the part, the part and the
	// complete file are the same file. It must not change.
	final, look := os.Lstat(j.path(j.Name))
	if look != nil && !errors.Is(look, fs.ErrNotExist) {
		f.Close()
		return nil, look
	}
	if look == nil && os.SameFile(info, final) || !s.isValid() {
		f.Close()
		return nil, os.Remove(j.path(name))
	}
	p := &part{j: j, file: f, name: name, lock: lock, state: s, created: time.Now()}
	size := info.Size()
	if s.Size >= 0 && size > s.Size {
		size = 0
	} else if len(s.Pieces) > 0 && validSpans(s.Synced, size, s.Pieces) {
		p.size.Store(s.Synced)
		p.missing = newDivision(s.Size, &p.size, s.Pieces)
		return p, nil
	}
	if s.Pieces != nil || s.Boot == "" || s.Boot != bootID() {
		// The system has started again since Get wrote the part. So bytes that
		// were not synced may be zeros. A part of several connections may have
		// holes.
		size = min(size, s.Synced)
		p.state.Boot, p.state.Synced, p.state.Pieces = bootID(), size, nil
		if err = f.Truncate(size); err == nil {
			err = appendState(lock, p.state)
		}
	} else if size < info.Size() {
		err = f.Truncate(size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	p.size.Store(size)
	return p, nil
}

// waitPart is like findPart, but blocks while another call has locked the
// part. After a wait it returns errAppeared, because the other call may have
// completed the file.
func (j *job) waitPart(ctx context.Context) (*part, error) {
	p, err := j.findPart()
	if err == nil {
		return p, nil
	}
	if !errors.Is(err, errTaken) {
		return nil, j.fail("continue the partial file of "+j.Name, err)
	}
	j.emit(Event{Kind: EventWait, Total: -1})
	for {
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, j.fail("wait for another download of "+j.Name, err)
		}
		if p, err = j.findPart(); !errors.Is(err, errTaken) {
			if p != nil {
				p.release()
			}
			return nil, errAppeared // Get looks again; if err is still there, it returns err
		}
	}
}
