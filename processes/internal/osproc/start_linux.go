package osproc

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Executable returns a path by which this program can be started again. It is
// not the path of the file, where a newer version of the program may be now.
func Executable() (string, error) { return "/proc/self/exe", nil }

// The kernel sends the signal for the death of this process when the thread
// ends that started the worker. So all workers are started from one thread that
// never ends. It has a file mode mask of its own.
var starter struct {
	once    sync.Once
	work    chan func()
	ownMask bool // whether it has one; written before work is read
}

// BeginStarter starts the thread that starts processes, if it does not run.
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

// Start starts a process with the settings. The process gets a process group of
// its own, so that it can be killed with all processes that it has started, and
// so that Ctrl-C does not reach it. It is killed when this process dies.
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
// the process number stays valid until cmd.Wait.
func AwaitExit(cmd *exec.Cmd) {
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}
