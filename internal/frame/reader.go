package frame

import (
	"io"
)

// Reader reads frames. For a large frame, it allocates memory as the bytes
// arrive, because the length in the frame may be wrong.
type Reader struct {
	r     io.Reader
	max   int
	limit int    // see Limit
	skip  uint64 // number of bytes of the last frame that still have to be dropped
	cut   int    // length of the body of the last frame, if it was cut, and otherwise 0
	buf   []byte
	first int // buf[first:last] was read from r, and Next has not returned it yet
	last  int
	count int64 // number of bytes read from r
}

const readSize = 64 << 10

// NewReader returns a Reader that refuses frames longer than max bytes.
func NewReader(r io.Reader, max int) *Reader {
	return &Reader{r: r, max: max, limit: max, buf: make([]byte, readSize)}
}

// Limit makes the Reader cut frames that are longer than the given number of
// bytes: Next returns the first cutSize bytes of the body, and drops the rest.
// Next does not cut a frame that the buffer contains completely.
func (r *Reader) Limit(bytes int) { r.limit = min(r.max, max(bytes, cutSize+1)) }

const cutSize = 64

// Cut returns the length of the whole body of the last frame if Next has cut
// this frame, and otherwise 0.
func (r *Reader) Cut() int { return r.cut }

// Buffered reports whether the buffer contains the whole next frame.
func (r *Reader) Buffered() bool {
	have := r.last - r.first
	return r.skip == 0 && have >= 4 && uint64(have) >= 4+uint64(le.Uint32(r.buf[r.first:]))
}

// Peek returns the type of the next frame, if the whole frame is in the
// buffer. If ok is true, the next call of Next does not invalidate the
// bodies that earlier calls of Next have returned.
func (r *Reader) Peek() (t Type, ok bool) {
	if !r.Buffered() || le.Uint32(r.buf[r.first:]) < 1 {
		return 0, false
	}
	return Type(r.buf[r.first+4]), true
}

// Count returns the number of bytes that the Reader has read from the
// underlying reader.
func (r *Reader) Count() int64 { return r.count }

// Next returns the next frame. The body is valid until the next call of Next.
// After an error of the underlying reader, the caller may call Next again to
// continue. If the stream ends within a frame, the error is
// io.ErrUnexpectedEOF.
func (r *Reader) Next() (Type, []byte, error) {
	for !r.Buffered() {
		if r.drop() {
			continue
		}
		if n := r.long(); n > 0 && r.last-r.first >= 4+1+cutSize {
			f := r.buf[r.first+4 : r.first+4+1+cutSize]
			r.first += len(f) + 4
			r.skip, r.cut = uint64(n-len(f)), n-1
			return Type(f[0]), f[1:], nil
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && (r.last > r.first || r.skip > 0) {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
	}
	r.cut = 0
	n := int(le.Uint32(r.buf[r.first:]))
	if n < 1 {
		return 0, nil, bad("length 0")
	}
	f := r.buf[r.first+4 : r.first+4+n]
	r.first += 4 + n
	return Type(f[0]), f[1:], nil
}

// drop removes the bytes of a cut frame from the buffer. It reports whether
// there were any.
func (r *Reader) drop() bool {
	n := min(r.skip, uint64(r.last-r.first))
	r.skip -= n
	r.first += int(n)
	return n > 0
}

// long returns the length of the next frame if it is above the limit, and
// otherwise 0.
func (r *Reader) long() int {
	if r.skip > 0 || r.last-r.first < 4 {
		return 0
	}
	if n := uint64(le.Uint32(r.buf[r.first:])); n > uint64(r.limit) && n <= uint64(r.max) {
		return int(n)
	}
	return 0
}

// fill reads once from the underlying reader.
func (r *Reader) fill() error {
	need := 4
	if have := r.last - r.first; r.skip == 0 && have >= 4 {
		n := uint64(le.Uint32(r.buf[r.first:]))
		if n > uint64(r.max) {
			return bad("length %d is above the maximum %d", n, r.max)
		}
		need = 4 + int(n)
		if n > uint64(r.limit) {
			need = 4 + 1 + cutSize
		}
	}
	if r.first == r.last {
		r.first, r.last = 0, 0
		if len(r.buf) > 16*readSize {
			r.buf = make([]byte, readSize) // the buffer is too large after a large frame, so replace it
		}
	}
	if r.last == len(r.buf) || r.first > 0 && r.first+need > len(r.buf) {
		have := r.last - r.first
		size := max(readSize, min(need, 4*have+readSize)) // at most four times the bytes that have arrived, plus readSize
		if size > len(r.buf) {
			bigger := make([]byte, size)
			copy(bigger, r.buf[r.first:r.last])
			r.buf = bigger
		} else {
			copy(r.buf, r.buf[r.first:r.last])
		}
		r.first, r.last = 0, have
	}
	n, err := r.r.Read(r.buf[r.last:])
	r.last += n
	r.count += int64(n)
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}
