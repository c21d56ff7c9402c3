//go:build unix

package jobs

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"concert/cmd/concert/internal/jobs/supervisor"
)

// suspend lets Ctrl-Z stop the jobs together with this process, until SIGCONT
// continues both. The caller calls the returned function at the end.
func suspend(s *supervisor.Supervisor) (end func()) {
	if !isContinued() {
		return func() {}
	}
	signals, done := make(chan os.Signal, 8), make(chan struct{})
	signal.Notify(signals, syscall.SIGTSTP, syscall.SIGCONT)
	go func() {
		for {
			select {
			case got := <-signals:
				if got == syscall.SIGCONT {
					s.Resume()
					continue
				}
				s.Pause()
				// After Notify, SIGTSTP no longer stops this process, so it
				// stops itself.
				syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// isContinued reports whether Ctrl-Z should stop this process. This is so if
// its parent may be a shell that can continue it, and the signal is not
// ignored.
func isContinued() bool {
	if signal.Ignored(syscall.SIGTSTP) {
		return false
	}
	own, err := unix.Getsid(0)
	if err != nil || own == os.Getpid() {
		return false
	}
	parent, err := unix.Getsid(os.Getppid())
	return err == nil && parent == own
}
