package supervisor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxFiles is the maximum number of files in a packet: three files of a job,
// and the file with a large message.
const maxFiles = 4

// socketPair returns the ends of a socket that keeps the boundaries of
// messages.
func socketPair() (runner *net.UnixConn, supervisor *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	own := os.NewFile(uintptr(fds[0]), "socket")
	supervisor = os.NewFile(uintptr(fds[1]), "socket")
	c, err := net.FileConn(own) // a duplicate
	own.Close()
	if err != nil {
		supervisor.Close()
		return nil, nil, err
	}
	return c.(*net.UnixConn), supervisor, nil
}

// buffer has the memory that a call of sendStart needs.
type buffer struct {
	message, rights []byte
	fds             []int
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// sendStart sends a start message with the files of the job. A message that is
// too large for a packet is written to a file in memory, which is sent instead.
func sendStart(conn *net.UnixConn, m *startMessage, files [3]*os.File) error {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	b.fds = b.fds[:0]
	for i, f := range files {
		if f != nil {
			m.files |= 1 << i
			b.fds = append(b.fds, int(f.Fd())) // like os/exec, Fd makes a pipe block
		}
	}
	b.message = m.append(b.message[:0])
	if len(b.message) > maxPacket {
		if len(b.message) > maxStart {
			return unix.E2BIG
		}
		body, err := memoryFile(b.message)
		if err != nil {
			return err
		}
		defer body.Close()
		large := largeMessage{number: m.number, size: uint64(len(b.message))}
		b.message = large.append(nil)
		b.fds = append(b.fds, int(body.Fd()))
	}
	b.rights = b.rights[:0]
	if len(b.fds) > 0 {
		b.rights = unix.UnixRights(b.fds...)
	}
	for {
		_, _, err := conn.WriteMsgUnix(b.message, b.rights, nil)
		runtime.KeepAlive(files) // the descriptors are valid until here
		if !errors.Is(err, unix.ETOOMANYREFS) {
			return err
		}
		time.Sleep(time.Millisecond) // the kernel limits the files in sockets, so the supervisor has to receive files first
	}
}

// memoryFile returns a file in memory that contains b.
func memoryFile(b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("concert-job", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// A packet is a message that the supervisor receives, together with files.
type packet struct {
	message []byte
	files   []int
	lost    bool // files were lost, because this process has too many open files
	buf     [maxPacket]byte
	rights  [128]byte
}

// receive waits for a packet. It returns io.EOF at the end of the socket.
func (p *packet) receive(socket int) error {
	p.message, p.files, p.lost = nil, p.files[:0], false
	for {
		n, rights, flags, _, err := unix.Recvmsg(socket, p.buf[:], p.rights[:unix.CmsgSpace(4*maxFiles)], unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("recvmsg", err)
		}
		if err := p.parseRights(p.rights[:rights]); err != nil {
			return err
		}
		p.lost = flags&unix.MSG_CTRUNC != 0
		if n == 0 {
			return io.EOF
		}
		p.message = p.buf[:n] // a message that was larger is cut here, and cannot be decoded
		return nil
	}
}

func (p *packet) parseRights(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	controls, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return fmt.Errorf("%w: %v", errMessage, err)
	}
	for _, c := range controls {
		fds, err := unix.ParseUnixRights(&c)
		if err != nil {
			return fmt.Errorf("%w: %v", errMessage, err)
		}
		p.files = append(p.files, fds...)
	}
	return nil
}

// closeFiles closes the files of the packet.
func (p *packet) closeFiles() {
	for _, fd := range p.files {
		unix.Close(fd)
	}
	p.files = p.files[:0]
}

// takeFiles returns the files of the packet, which the caller closes.
func (p *packet) takeFiles() []int {
	files := p.files
	p.files = nil
	return files
}

// start decodes a start message, which may be in a file. Afterwards, the
// packet has only the files of the job.
func (p *packet) start(m *startMessage) error {
	if p.message[0] != kindLarge {
		return m.decode(p.message)
	}
	var large largeMessage
	if err := large.decode(p.message); err != nil {
		return err
	}
	m.number = large.number
	last := len(p.files) - 1
	if last < 0 {
		return fmt.Errorf("%w: it has no file", errMessage)
	}
	body := os.NewFile(uintptr(p.files[last]), "memfd")
	p.files = p.files[:last]
	defer body.Close()
	text := make([]byte, large.size)
	if _, err := body.ReadAt(text, 0); err != nil {
		return fmt.Errorf("%w: read a large one: %v", errMessage, err)
	}
	if err := m.decode(text); err != nil {
		return err
	}
	if m.number != large.number {
		return fmt.Errorf("%w: it has two numbers", errMessage)
	}
	return nil
}

// send sends a message of the supervisor. It ignores the error if the runner
// is dead, because the receivers notice this, too.
func send(socket int, message []byte) {
	for unix.Send(socket, message, unix.MSG_NOSIGNAL) == unix.EINTR {
	}
}
