package gil

import (
	"net"
	"os"
)

// Conn returns a connection that has the methods of c. Its methods Read and
// Write release the lock while they block. Only the goroutine of h may call
// Read and Write, and only while h is valid.
func (h Held) Conn(c net.Conn) net.Conn { return conn{c, h} }

type conn struct {
	net.Conn
	held Held
}

// Read releases the lock while it reads.
func (c conn) Read(b []byte) (n int, err error) {
	c.held.Release(func() { n, err = c.Conn.Read(b) })
	return n, err
}

// Write releases the lock while it writes.
func (c conn) Write(b []byte) (n int, err error) {
	c.held.Release(func() { n, err = c.Conn.Write(b) })
	return n, err
}

// File returns a File for f. The methods of the File release the lock while
// they block. Only the goroutine of h may use the File, and only while h is
// valid.
func (h Held) File(f *os.File) File { return File{f, h} }

// File is a file whose methods release a lock while they block; see
// [Held.File]. Each method calls the method of [os.File] with the same name.
type File struct {
	file *os.File
	held Held
}

// Read releases the lock while the file is read.
func (f File) Read(b []byte) (n int, err error) {
	f.held.Release(func() { n, err = f.file.Read(b) })
	return n, err
}

// ReadAt releases the lock while the file is read.
func (f File) ReadAt(b []byte, at int64) (n int, err error) {
	f.held.Release(func() { n, err = f.file.ReadAt(b, at) })
	return n, err
}

// Write releases the lock while the file is written.
func (f File) Write(b []byte) (n int, err error) {
	f.held.Release(func() { n, err = f.file.Write(b) })
	return n, err
}

// WriteAt releases the lock while the file is written.
func (f File) WriteAt(b []byte, at int64) (n int, err error) {
	f.held.Release(func() { n, err = f.file.WriteAt(b, at) })
	return n, err
}

// Sync releases the lock while the file is synced.
func (f File) Sync() (err error) {
	f.held.Release(func() { err = f.file.Sync() })
	return err
}

// Seek sets the offset for the next Read or Write. It does not release the
// lock, because it does not block.
func (f File) Seek(offset int64, whence int) (int64, error) { return f.file.Seek(offset, whence) }

// Close releases the lock while the file is closed.
func (f File) Close() (err error) {
	f.held.Release(func() { err = f.file.Close() })
	return err
}
