package output

import (
	"bytes"
	"io"
	"os"
)

// Output is the output of a job that has ended.
type Output struct {
	store   *Store  // nil for Bytes and Recorded
	parts   [2]part // stdout and stderr
	counts  [2]int64
	printed bool // for LineBuffer: the lines were already printed while the job wrote them
}

// part is one stream of an output: in memory, in a file, or elsewhere.
type part struct {
	data []byte
	file *os.File         // nil if the part is not in a file
	off  int64            // the offset of the part in the file
	size int64            // the number of bytes to read
	end  int64            // the offset at which the space of the part in the file ends, at least off+size; or the constant recorded
	own  bool             // the file belongs to this job alone; otherwise it is the overflow file
	free bool             // the memory of data does not count in the store
	open func() io.Reader // the function of Recorded, for this part
}

// Recorded returns an output that is read from elsewhere, such as a journal.
// The function returns a new reader of stdout (0) or stderr (1). The record has
// their sizes.
func Recorded(r *Record, open func(i int) io.Reader) *Output {
	o := &Output{}
	for i, n := range []int64{r.Stdout, r.Stderr} {
		if n > 0 {
			o.parts[i] = part{size: n, open: func() io.Reader { return open(i) }}
		}
	}
	return o
}

// Bytes returns an output that is in memory, such as the value of a function.
func Bytes(stdout, stderr []byte) *Output {
	return &Output{parts: [2]part{
		{data: stdout, size: int64(len(stdout)), free: true},
		{data: stderr, size: int64(len(stderr)), free: true},
	}}
}

// Stdout returns a reader of the standard output. Each call returns a new one,
// which is valid until Release.
func (o *Output) Stdout() io.Reader { return o.parts[0].reader() }

// Stderr returns a reader of the standard error. Each call returns a new one,
// which is valid until Release.
func (o *Output) Stderr() io.Reader { return o.parts[1].reader() }

// Size returns the number of bytes that the job has written.
func (o *Output) Size() (stdout, stderr int64) {
	if o.printed {
		return o.counts[0], o.counts[1]
	}
	return o.parts[0].size, o.parts[1].size
}

// Release frees the memory and disk space. It does nothing if it was called
// before. Done calls it.
func (o *Output) Release() {
	for i := range o.parts {
		o.parts[i].release(o.store)
	}
}

// isEmpty reports whether there is nothing to print.
func (o *Output) isEmpty() bool {
	return o == nil || o.printed || o.parts[0].size == 0 && o.parts[1].size == 0
}

func (p *part) reader() io.Reader {
	switch {
	case p.open != nil:
		return p.open()
	case p.file != nil:
		return io.NewSectionReader(p.file, p.off, p.size)
	}
	return bytes.NewReader(p.data)
}

// release frees the memory and disk space of a part, and makes the part empty.
func (p *part) release(s *Store) {
	switch {
	case p.own:
		s.mu.Lock()
		s.large--
		s.mu.Unlock()
		s.reuseLarge(p.file)
	case p.file != nil && p.off < p.end:
		s.over.release(p.off, p.end, true)
	case p.data != nil && !p.free:
		s.allocate(-p.size)
	}
	*p = part{}
}

// consume frees the disk space of the first n bytes of a part, in steps of a
// segment. These bytes must not be read again.
func (p *part) consume(s *Store, n int64) {
	if p.file == nil || n < segment {
		return
	}
	to := (p.off + n) / segment * segment
	if to >= p.end || to/segment == p.off/segment {
		return
	}
	if p.own {
		punch(p.file, p.off, to-p.off)
	} else {
		s.over.release(p.off, to, false)
	}
	p.size -= to - p.off
	p.off = to
}

// copyTo writes a part to w. It frees the disk space of the bytes that are
// written.
func (p *part) copyTo(w io.Writer, s *Store, buf []byte) (readErr, writeErr error) {
	if p.data != nil {
		_, err := w.Write(p.data)
		return nil, err
	}
	if p.size == 0 {
		return nil, nil
	}
	r := p.reader()
	for n := int64(0); ; {
		k, err := r.Read(buf)
		if k > 0 {
			if _, err := w.Write(buf[:k]); err != nil {
				return nil, err
			}
			n += int64(k)
		}
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return err, nil
		}
		if n >= segment {
			off := p.off
			p.consume(s, n)
			n -= p.off - off
		}
	}
}
