package processes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// image is this program: not its path, where a newer one may be by now.
const image = "/proc/self/exe"

// setAttributes makes a process its own group, so that it can be killed with
// all that it started and Ctrl-C does not reach it, and has it killed when this
// process dies.
func setAttributes(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills a worker and what it started. That the worker is dead
// already is no error.
func killGroup(p *os.Process) error {
	p.Kill() // it may have left its group
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) {
		return nil // EPERM: only zombies are left
	}
	return err
}

// The signal at this process's death is tied to the thread that started the
// worker: were that thread to end, the worker would be killed. So workers are
// started from one thread that never ends. It has a mask for the modes of new
// files of its own.
var starter struct {
	once sync.Once
	work chan func()
	own  bool // it has; written before work is read
}

func beginStarter() {
	starter.once.Do(func() {
		starter.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			starter.own = unix.Unshare(unix.CLONE_FS) == nil
			for f := range starter.work {
				f()
			}
		}()
	})
}

// widen gives a pipe more room, so that large values need fewer turns. It does
// not matter if it cannot: users have a limit.
func widen(pipe *os.File) {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
}

// isExiting reports whether a process has begun to exit, or is a zombie. It may
// need some time for that on a busy machine.
func isExiting(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	const (
		state, flags = 0, 6 // fields after the name
		pfExiting    = 0x4
	)
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= flags {
		return false
	}
	n, err := strconv.ParseUint(string(fields[flags]), 10, 64)
	return bytes.ContainsAny(fields[state], "ZX") || err == nil && n&pfExiting != 0
}

// resident returns the memory of a process that is in use, and its own, in
// bytes.
func resident(pid int) (bytes int64, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	var size, all, shared int64
	_, err = fmt.Sscan(string(text), &size, &all, &shared)
	return (all - shared) * int64(os.Getpagesize()), err == nil
}

// canBound says that boundMemory and resident can.
const canBound = true

// boundMemory bounds the memory that a process may map for writing. (A bound
// of its address space would not do: Go reserves far more than it uses.)
func boundMemory(p *os.Process, bytes int64) error {
	limit := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	if err := unix.Prlimit(p.Pid, unix.RLIMIT_DATA, &limit, nil); err != nil {
		return fmt.Errorf("its memory cannot be bounded: %w", err)
	}
	return nil
}

// awaitExit waits until a process has ended, and leaves it its number.
func awaitExit(cmd *exec.Cmd) {
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// start starts a process with the mask for the modes of new files, the
// processors and the priority of its surroundings.
func start(cmd *exec.Cmd, around *surroundings) (err error) {
	onStarter(func() {
		if around.mask >= 0 && starter.own {
			unix.Umask(around.mask)
		}
		around.times.setThread()
		err = cmd.Start()
	})
	return err
}

// onStarter calls f on the thread that starts workers.
func onStarter(f func()) {
	beginStarter()
	done := make(chan struct{})
	starter.work <- func() {
		defer close(done)
		f()
	}
	<-done
}
