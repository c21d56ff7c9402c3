package processes_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/internal/logtest"
	"concert/internal/smaps"
	"concert/processes"
	"concert/processes/internal/shm"
)

// attackSize is the size of the results of attacks.
const attackSize = 1 << 20

// attacks are results that a hostile worker sends. Each function sends
// files, and returns the value for the frame of the result.
var attacks = map[string]struct {
	send func(send func(fds ...int), value *frame.Payload)
	want string // part of the error
}{
	"no file": {func(func(...int), *frame.Payload) {}, "no file"},
	"unsealed": {func(send func(...int), _ *frame.Payload) {
		send(memory(attackSize, 0))
	}, "not a sealed file in memory"},
	"can grow": {func(send func(...int), _ *frame.Payload) {
		send(memory(attackSize, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL))
	}, "not a sealed file in memory"},
	"can shrink": {func(send func(...int), _ *frame.Payload) {
		send(memory(attackSize, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SEAL))
	}, "not a sealed file in memory"},
	"can be written": {func(send func(...int), _ *frame.Payload) {
		send(memory(attackSize, unix.F_SEAL_FUTURE_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL))
	}, "not a sealed file in memory"},
	"too small": {func(send func(...int), _ *frame.Payload) {
		send(memory(attackSize-1, fullySealed))
	}, "1048575 bytes, not 1048576"},
	"too large": {func(send func(...int), _ *frame.Payload) {
		send(memory(attackSize+1, fullySealed))
	}, "1048577 bytes, not 1048576"},
	"without memory": {func(send func(...int), _ *frame.Payload) {
		fd, _ := unix.MemfdCreate("concert-result", unix.MFD_ALLOW_SEALING)
		unix.Ftruncate(fd, attackSize)
		unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, fullySealed)
		send(fd)
	}, "only the first 0 of them are in memory"},
	"memory after the end": {func(send func(...int), _ *frame.Payload) {
		fd, _ := unix.MemfdCreate("concert-result", unix.MFD_ALLOW_SEALING)
		unix.Ftruncate(fd, attackSize)
		if err := unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, attackSize, attackSize); err != nil {
			panic(err)
		}
		unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, fullySealed)
		send(fd)
	}, "only the first 0 of them are in memory"},
	"a file on disk": {func(send func(...int), _ *frame.Payload) {
		fd, _ := unix.Open("/proc/self/exe", unix.O_RDONLY, 0)
		send(fd)
	}, "not a sealed file in memory"},
	"a pipe": {func(send func(...int), _ *frame.Payload) {
		var fds [2]int
		unix.Pipe(fds[:])
		send(fds[0])
	}, "not a sealed file in memory"},
	"a path": {func(send func(...int), _ *frame.Payload) {
		fd, _ := unix.Open("/proc/self/fd/"+strconv.Itoa(memory(attackSize, fullySealed)), unix.O_PATH, 0)
		send(fd)
	}, "not a sealed file in memory"},
	"two files": {func(send func(...int), _ *frame.Payload) {
		send(memory(attackSize, fullySealed), memory(attackSize, fullySealed))
	}, "a message has 2 files"},
	"many files": {func(send func(...int), _ *frame.Payload) {
		send(memory(attackSize, fullySealed), memory(attackSize, fullySealed), memory(attackSize, fullySealed), memory(attackSize, fullySealed))
	}, "no free file descriptor"},
	"another kind": {func(send func(...int), v *frame.Payload) {
		send(memory(attackSize, fullySealed))
		v.Kind &^= 1 << 7
	}, "a file with a result of the kind 11"},
	"another type": {func(send func(...int), v *frame.Payload) {
		send(memory(attackSize, fullySealed))
		v.Kind = 1<<7 | 3
	}, "cannot be decoded from the kind 3"},
	"half a number": {func(send func(...int), v *frame.Payload) {
		send(memory(attackSize-1, fullySealed))
		v.Span.Length--
	}, "with 1048575 bytes"},
	"huge": {func(send func(...int), v *frame.Payload) {
		send(memory(attackSize, fullySealed))
		v.Span.Length = 1 << 31
	}, "has 2147483648 bytes, more than"},
	"an offset": {func(send func(...int), v *frame.Payload) {
		send(memory(attackSize, fullySealed))
		v.Span.Offset = 4096
	}, "a file of 1048576 bytes at 4096"},
	"empty": {func(send func(...int), v *frame.Payload) {
		send(memory(0, fullySealed))
		v.Span.Length = 0
	}, "a file of 0 bytes"},
	"many unused files": {func(send func(...int), _ *frame.Payload) {
		for range 20 {
			send(memory(attackSize, fullySealed))
		}
	}, ""},
}

const fullySealed = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// memory returns a file in memory that has the given size and seals.
func memory(size, seals int) int {
	fd, err := unix.MemfdCreate("concert-result", unix.MFD_ALLOW_SEALING)
	if err == nil {
		_, err = unix.Write(fd, make([]byte, size))
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		panic(err)
	}
	return fd
}

// attackers are the functions whose results are attacks. The keys are the
// names of the attacks.
var attackers = make(map[string]func(context.Context, int) (*concert.Mapped[float64], error))

func init() {
	for name := range attacks {
		attackers[name] = concert.Register("processes_test.attack."+name, func(context.Context, int) (*concert.Mapped[float64], error) {
			return nil, errors.New(name) // uses name, so each iteration makes a different function value
		})
	}
	attack = func(how, setup string, b []byte, id frame.ID) []byte {
		_, number, _ := strings.Cut(setup, "shared=")
		number, _, _ = strings.Cut(number, " ")
		socket, err := strconv.Atoi(number)
		if err != nil {
			os.Exit(4)
		}
		unix.SetNonblock(socket, false)
		value := frame.Payload{Encoded: executor.Encoded{Kind: 1<<7 | 11}, File: true, Span: frame.Span{Length: attackSize}}
		attacks[how].send(func(fds ...int) {
			if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fds...), nil, 0); err != nil {
				os.Exit(5)
			}
			for _, fd := range fds {
				unix.Close(fd)
			}
		}, &value)
		return frame.AppendResult(b, frame.Outcome{ID: id, Value: value})
	}
}

// unusedCodec is an executor.SharedCodec for workers that receive no shared
// values.
type unusedCodec struct{ executor.SharedCodec }

// TestMapped_HostileWorker: if a worker sends invalid files for mapped results,
// only its calls may fail, and no file or memory may be left.
func TestMapped_HostileWorker(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range attacks {
		t.Run(name, func(t *testing.T) {
			leftovers(t)
			var log logtest.Buffer
			p := newPool(t, 1, &processes.Options{
				Command: []string{self}, Env: append(os.Environ(), fakeEnv+"=1"), SharedCodec: unusedCodec{}, Output: slog.New(slog.NewJSONHandler(&log, nil)),
			})
			h, err := submit(t, p, attackers[name], 1).Result(t.Context())
			switch {
			case row.want == "" && err == nil:
				if n := len(h.Value()); n != attackSize/8 {
					t.Errorf("the result has %d numbers", n)
				}
				h.Close()
			case err == nil || !strings.Contains(err.Error(), row.want):
				t.Errorf("Result() = %v, %v; want an error with %q", h, err, row.want)
			}
			works(t, p)
			if u := mappedPages(); u != (smaps.Usage{}) {
				t.Errorf("the pool has mapped %+v of results", u)
			}
		})
	}
}

// TestMapped_NoDescriptor: if the process of the pool has no descriptor for
// a mapped result, only the call of this result may fail.
func TestMapped_NoDescriptor(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	m := series{100_000, 1}
	mapped(t, p, m).Close()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	before, err := submit(t, p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: limit.Max})
	_, failure := submit(t, p, makeMapped, m).Result(t.Context())
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	if failure == nil || !strings.Contains(failure.Error(), shm.ErrNoDescriptor.Error()) {
		t.Errorf("Result() = %v, want an error of the descriptors", failure)
	}
	if after, err := submit(t, p, pidOf, 0).Result(t.Context()); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
	h := mapped(t, p, m)
	m.check(t, h.Value())
	h.Close()
}
