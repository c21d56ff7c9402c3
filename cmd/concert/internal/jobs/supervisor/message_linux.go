package supervisor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A message consists of a byte for its kind, and its fields. A number is
// encoded as a varint, a text as its length and its bytes, and a list as its
// length and its texts.
const (
	kindStart    = 1 + iota // to the supervisor: start a job
	kindLarge               // to the supervisor: a start message is in the last file of the packet
	kindCancel              // to the supervisor: end a job
	kindHold                // to the supervisor: start no further job, and end one job
	kindPause               // to the supervisor: stop or continue all jobs
	kindStarted             // to the runner: a job starts
	kindReturned            // to the runner: a job has waited, and does not start
	kindEnded               // to the runner: a job has ended
	kindFailed              // to the runner: a command could not start
	kindUnknown             // to the runner: the job of a cancel message has ended, or is not known yet
)

const (
	// maxPacket is the size of the largest packet, and of the buffers for it.
	maxPacket = 16 << 10

	// maxStart is the size of the largest start message. The kernel accepts at
	// most 6 MiB of arguments and variables.
	maxStart = 8 << 20
)

var errMessage = errors.New("a message of the socket is invalid")

// startMessage asks for the start of a job.
type startMessage struct {
	number    uint64
	files     uint64 // bits 0, 1 and 2: stdin, stdout and stderr are in the packet
	path, dir string
	args, env []string
}

func (m *startMessage) append(b []byte) []byte {
	b = append(b, kindStart)
	b = binary.AppendUvarint(b, m.number)
	b = binary.AppendUvarint(b, m.files)
	b = appendText(b, m.path)
	b = appendText(b, m.dir)
	b = appendList(b, m.args)
	return appendList(b, m.env)
}

func (m *startMessage) decode(b []byte) error {
	d := decoder{rest: b}
	d.kind(kindStart)
	m.number, m.files = d.number(math.MaxInt64), d.number(7)
	m.path, m.dir = d.text(), d.text()
	m.args, m.env = d.list(), d.list()
	return d.end()
}

// largeMessage announces a start message that is too large for a packet. The
// start message is in the last file of the packet.
type largeMessage struct {
	number uint64
	size   uint64
}

func (m *largeMessage) append(b []byte) []byte {
	b = append(b, kindLarge)
	b = binary.AppendUvarint(b, m.number)
	return binary.AppendUvarint(b, m.size)
}

func (m *largeMessage) decode(b []byte) error {
	d := decoder{rest: b}
	d.kind(kindLarge)
	m.number, m.size = d.number(math.MaxInt64), d.number(maxStart)
	return d.end()
}

// jobMessage is a message whose only field is the number of a job. Several
// kinds have this form. In a message of kindHold, the number 0 stands for no
// job.
type jobMessage struct {
	kind   byte
	number uint64
}

func (m *jobMessage) append(b []byte) []byte {
	return binary.AppendUvarint(append(b, m.kind), m.number)
}

func (m *jobMessage) decode(b []byte) error {
	d := decoder{rest: b}
	m.kind = kindCancel
	if len(b) > 0 {
		switch b[0] {
		case kindHold, kindStarted, kindReturned, kindUnknown:
			m.kind = b[0]
		}
	}
	d.kind(m.kind)
	m.number = d.number(math.MaxInt64)
	return d.end()
}

// pauseMessage asks to stop or to continue all jobs. The message with the
// largest number counts: odd numbers stop the jobs, and even numbers continue
// them.
type pauseMessage struct{ number uint64 }

func (m *pauseMessage) append(b []byte) []byte {
	return binary.AppendUvarint(append(b, kindPause), m.number)
}

func (m *pauseMessage) decode(b []byte) error {
	d := decoder{rest: b}
	d.kind(kindPause)
	m.number = d.number(math.MaxInt64)
	return d.end()
}

// Flags of an endedMessage.
const (
	wasCanceled   = 1 << iota // a signal was sent because of a cancel message
	exceedsMemory             // the memory limit of its control group ended the job
)

// endedMessage says how a job ended.
type endedMessage struct {
	number     uint64
	flags      uint64 // a sum of the flags above
	status     uint64 // as in wait(2)
	start      uint64 // Unix time in nanoseconds
	duration   uint64 // in nanoseconds
	user       uint64 // in nanoseconds
	system     uint64 // in nanoseconds
	peakMemory uint64 // in bytes
	orphans    uint64
	survivors  uint64
	next       uint64 // number of the job that starts now in the same slot, or 0
}

func (m *endedMessage) fields() []*uint64 {
	return []*uint64{&m.flags, &m.number, &m.status, &m.start, &m.duration, &m.user, &m.system, &m.peakMemory, &m.orphans, &m.survivors, &m.next}
}

func (m *endedMessage) append(b []byte) []byte {
	b = append(b, kindEnded)
	for _, f := range m.fields() {
		b = binary.AppendUvarint(b, *f)
	}
	return b
}

func (m *endedMessage) decode(b []byte) error {
	d := decoder{rest: b}
	d.kind(kindEnded)
	for _, f := range m.fields() {
		*f = d.number(math.MaxInt64)
	}
	return d.end()
}

// failedMessage has the reason why a command could not start.
type failedMessage struct {
	number uint64
	errno  uint64
	next   uint64 // as in endedMessage
}

func (m *failedMessage) append(b []byte) []byte {
	b = append(b, kindFailed)
	b = binary.AppendUvarint(b, m.number)
	b = binary.AppendUvarint(b, m.errno)
	return binary.AppendUvarint(b, m.next)
}

func (m *failedMessage) decode(b []byte) error {
	d := decoder{rest: b}
	d.kind(kindFailed)
	m.number, m.errno, m.next = d.number(math.MaxInt64), d.number(math.MaxInt32), d.number(math.MaxInt64)
	return d.end()
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendList(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// decoder reads the fields of a message. After an invalid field, all fields
// are zero. No size in the message is trusted: each text must lie within the
// received bytes, and each text of a list needs at least one byte.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) kind(want byte) {
	if len(d.rest) == 0 || d.rest[0] != want {
		d.failed = true
		return
	}
	d.rest = d.rest[1:]
}

func (d *decoder) number(max uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.failed || n <= 0 || v > max {
		d.failed = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string {
	n := d.number(uint64(len(d.rest)))
	if d.failed || n > uint64(len(d.rest)) {
		d.failed = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) list() []string {
	n := d.number(uint64(len(d.rest)))
	if d.failed || n == 0 {
		return nil
	}
	list := make([]string, 0, min(n, 1024))
	for range n {
		list = append(list, d.text())
		if d.failed {
			return nil
		}
	}
	return list
}

func (d *decoder) end() error {
	if d.failed || len(d.rest) > 0 {
		return fmt.Errorf("%w (%d bytes are left)", errMessage, len(d.rest))
	}
	return nil
}
