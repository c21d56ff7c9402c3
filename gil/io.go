package gil

import (
	"net"
	"os"
)

// Conn returns c with a Read and a Write that let go of the lock while they wait. It is for
// the goroutine that has h, for as long as h is good; its other methods are those of c.
func (h Held) Conn(c net.Conn) net.Conn { return conn{c, h} }

type conn struct {
	net.Conn
	held Held
}

// Read lets go of the lock while it reads.
func (c conn) Read(b []byte) (n int, err error) {
	c.held.Release(func() { n, err = c.Conn.Read(b) })
	return n, err
}

// Write lets go of the lock while it writes.
func (c conn) Write(b []byte) (n int, err error) {
	c.held.Release(func() { n, err = c.Conn.Write(b) })
	return n, err
}

// File returns f with methods that let go of the lock while they go on. It is for the
// goroutine that has h, for as long as h is good.
func (h Held) File(f *os.File) File { return File{f, h} }

// File is a file that is used under a lock, see [Held.File]. The methods are those of
// [os.File].
type File struct {
	file *os.File
	held Held
}

// Read lets go of the lock while the file is read.
func (f File) Read(b []byte) (n int, err error) {
	f.held.Release(func() { n, err = f.file.Read(b) })
	return n, err
}

// ReadAt lets go of the lock while the file is read.
func (f File) ReadAt(b []byte, at int64) (n int, err error) {
	f.held.Release(func() { n, err = f.file.ReadAt(b, at) })
	return n, err
}

// Write lets go of the lock while the file is written.
func (f File) Write(b []byte) (n int, err error) {
	f.held.Release(func() { n, err = f.file.Write(b) })
	return n, err
}

// WriteAt lets go of the lock while the file is written.
func (f File) WriteAt(b []byte, at int64) (n int, err error) {
	f.held.Release(func() { n, err = f.file.WriteAt(b, at) })
	return n, err
}

// Sync lets go of the lock while the file is synced.
func (f File) Sync() (err error) {
	f.held.Release(func() { err = f.file.Sync() })
	return err
}

// Seek says where the next Read or Write is. It does not let go of the lock, as it does
// not wait.
func (f File) Seek(offset int64, whence int) (int64, error) { return f.file.Seek(offset, whence) }

// Close lets go of the lock while the file is closed.
func (f File) Close() (err error) {
	f.held.Release(func() { err = f.file.Close() })
	return err
}
