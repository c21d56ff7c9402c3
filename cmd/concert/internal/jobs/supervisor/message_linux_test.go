package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// message is the interface of all messages.
type message interface {
	append(b []byte) []byte
	decode(b []byte) error
}

// messages has a message of each kind.
func messages() []message {
	return []message{
		&startMessage{number: 7, files: 5, path: "/bin/true", dir: "/tmp", args: []string{"true", "", "a"}, env: []string{"A=b"}},
		&startMessage{},
		&largeMessage{number: 1 << 40, size: maxStart},
		&jobMessage{kind: kindCancel, number: 3},
		&jobMessage{kind: kindHold},
		&jobMessage{kind: kindStarted, number: 3},
		&jobMessage{kind: kindReturned, number: 3},
		&jobMessage{kind: kindUnknown, number: 3},
		&pauseMessage{number: 3},
		&endedMessage{number: 4, flags: wasCanceled, status: 9, start: 1 << 60, duration: 5, user: 6, system: 7, peakMemory: 8, orphans: 9, survivors: 10, next: 11},
		&failedMessage{number: 5, errno: 2, next: 6},
	}
}

func TestMessages(t *testing.T) {
	for _, m := range messages() {
		b := m.append(nil)
		got := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
		if err := got.decode(b); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v arrives as %+v, error %v", m, got, err)
		}
		for n := range b {
			if err := got.decode(b[:n]); !errors.Is(err, errMessage) {
				t.Errorf("%T: error %v for %d of %d bytes", m, err, n, len(b))
			}
		}
		if err := got.decode(append(b, 0)); !errors.Is(err, errMessage) {
			t.Errorf("%T: error %v for a byte too many", m, err)
		}
	}
}

func TestLargeMessage_Size(t *testing.T) {
	m := largeMessage{size: maxStart + 1}
	if err := m.decode(m.append(nil)); !errors.Is(err, errMessage) {
		t.Errorf("error %v for a size above the maximum", err)
	}
}

// FuzzMessages: for any bytes, a decoder must not panic or need much memory. A
// decoded message must have the same bytes when it is encoded again.
func FuzzMessages(f *testing.F) {
	for _, m := range messages() {
		f.Add(m.append(nil))
	}
	f.Add([]byte{kindStart, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}) // a list of 4 billion texts
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range messages() {
			m = reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
			if m.decode(b) != nil {
				continue
			}
			again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
			if err := again.decode(m.append(nil)); err != nil || !reflect.DeepEqual(m, again) {
				t.Errorf("%+v becomes %+v, error %v", m, again, err)
			}
		}
	})
}

// TestHostileSupervisor: invalid messages of a supervisor must end it, and
// make the calls of Run fail.
func TestHostileSupervisor(t *testing.T) {
	for name, b := range map[string][]byte{
		"kind":           {99},
		"start":          (&startMessage{}).append(nil),
		"ended, cut":     {kindEnded, 0, 1},
		"ended, unknown": (&endedMessage{number: 999}).append(nil),
		"unknown":        (&failedMessage{number: 999}).append(nil),
		"started":        (&jobMessage{kindStarted, 999}).append(nil),
		"returned":       (&jobMessage{kindReturned, 999}).append(nil),
	} {
		t.Run(name, func(t *testing.T) {
			s := &Supervisor{pending: make(map[uint64]*call)}
			if err := s.handle(b); !errors.Is(err, errMessage) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestHostileRunner: after an invalid packet, the supervisor must kill its
// jobs and exit. It must close files that no job needs.
func TestHostileRunner(t *testing.T) {
	m := startMessage{number: 1000, path: "/bin/true", args: []string{"true"}}
	noFile := largeMessage{number: 1001, size: 100}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	valid := m.append(nil)
	for _, c := range []struct {
		name   string
		packet []byte
		files  []int
	}{
		{"kind", []byte{99}, nil},
		{"cut", valid[:len(valid)-1], nil},
		{"too large for a packet", bytes.Repeat([]byte{kindStart}, maxPacket+1), nil},
		{"no file", noFile.append(nil), nil},
		{"empty file", noFile.append(nil), []int{fd}},
		{"large size", []byte{kindLarge, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}, []int{fd}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mark := newMark()
			s := start(t, nil)
			out := temp(t)
			ended := make(chan error, 1)
			go func() {
				_, err := s.Run(t.Context(), mark.job("setsid sleep MARK & echo up; exec sleep MARK", out))
				ended <- err
			}()
			waitFor(t, func() bool { return content(t, out) != "" })
			var rights []byte
			if c.files != nil {
				rights = unix.UnixRights(c.files...)
			}
			if _, _, err := s.conn.WriteMsgUnix(c.packet, rights, nil); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, ErrDied) || !strings.Contains(err.Error(), fmt.Sprint("exit status ", exitMessage)) {
				t.Errorf("error %v", err)
			}
			mark.wantNone(t)
		})
	}
}

// TestRun_FilesLost: a packet with too many or too few files must only make
// its own job fail.
func TestRun_FilesLost(t *testing.T) {
	s := start(t, nil)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	for i, c := range []struct{ announced, sent int }{{7, 2}, {1, 20}} {
		m := startMessage{number: uint64(1000 + i), files: uint64(c.announced), path: "/bin/true", args: []string{"true"}}
		wait := &call{done: make(chan struct{})}
		if err := s.add(m.number, wait); err != nil {
			t.Fatal(err)
		}
		files := make([]int, c.sent)
		for i := range files {
			files[i] = fd
		}
		if _, _, err := s.conn.WriteMsgUnix(m.append(nil), unix.UnixRights(files...), nil); err != nil {
			t.Fatal(err)
		}
		<-wait.done
		if wait.errno != syscall.EMFILE || wait.err != nil {
			t.Errorf("%d files: error %v, %v", c.sent, wait.errno, wait.err)
		}
	}
	if r, err := s.Run(t.Context(), Job{Args: []string{"true"}}); err != nil || r.ExitCode != 0 {
		t.Errorf("result %+v, error %v", r, err)
	}
}
