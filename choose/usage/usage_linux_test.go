package usage_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"concert/choose/usage"
)

// compute computes in one thread until the thread has used d of CPU time.
func compute(d time.Duration) (sum int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
			panic(err)
		}
		return time.Duration(t.Nano())
	}
	for begin := used(); used()-begin < d; {
		for i := range 1000 {
			sum += i
		}
	}
	return sum
}

func TestCall_Usage(t *testing.T) {
	measure := func(f func()) usage.Usage {
		_, used, err := usage.Call(t.Context(), func(context.Context, int) (int, error) { f(); return 0, nil }, 0)
		if err != nil {
			t.Fatal(err)
		}
		return used
	}
	if u := measure(func() { time.Sleep(100 * time.Millisecond) }); u.Wall < 100*time.Millisecond || u.CPU > 50*time.Millisecond || u.Wait() < 50*time.Millisecond || u.Switches < 1 {
		t.Errorf("a sleep: %+v", u)
	}
	if u := measure(func() { compute(50 * time.Millisecond) }); u.CPU < 50*time.Millisecond || u.CPU > u.Wall+u.Wall/10 {
		t.Errorf("computing: %+v", u)
	}
	name := t.TempDir() + "/file"
	if u := measure(func() {
		if err := os.WriteFile(name, make([]byte, 1<<20), 0o666); err != nil {
			t.Error(err)
		}
	}); u.Knows(usage.Bytes) && (u.Written != 1<<20 || u.Read != 0) {
		t.Errorf("a megabyte written: %+v", u)
	}
	debug.FreeOSMemory() // otherwise the work may reuse pages of the process
	var kept []byte
	if u := measure(func() {
		kept = make([]byte, 64<<20)
		for i := 0; i < len(kept); i += os.Getpagesize() {
			kept[i] = 1
		}
	}); u.Knows(usage.PeakMemory) && u.Memory < 60<<20 {
		t.Errorf("64 megabytes: %+v", u)
	}
	runtime.KeepAlive(kept)
	// The CPU time of commands that the work runs must count, too.
	if u := measure(func() {
		if err := exec.Command("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done").Run(); err != nil {
			t.Error(err)
		}
	}); u.CPU < 5*time.Millisecond {
		t.Errorf("a command that computes: %+v", u)
	}
	// The CPU time of goroutines that the work starts must count, too.
	if u := measure(func() {
		done := make(chan int)
		for range 2 {
			go func() { done <- compute(50 * time.Millisecond) }()
		}
		<-done
		<-done
	}); u.CPU < 100*time.Millisecond {
		t.Errorf("goroutines that compute: %+v", u)
	}
}

func TestCommand_Usage(t *testing.T) {
	u, err := usage.Command(exec.Command("sh", "-c", "dd if=/dev/zero of=/dev/null bs=1M count=3 2>/dev/null; sleep 0.1"))
	if err != nil {
		t.Fatal(err)
	}
	if u.Wall < 100*time.Millisecond || u.CPU > u.Wall || u.Wait() < 50*time.Millisecond || u.Knows(usage.Bytes) && u.Read < 3<<20 {
		t.Errorf("%+v", u)
	}
	u, err = usage.Command(exec.Command("sh", "-c", "exit 3"))
	if err == nil || u.Wall <= 0 {
		t.Errorf("%v, %+v", err, u)
	}
	if _, err := usage.Command(exec.Command("/no/such/program")); err == nil {
		t.Error("Command() = nil error for a program that does not exist")
	}
}

// TestCommand_KilledChild: if a command is killed together with its child,
// the CPU time of the child must count, although the command has not waited
// for the child.
func TestCommand_KilledChild(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-c", "sh -c 'while :; do :; done'; true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	u, err := usage.Command(cmd)
	if err == nil {
		t.Fatal("the command was not killed")
	}
	if !u.Knows(usage.RunDelay) {
		t.Skip("the kernel does not count the CPU time of threads in schedstat")
	}
	if u.CPUShare() < 0.75 {
		t.Errorf("the share of CPU time is %.2f, want at least 0.75: %+v", u.CPUShare(), u)
	}
}

// share returns the share of CPU time of several runs of a command. The
// command runs on one processor, which other programs use, too.
func share(t *testing.T, others, runs int, name string, args ...string) float64 {
	t.Helper()
	runtime.LockOSThread() // UnlockOSThread is not called, so this changed thread ends with the goroutine of the test
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	for i := range 1024 {
		if allowed.IsSet(i) {
			one.Set(i)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	// The processes below inherit the affinity.
	for range others {
		other := exec.Command("sh", "-c", "while :; do :; done")
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		defer other.Wait()
		defer other.Process.Kill()
	}
	var sum usage.Usage
	for range runs {
		used, err := usage.Command(exec.Command(name, args...))
		if err != nil {
			t.Fatal(err)
		}
		if !used.Knows(usage.RunDelay) {
			t.Skip("the kernel does not count the run-queue delay")
		}
		sum.Wall, sum.CPU, sum.RunDelay = sum.Wall+used.Wall, sum.CPU+used.CPU, sum.RunDelay+used.RunDelay
	}
	t.Logf("%v, %v of CPU time, %v of run-queue delay", sum.Wall, sum.CPU, sum.RunDelay)
	return sum.CPUShare()
}

// TestCommand_DelayOfChild: if a child of the command computes, and another
// program uses the same processor, the time in which the child has no processor
// must not count as wait.
func TestCommand_DelayOfChild(t *testing.T) {
	if got := share(t, 1, 1, "sh", "-c", `sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; true`); got < 0.75 {
		t.Errorf("the share of CPU time is %.2f, want at least 0.75", got)
	}
}

// TestCommand_OwnDelay: the time in which the thread that starts the command
// has no processor must not count as wait of the command.
func TestCommand_OwnDelay(t *testing.T) {
	if got := share(t, 6, 20, "sh", "-c", `i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done`); got < 0.9 {
		t.Errorf("the share of CPU time is %.2f, want at least 0.9", got)
	}
}

// TestCommand_DelayOfTwoChildren: if two children of the command compute at
// the same time on one processor, the usage must still show that they need
// two processors.
func TestCommand_DelayOfTwoChildren(t *testing.T) {
	if runtime.NumCPU() == 1 {
		t.Skip("with one processor, the share of CPU time is at most 1")
	}
	const compute = `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done`
	if got := share(t, 0, 1, "sh", "-c", "("+compute+") & "+compute+"; wait"); got < 1.15 {
		t.Errorf("the share of CPU time of two children that compute is %.2f, want at least 1.15", got)
	}
}
