package shm

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Seal creates a file in memory that contains the bytes b. Nothing can
// change the file afterward. If the system has no such files, or if the
// limit for the size of files is too low, the error is an
// [errors.ErrUnsupported].
func Seal(name string, b []byte) (_ *os.File, err error) {
	var limit unix.Rlimit // a write above the limit would end this process by a signal
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err == nil && limit.Cur < uint64(len(b)) {
		return nil, fmt.Errorf("a shared value of %d bytes: files are limited to %d bytes (RLIMIT_FSIZE): %w", len(b), limit.Cur, errors.ErrUnsupported)
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err == unix.ENOSYS || err == unix.EPERM || err == unix.EINVAL {
		return nil, fmt.Errorf("create a file in memory: %w (%w)", err, errors.ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("create a file in memory for a shared value: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	// A write fails if the system has no memory. The copy to a mapping would
	// end this process instead.
	if _, err := file.Write(b); err != nil {
		return nil, fmt.Errorf("write a shared value of %d bytes: %w", len(b), err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals); err != nil {
		return nil, fmt.Errorf("seal a shared value: %w", err)
	}
	return file, nil
}

// allSeals are the seals which ensure that nothing can change a file.
const allSeals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// MapSealed maps a file that Seal has created, for reading. The size must be
// the size of the file. The mapping is private, because a confined worker
// may have no other mapping. Its pages are the pages of the file, not
// copies.
func MapSealed(file *os.File, size int) ([]byte, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("read the size of a shared value: %w", err)
	}
	if stat.Size != int64(size) {
		return nil, fmt.Errorf("the file of a shared value has %d bytes, not %d", stat.Size, size)
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map a shared value of %d bytes: %w", size, err)
	}
	return mem, nil
}

// NewFileSocket creates a pair of connected sockets. SendFile must get the
// first socket, and ReceiveFile the second one.
func NewFileSocket() (send, receive *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("create the socket of shared values: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "concert-shared"), os.NewFile(uintptr(fds[1]), "concert-shared"), nil
}

// crowdedPause is the time after which SendFile tries again, if it could not
// send a file because the user has too many files that were sent, but not
// received.
const crowdedPause = time.Millisecond

// SendFile sends a file through the socket. It waits while the socket is full.
func SendFile(socket, file *os.File) error {
	conn, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(file.Fd()))
	for {
		var sent error
		err = conn.Write(func(fd uintptr) bool {
			for {
				sent = unix.Sendmsg(int(fd), []byte{0}, rights, nil, unix.MSG_NOSIGNAL)
				if sent != unix.EINTR {
					return sent != unix.EAGAIN
				}
			}
		})
		if err != nil || sent != unix.ETOOMANYREFS {
			return errors.Join(err, sent)
		}
		time.Sleep(crowdedPause) // if the worker dies, the next conn.Write fails
	}
}

// ReceiveFile receives a file from the socket. It waits until there is a
// file.
func ReceiveFile(socket *os.File) (*os.File, error) { return receiveFile(socket, true) }

// TakeFile receives a file from the socket. It does not wait.
func TakeFile(socket *os.File) (*os.File, error) { return receiveFile(socket, false) }

func receiveFile(socket *os.File, wait bool) (*os.File, error) {
	conn, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var b [1]byte
	control := make([]byte, unix.CmsgSpace(4))
	n, flags := 0, 0
	var received error
	err = conn.Read(func(fd uintptr) bool {
		for {
			_, n, flags, _, received = unix.Recvmsg(int(fd), b[:], control, unix.MSG_CMSG_CLOEXEC)
			if received != unix.EINTR {
				return received != unix.EAGAIN || !wait
			}
		}
	})
	if err == nil && received == unix.EAGAIN {
		return nil, ErrNoFile
	}
	if err = errors.Join(err, received); err != nil {
		return nil, err
	}
	var fds []int // a hostile process may send several descriptors
	messages, err := unix.ParseSocketControlMessage(control[:n])
	for i := range messages {
		if some, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, some...)
		}
	}
	if flags&unix.MSG_CTRUNC == 0 && err == nil && len(fds) == 1 {
		return os.NewFile(uintptr(fds[0]), "concert-shared"), nil
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return nil, ErrNoDescriptor
	}
	return nil, fmt.Errorf("a message has %d files, but must have one: %w", len(fds), errors.Join(err, syscall.EBADMSG))
}
