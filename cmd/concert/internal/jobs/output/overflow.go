package output

import (
	"io"
	"os"
	"sync"
)

// segment is the unit in which disk space is released.
const segment = 1 << 20

// overflow is a file of ranges. New ranges are appended. They can be read and
// released in any order. The disk space of a segment is free again when all
// ranges that touch it are released.
type overflow struct {
	create func() (*os.File, error)

	mu   sync.Mutex    // guards the fields below
	file *os.File      // nil until the first range
	end  int64         // the offset of the next range
	live map[int64]int // the number of unreleased ranges in each segment
	held int           // the sum of the numbers in live
}

// reserve returns a new range. The caller writes to it, and releases it later.
func (o *overflow) reserve(size int64) (f *os.File, off int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		if o.file, err = o.create(); err != nil {
			return nil, 0, err
		}
		o.live = make(map[int64]int)
	}
	off = o.end
	o.end += size
	for s := off / segment; s <= (o.end-1)/segment; s++ {
		o.live[s]++
		o.held++
	}
	return o.file, off, nil
}

// release releases the bytes of a range between two offsets. A caller releases
// a range from its beginning to its end, in one call or several, and sets
// atEnd in the last call. Each call releases the segments that end within its
// bytes. The last call also releases the segment in which the range ends. So
// each segment of a range is released once.
func (o *overflow) release(from, to int64, atEnd bool) {
	first, last := from/segment, to/segment-1
	if atEnd {
		last = (to - 1) / segment
	}
	if first > last {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held -= int(last - first + 1)
	for s := first; s <= last; s++ {
		if o.live[s]--; o.live[s] > 0 {
			continue
		}
		delete(o.live, s)
		if o.held > 0 {
			punch(o.file, s*segment, segment)
		}
	}
	if o.held == 0 && o.file.Truncate(0) == nil {
		o.end = 0
	}
}

// store appends size bytes of a file. The range is shorter if the file is
// shorter.
func (o *overflow) store(from *os.File, size int64, buf []byte) (off, stored int64, err error) {
	f, off, err := o.reserve(size)
	if err != nil {
		return 0, 0, err
	}
	stored = copyRange(f, off, from, size)
	for stored < size {
		n, err := from.ReadAt(buf[:min(int64(len(buf)), size-stored)], stored)
		if n == 0 {
			if err == io.EOF {
				break
			}
			o.release(off, off+size, true)
			return 0, 0, err
		}
		if _, err := f.WriteAt(buf[:n], off+stored); err != nil {
			o.release(off, off+size, true)
			return 0, 0, err
		}
		stored += int64(n)
	}
	return off, stored, nil
}

// storeBytes appends data.
func (o *overflow) storeBytes(data []byte) (off int64, err error) {
	f, off, err := o.reserve(int64(len(data)))
	if err != nil {
		return 0, err
	}
	if _, err := f.WriteAt(data, off); err != nil {
		o.release(off, off+int64(len(data)), true)
		return 0, err
	}
	return off, nil
}

func (o *overflow) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
