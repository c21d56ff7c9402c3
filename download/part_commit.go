package download

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"
)

// isWindows is whether files must be closed before they are renamed or removed.
const isWindows = runtime.GOOS == "windows"

// sync writes the complete part to the disk.
func (p *part) sync(info fs.FileInfo) error {
	if p.unnamed {
		return syncUnnamed(p.file, p.opened, info)
	}
	return p.file.Sync()
}

// setModified sets the modification time of the file.
func (p *part) setModified(t time.Time) error {
	if p.unnamed {
		return setModifiedUnnamed(p.file, t)
	}
	return os.Chtimes(p.j.path(p.name), time.Time{}, t)
}

// commit syncs the complete part, and gives it the final name. If the final
// name exists, and replace is not set, commit returns errAppeared.
func (p *part) commit(replace bool) error {
	p.endSync()
	if !p.unnamed && !p.hasName() {
		return fmt.Errorf("another program replaced or removed the partial file %s", p.name)
	}
	if !p.state.Modified.IsZero() {
		// An error is ignored, because the content is right without the time.
		// Some file systems do not let a program set the time, or cannot store
		// every time.
		p.setModified(p.state.Modified)
	}
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != p.size.Load() {
		return fmt.Errorf("another program changed the length of the partial file to %d bytes; want %d", info.Size(), p.size.Load())
	}
	if replace {
		if old, err := os.Lstat(p.j.path(p.j.Name)); err == nil && old.Mode().IsRegular() {
			p.file.Chmod(old.Mode().Perm()) // a private file stays private
		}
	}
	p.j.writeReceipt(p, info.ModTime())
	if err := p.sync(info); err != nil {
		return err
	}
	final := p.j.path(p.j.Name)
	if p.unnamed && replace {
		// A link cannot replace a file. So the part needs a name first.
		if err := p.nameIt(false); err != nil {
			return err
		}
		p.endSync()
	}
	if isWindows {
		if err := p.close(); err != nil {
			return err
		}
	}
	switch {
	case p.unnamed:
		err = linkUnnamed(p.file, final)
	case replace:
		err = os.Rename(p.j.path(p.name), final)
	default:
		err = renameNew(p.j.path(p.name), final)
	}
	if errors.Is(err, fs.ErrExist) {
		err = errAppeared
	}
	if err == nil {
		p.name = ""
		p.closeLock()
		if !isWindows {
			err = p.file.Close()
		}
	}
	return err
}

// close closes the synced file before it is renamed. It records what
// identifies the file, so that release or discard can find the part after a
// failed rename.
func (p *part) close() (err error) {
	if p.closed, err = p.file.Stat(); err != nil {
		return err
	}
	return p.file.Close()
}

// hasName reports whether the file with the name of the part is still the
// part.
func (p *part) hasName() bool {
	if p.name == "" {
		return false
	}
	opened := p.closed
	if opened == nil {
		var err error
		if opened, err = p.file.Stat(); err != nil {
			return false
		}
	}
	named, err := os.Lstat(p.j.path(p.name))
	return err == nil && os.SameFile(opened, named)
}

// closeLock removes the state file. It removes the file before it releases the
// lock, so that it cannot remove the file of the next holder. Windows does not
// permit this order. There, the next holder finds that the part is missing.
func (p *part) closeLock() {
	if p.lock == nil {
		return
	}
	opened, err := p.lock.Stat()
	if isWindows {
		p.lock.Close()
	}
	// Another program may have replaced the state file by another file.
	if now, look := os.Lstat(p.lock.Name()); err == nil && look == nil && os.SameFile(opened, now) {
		os.Remove(p.lock.Name())
	}
	if !isWindows {
		p.lock.Close()
	}
	p.lock = nil
}

// discard removes the part, because it must not be continued.
func (p *part) discard() {
	p.endSync()
	owned := p.hasName()
	p.file.Close()
	if owned {
		os.Remove(p.j.path(p.name))
	}
	p.closeLock()
}

// release closes the part, and keeps it for the next Get if it can be
// continued. It returns the number of bytes that it keeps.
func (p *part) release() int64 {
	size := p.received()
	if size == 0 || p.state.validator() == "" {
		p.discard()
		return 0
	}
	if p.persist() != nil || !p.hasName() {
		p.discard()
		return 0
	}
	p.endSync()
	if p.state.Synced < size {
		p.record()
	}
	p.file.Close()
	p.lock.Close()
	return size
}
