package download

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// A part gets a name after persistAfter bytes or after persistDelay, so that a
// killed process loses little.
const (
	persistAfter = 1 << 20
	persistDelay = 2 * time.Second
)

// syncInterval is the pause between two syncs of a part that has a name.
const syncInterval = 5 * time.Second

// part is the file that receives the bytes. At first it has no name, on systems
// that support this. Its states:
//
//	unnamed --persist--> named --commit--> (final name)
//	unnamed --commit---> (final name)
//	unnamed, named --discard--> (removed)
//	named --release--> (closed, for the next Get)
//
// Only the goroutine of the Get uses a part. There are two exceptions. The
// goroutine of startSync reads size and missing. While several connections
// receive, their goroutines write to file and missing.
type part struct {
	j    *job
	file *os.File

	// name is the name in the directory. It is empty while the part is unnamed.
	// lock is the open and locked state file of a named part.
	name string
	lock *os.File

	// state describes the version of the file. If it has no validator, the part
	// cannot be continued, so persist gives it no name.
	state state

	size    atomic.Int64 // the number of bytes before the first missing byte
	missing *division    // the missing bytes, if the part has or had holes; otherwise nil
	created time.Time
	closed  fs.FileInfo // describes file after commit has closed it; nil while it is open
	unnamed bool        // whether the file has no name
	opened  uint64      // the number that an unnamed file got from nextOpened
	refused bool        // whether persist found no free name, so that the part stays unnamed

	// A close of stopSync ends the goroutine of startSync, which closes synced
	// when it ends. Both are nil while the goroutine is not running.
	stopSync chan struct{}
	synced   chan struct{}
}

// removeStale removes files that are of no use next to the right file. One is
// a state file: its Get was killed after it gave the part the final name. The
// other is the part of this call: the file appeared when the part was
// complete.
func (j *job) removeStale() {
	p, _ := j.findPart() // after an error, the files stay
	switch {
	case p == nil:
	case j.appeared:
		p.discard()
	default:
		p.release()
	}
}

// newPart creates an unnamed part, or a named part on a system without unnamed
// files.
func (j *job) newPart(s state) (*part, error) {
	p := &part{j: j, state: s, created: time.Now()}
	var err error
	p.file, err = createUnnamed(j.dir)
	if err == nil {
		p.unnamed, p.opened = true, nextOpened()
		return p, nil
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	if err := p.createNamed(); err != nil {
		return nil, err
	}
	return p, nil
}

// createNamed creates the part with a name.
func (p *part) createNamed() error {
	err := p.claimName(func(path string) (err error) {
		p.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		if err = p.writeState(); err != nil {
			// The part is removed because, without a state, the next Get would
			// regard it as a file of another program.
			p.file.Close()
			os.Remove(path)
		}
		return err
	})
	if err == nil {
		p.startSync()
	}
	return err
}

// persist gives an unnamed part a name, so that the next Get can continue it.
func (p *part) persist() error {
	if !p.unnamed || p.refused || p.state.validator() == "" {
		return nil
	}
	err := p.nameIt(true)
	if errors.Is(err, errNoName) {
		p.refused = true
		return nil
	}
	return err
}

// nameIt gives an unnamed part the first free name. If syncState is set, it
// first syncs the state: after a loss of power, an empty state would not
// describe the part. This is not necessary if the part keeps the name only for
// a moment.
func (p *part) nameIt(syncState bool) error {
	err := p.claimName(func(path string) error {
		if err := p.writeState(); err != nil {
			return err
		}
		if syncState {
			if err := p.lock.Sync(); err != nil {
				return err
			}
		}
		return linkUnnamed(p.file, path)
	})
	if err == nil {
		p.unnamed = false
		p.startSync()
	}
	return err
}

// errNoName reports that no name in partNames is free.
var errNoName = errors.New("files of other programs have both possible names of the part")

// claimName locks the state file of the first free name, and calls create with
// the path of the part. If another call has a part with one of the names, or
// the file has appeared, claimName returns errAppeared.
func (p *part) claimName(create func(path string) error) error {
	if p.j.unlisted { // this Get has not looked for the file
		if _, err := p.j.look(p.j.Name); err == nil {
			return errAppeared
		}
	}
	for _, name := range p.j.partNames() {
		path := p.j.path(name)
		lock, err := lockState(path+".json", true)
		if errors.Is(err, errTaken) {
			return errAppeared
		}
		if err != nil && isForeign(path+".json", err) {
			continue
		}
		if err != nil {
			return err
		}
		s, ours := readState(lock)
		if !ours {
			lock.Close()
			continue
		}
		other, err := p.j.openPart(name, lock, s)
		if err != nil {
			lock.Close()
			return err
		}
		if other != nil {
			other.release()
			return errAppeared
		}
		if err = lock.Truncate(0); err == nil {
			p.lock, p.name = lock, name
			err = create(path)
		}
		if err == nil {
			return nil
		}
		p.lock, p.name = nil, ""
		os.Remove(lock.Name())
		lock.Close()
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errNoName
}

// writeState appends the whole state to the state file.
func (p *part) writeState() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	p.state.Format, p.state.Inode, p.state.Born, p.state.Boot = stateFormat, inode(info), born(p.file), bootID()
	return appendState(p.lock, p.state)
}

// restart removes the content of the part, for a reply with the whole file.
func (p *part) restart(s state) error {
	p.endSync()
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	p.size.Store(0)
	p.state, p.missing = s, nil
	if p.lock == nil {
		return nil
	}
	// A version without a validator cannot be continued. Its state says so,
	// too.
	if err := p.replaceState(); err != nil {
		return err
	}
	p.startSync()
	return nil
}

// replaceState writes and syncs the state of a part that was truncated.
// Without the sync, after a loss of power, the old state could describe the
// bytes that are written next.
func (p *part) replaceState() error {
	if err := p.writeState(); err != nil {
		return err
	}
	return p.lock.Sync()
}

// checkLength returns an error if the length of the whole file has changed, or
// is below the length of the part. Then the server has another version. The
// validator alone does not show this: it may be a date that is the same for
// all files of the server.
func (p *part) checkLength(length int64) error {
	switch before := p.state.Size; {
	case length < 0: // unknown
	case before >= 0 && length != before:
		return fmt.Errorf("the server sent a file of %d bytes, but earlier the file with the same entity tag or date had %d bytes", length, before)
	case length < p.size.Load():
		return fmt.Errorf("the server sent a file of %d bytes, but the partial file has %d", length, p.size.Load())
	}
	return nil
}

// keepPrefix removes all bytes after the first missing byte. It is called for
// a reply with the whole file of the same version.
func (p *part) keepPrefix() error {
	if p.missing == nil {
		return nil
	}
	p.endSync()
	size := p.size.Load()
	if err := p.file.Truncate(size); err != nil {
		return err
	}
	p.missing, p.state.Pieces, p.state.Synced = nil, nil, min(p.state.Synced, size)
	if p.lock == nil {
		return nil
	}
	return p.replaceState()
}

// write appends bytes.
func (p *part) write(b []byte) error {
	n, err := p.file.WriteAt(b, p.size.Load())
	size := p.size.Add(int64(n))
	complete := size == p.state.Size // the part gets its final name at once, so persist is not needed
	if err == nil && p.unnamed && !complete && (size >= persistAfter || size > 0 && time.Since(p.created) > persistDelay) {
		err = p.persist()
	}
	return err
}

// received returns the number of bytes that have arrived.
func (p *part) received() int64 {
	if p.missing != nil {
		return p.missing.done()
	}
	return p.size.Load()
}

// spans returns which bytes have arrived.
func (p *part) spans() []span {
	if p.missing == nil {
		return []span{{0, p.size.Load()}}
	}
	prefix, spans := p.missing.received()
	return append([]span{{0, prefix}}, spans...)
}

// record syncs the part, and then records which bytes have arrived. It also
// syncs the state: after a loss of power, an empty state would not describe
// the part. An error does not make the download fail. It only has the effect
// that the next Get continues at an earlier byte.
func (p *part) record() {
	line := struct {
		Synced int64  `json:"synced"`
		Pieces []span `json:"pieces,omitzero"`
	}{Synced: p.size.Load()}
	if p.missing != nil {
		line.Synced, line.Pieces = p.missing.received()
	}
	// If the part is closed, commit has synced it.
	if p.closed == nil && p.file.Sync() != nil {
		return
	}
	if appendState(p.lock, line) == nil {
		p.lock.Sync()
	}
}

// recordPause returns the minimum time between two records. It grows with the
// length of the state file, because a record of many pieces is long.
func (p *part) recordPause() time.Duration {
	info, err := p.lock.Stat()
	if err != nil {
		return syncInterval
	}
	return syncInterval * time.Duration(info.Size()>>16)
}

// startSync starts the goroutine that syncs a named part, and records the
// received bytes. It has no effect if the goroutine is running.
func (p *part) startSync() {
	if p.stopSync != nil {
		return
	}
	p.stopSync, p.synced = make(chan struct{}), make(chan struct{})
	stop := p.stopSync
	go func() {
		defer close(p.synced)
		tick := time.NewTicker(syncInterval)
		defer tick.Stop()
		recorded := time.Now()
		for last := int64(0); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if done := p.received(); done > last && time.Since(recorded) >= p.recordPause() {
				p.record()
				last, recorded = done, time.Now()
			}
		}
	}()
}

func (p *part) endSync() {
	if p.stopSync != nil {
		close(p.stopSync)
		<-p.synced
		p.stopSync = nil
	}
}

// reader returns a reader of the bytes before the first missing byte.
func (p *part) reader() io.Reader { return io.NewSectionReader(p.file, 0, p.size.Load()) }
