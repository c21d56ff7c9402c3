package download

import (
	"context"
	"errors"
	"os"
	"time"
)

// partNames returns the names of a part. The second one is for the case that
// another program has a file with the first one.
func (j *job) partNames() []string { return []string{j.Name + ".part", j.Name + ".concert.part"} }

// findPart opens and locks the part of an earlier Get. It returns nil if there
// is none, and errTaken if another call has locked it.
func (j *job) findPart() (*part, error) {
	for _, name := range j.partNames() {
		lock, err := lockState(j.path(name+".json"), false)
		if errors.Is(err, errTaken) {
			return nil, err
		}
		if err != nil {
			continue // the part, if it exists, is not from a Get
		}
		s, ours := readState(lock)
		if !ours {
			lock.Close()
			continue
		}
		if p := j.openPart(name, lock, s); p != nil {
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

// openPart opens the part that a locked state file describes. It returns nil if
// the state describes another file than the one with this name, or a part that
// cannot be continued, which it removes.
func (j *job) openPart(name string, lock *os.File, s state) *part {
	f, err := os.OpenFile(j.path(name), os.O_RDWR|oNoFollow, 0)
	if err != nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil
	}
	if !s.isValid() || s.Inode != inode(info) {
		f.Close()
		if s.Format == stateFormat && s.Inode == inode(info) {
			os.Remove(j.path(name))
		}
		return nil
	}
	p := &part{j: j, file: f, name: name, lock: lock, state: s, created: time.Now()}
	size := info.Size()
	if s.Size >= 0 && size > s.Size {
		size = 0
	} else if len(s.Pieces) > 0 && validSpans(s.Synced, size, s.Pieces) {
		p.size.Store(s.Synced)
		p.missing = newDivision(s.Size, &p.size, s.Pieces)
		return p
	}
	if s.Pieces != nil || s.Boot == "" || s.Boot != bootID() {
		// Since the system has started again, bytes that were not synced may be
		// zeros. A part of several connections may have holes.
		size = min(size, s.Synced)
		p.state.Boot, p.state.Synced, p.state.Pieces = bootID(), size, nil
		err = errors.Join(f.Truncate(size), appendState(lock, p.state))
	} else if size < info.Size() {
		err = f.Truncate(size)
	}
	if err != nil {
		f.Close()
		return nil
	}
	p.size.Store(size)
	return p
}

// waitPart is findPart, but blocks while another call has locked the part. It
// returns errAppeared if the call had to wait, because the other call may have
// completed the file.
func (j *job) waitPart(ctx context.Context) (*part, error) {
	p, err := j.findPart()
	if !errors.Is(err, errTaken) {
		return p, err
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
			return nil, errAppeared
		}
	}
}
