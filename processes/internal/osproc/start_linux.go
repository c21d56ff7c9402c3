package osproc

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Executable returns a path from which this program can be started again.
// Even if another file has replaced the program's file, the path refers to
// this version of the program.
func Executable() (string, error) { return "/proc/self/exe", nil }

// When this process dies, the kernel kills the workers by the signal
// Pdeathsig. The kernel sends this signal to a worker when the thread that
// started the worker ends. So all workers are started by one thread, which
// never ends. If possible, this thread has its own file mode mask.
var starter struct {
	once    sync.Once
	work    chan func()
	ownMask bool // whether the thread has its own mask; written before the thread reads from the channel work
}

// BeginStarter starts the thread that later starts processes. If this thread
// already runs, BeginStarter does nothing.
func BeginStarter() {
	starter.once.Do(func() {
		starter.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			starter.ownMask = unix.Unshare(unix.CLONE_FS) == nil
			for f := range starter.work {
				f()
			}
		}()
	})
}

// onStarter calls f on the thread that starts processes.
func onStarter(f func()) {
	BeginStarter()
	done := make(chan struct{})
	starter.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// Start starts a process with the settings. The process gets its own process
// group. So KillGroup can kill the process together with all processes that
// it has started, and Ctrl-C does not send a signal to the process. The
// kernel kills the process when this process dies.
func (s *Settings) Start(cmd *exec.Cmd) (err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	onStarter(func() {
		if s.mask >= 0 && starter.ownMask {
			unix.Umask(s.mask)
		}
		s.schedule.applyToThread()
		err = cmd.Start()
	})
	if err != nil {
		return err
	}
	s.limits.apply(cmd.Process)
	s.schedule.applyOOMScore(cmd.Process)
	return nil
}

// AwaitExit waits until a process has ended. It does not reap the process, so
// the pid stays valid until cmd.Wait.
func AwaitExit(cmd *exec.Cmd) {
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// GrowPipe enlarges the buffer of a pipe, so that large values need fewer
// system calls. If the limit of the user does not allow this, it does nothing.
func GrowPipe(pipe *os.File) {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
}
