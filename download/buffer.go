package download

import "sync"

// The sizes of the buffers for bodies. Most files of a long list are small, and
// need less memory.
const (
	smallBuffer = 32 << 10
	largeBuffer = 128 << 10
)

var (
	smallBuffers = newBuffers(smallBuffer)
	largeBuffers = newBuffers(largeBuffer)
)

func newBuffers(size int) *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, size); return &b }}
}

// getBuffer returns a buffer for a body of n bytes, or of an unknown length if
// n is negative. put releases the buffer.
func getBuffer(n int64) (buf *[]byte, put func()) {
	pool := largeBuffers
	if n >= 0 && n <= smallBuffer {
		pool = smallBuffers
	}
	buf = pool.Get().(*[]byte)
	return buf, func() { pool.Put(buf) }
}
