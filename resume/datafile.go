package resume

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// dataFile is the file FILE.data. The data of each record are appended under
// the lock. The batch of the record then calls sync.
type dataFile struct {
	path string
	id   string
	// used is true if a record in the journal refers to the file.
	used bool

	mu     sync.Mutex // guards the fields below
	closed bool
	file   *os.File // nil if there is no file yet
	end    int64    // the offset at which the next data begin
	torn   bool     // the file may have bytes behind end
	// failures is the number of failed syncs. After a failed sync, the system
	// may have dropped any bytes that were not durable. So a record must fail
	// if a sync has failed since its data were written.
	failures int
}

// open opens the file if it exists.
func (d *dataFile) open(path, id string) error {
	d.path, d.id = path, id
	if info, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, &openError{ErrNotJournal, "it is not a regular file: use another journal"})
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if d.end, err = d.load(f); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	d.file = f
	return nil
}

// load checks that the file belongs to the journal. It returns the size of the
// file.
func (d *dataFile) load(f *os.File) (size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	h := header(dataFormat, d.id)
	start := make([]byte, min(info.Size(), int64(len(header(dataFormat, newID())))))
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, info.Size()), start); err != nil {
		return 0, err
	}
	if isUnwritten(start, info.Size(), dataFormat) {
		return d.create(f)
	}
	id, ok, err := parseHeader(start[:max(len(start)-1, 0)], dataFormat)
	switch {
	case err != nil:
		return 0, err
	case ok && d.id == "":
		d.id = id // if the header of the journal is damaged, the header of this file has the identifier
	case ok && d.id != id:
		return 0, &openError{ErrNotJournal, "it is the data file of another journal: remove it, or use another journal"}
	case !ok && !d.used:
		return 0, errForeign
	}
	return max(info.Size(), int64(len(h))), nil
}

// create writes the header, and returns the size of the file.
func (d *dataFile) create(f *os.File) (size int64, err error) {
	if d.id == "" {
		d.id = newID()
	}
	h := header(dataFormat, d.id)
	if err := writeHeader(f, h); err != nil {
		return 0, err
	}
	return int64(len(h)), syncDir(filepath.Dir(d.path))
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// append appends all bytes of r. It returns the place of these bytes, and the
// number of failed syncs before they were written.
func (d *dataFile) append(r io.Reader) (p place, failures int, err error) {
	buf := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buf)
	n, readErr := readFull(r, buf[:]) // without the lock, because most data are small
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.prepareLocked(); err != nil {
		return p, 0, err
	}
	p.offset = d.end
	d.torn = true // until all bytes are written; also if r panics
	for n > 0 {
		if _, err = d.file.WriteAt(buf[:n], p.offset+p.length); err != nil {
			err = fmt.Errorf("write %s: %w", d.path, withoutPath(err))
			break
		}
		p.sum = crc32.Update(p.sum, castagnoli, buf[:n])
		p.length += int64(n)
		if readErr != nil {
			break
		}
		n, readErr = readFull(r, buf[:])
	}
	if err == nil && readErr != io.EOF {
		err = fmt.Errorf("read the data: %w", readErr)
	}
	if err != nil {
		d.truncateLocked()
		return p, 0, err
	}
	d.end, d.torn = d.end+p.length, false
	return p, d.failures, nil
}

// readFull reads until b is full. If the reader ends before, it returns
// io.EOF. It returns io.ErrUnexpectedEOF only if the reader has returned it,
// to report that its data are incomplete. io.ReadFull would also return it for
// a short read.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	if n == len(b) && err == io.EOF {
		err = nil // the next call returns the error
	}
	return n, err
}

// prepareLocked creates the file if necessary, and removes the bytes of a
// failed append. The caller holds the lock.
func (d *dataFile) prepareLocked() error {
	if d.closed {
		return errClosed
	}
	if d.torn {
		if err := d.truncateLocked(); err != nil {
			return err
		}
	}
	if d.file != nil {
		return nil
	}
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err == nil {
		d.end, err = d.create(f)
	}
	if err != nil {
		if f != nil {
			f.Close()
			os.Remove(d.path)
		}
		return fmt.Errorf("create %s: %w", d.path, withoutPath(err))
	}
	d.file = f
	return nil
}

// truncateLocked removes the bytes behind the end. The caller holds the lock.
func (d *dataFile) truncateLocked() error {
	if err := d.file.Truncate(d.end); err != nil {
		return fmt.Errorf("truncate %s: %w", d.path, withoutPath(err))
	}
	d.torn = false
	return nil
}

// sync makes the data durable that were appended before. It returns the number
// of failed syncs so far.
func (d *dataFile) sync() (failures int, err error) {
	d.mu.Lock()
	f := d.file
	d.mu.Unlock()
	err = syncData(f)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.failures++
		err = fmt.Errorf("sync %s: %w", d.path, withoutPath(err))
	}
	return d.failures, err
}

// get returns the file, and its size. The file is nil if there is none.
func (d *dataFile) get() (f *os.File, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.file, d.end
}

func (d *dataFile) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}
