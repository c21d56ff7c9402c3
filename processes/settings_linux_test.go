package processes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"concert"
	"concert/processes"
)

// atStart is the text of the settings that this worker had at its start.
var atStart = func() string {
	dir, err := os.Getwd()
	mask := unix.Umask(0)
	unix.Umask(mask)
	var cpus unix.CPUSet
	unix.SchedGetaffinity(0, &cpus)
	nice, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return fmt.Sprintln(dir, err, mask, cpus.Count(), nice, runtime.GOMAXPROCS(0), os.Getenv("CONCERT_TEST_GIVEN"), os.Getenv("CONCERT_TEST_LATER"), len(os.Args), os.Args[0])
}()

var initialized []byte

// surroundings returns the argument of the worker's initializer, the settings
// with which the worker started, and its resource limits.
var (
	surroundings = concert.Register("processes_test.surroundings", func(context.Context, int) (string, error) {
		var stack, files unix.Rlimit // the pool can set these limits only for a running process
		unix.Getrlimit(unix.RLIMIT_STACK, &stack)
		unix.Getrlimit(unix.RLIMIT_FSIZE, &files)
		score, err := os.ReadFile("/proc/self/oom_score_adj") // if there is an error, its text is a part of the result
		return fmt.Sprint(string(initialized), " ", atStart, " ", stack.Cur, " ", files.Cur, " ", string(score), err), nil
	})
	initializeWith = concert.Register("processes_test.initializeWith", func(_ context.Context, b []byte) (int, error) {
		initialized = b
		return 0, nil
	})
)

// programChanges makes pools, changes all settings that workers could inherit
// from this process, and checks the settings of workers that start later.
func programChanges(args []string) error {
	dir, err := os.MkdirTemp("", "concert-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o777); err != nil {
		return err
	}
	if err := os.Chdir(inner); err != nil {
		return err
	}
	os.Setenv("CONCERT_TEST_GIVEN", "given")
	syscall.Umask(0o027)
	quiet := slog.New(slog.DiscardHandler)
	env := append(os.Environ(), "CONCERT_TEST_GIVEN=listed")
	arg := []byte("model")
	type one struct {
		pool  *processes.Pool
		first string
	}
	var pools []one
	for _, o := range []*processes.Options{
		{Output: quiet},
		{Output: quiet, Env: env, Dir: "..", Init: processes.Initialize(initializeWith, arg)},
		{Output: quiet, Env: env, Dir: dir, Command: []string{os.Args[0]}},
	} {
		p, err := processes.New(1, o)
		if err != nil {
			return err
		}
		defer p.Close()
		first, err := concert.Submit(context.Background(), p, surroundings, 0).Result(context.Background())
		if err != nil {
			return err
		}
		pools = append(pools, one{p, first})
	}
	for i, want := range []string{" " + inner + " <nil> 23 ", "model " + dir + " <nil> 23 ", " " + dir + " <nil> 23 "} {
		if !strings.HasPrefix(pools[i].first, want) {
			return fmt.Errorf("pool %d has %q, want %q first", i, pools[i].first, want)
		}
	}

	// Wait until the standby workers have started too. A worker gets the
	// processors and the priority of the thread that starts workers, and
	// changeSchedule changes this thread too.
	if _, err := awaitChildren(2 * len(pools)); err != nil {
		return err
	}
	os.Setenv("CONCERT_TEST_GIVEN", "changed")
	os.Setenv("CONCERT_TEST_LATER", "later")
	for i := range env {
		env[i] = "CONCERT_TEST_GIVEN=overwritten"
	}
	copy(arg, "trash")
	syscall.Umask(0o077)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 3)
	for _, what := range []int{unix.RLIMIT_FSIZE, unix.RLIMIT_STACK} {
		var limit unix.Rlimit
		unix.Getrlimit(what, &limit)
		limit.Cur = min(limit.Max, 7<<20)
		if err := unix.Setrlimit(what, &limit); err != nil {
			return err
		}
	}
	if err := changeSchedule(); err != nil {
		return err
	}
	os.Args[0] = "another name"
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := os.Rename(inner, inner+".old"); err != nil {
		return err
	}

	for i, one := range pools {
		want := strings.Replace(one.first, inner, inner+".old", 1)
		for range 3 { // the standby worker, and two that start now
			got, err := concert.Submit(context.Background(), one.pool, surroundings, 0).Result(context.Background())
			if err != nil || got != want && got != one.first {
				return fmt.Errorf("pool %d: a worker that starts later has %q, %w; want %q", i, got, err, want)
			}
			if _, err := concert.Submit(context.Background(), one.pool, misbehave, "exit 1").Result(context.Background()); err == nil {
				return errors.New("no error")
			}
		}
	}
	return nil
}

// changeSchedule changes the processors and the priority of all threads, and
// the OOM score of the process. It makes only changes that the process can
// undo.
func changeSchedule() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &one); err != nil && err != unix.ESRCH {
			return err
		}
		if canRaisePriority() {
			if err := unix.Setpriority(unix.PRIO_PROCESS, id, 5); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
}

// canRaisePriority reports whether the process has CAP_SYS_NICE.
func canRaisePriority() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_NICE) != 0
}

// TestPool_WorkersStartAlike: all workers of a pool must start with the same
// settings, even if this process changes its own settings after New.
func TestPool_WorkersStartAlike(t *testing.T) {
	if out, err := program(t, "changes").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestNew_NoDir: if Options.Dir does not exist, the error of New must name the
// directory.
func TestNew_NoDir(t *testing.T) {
	leftovers(t)
	if _, err := processes.New(1, &processes.Options{Dir: "/no/such/directory"}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "Options.Dir") || !strings.Contains(err.Error(), "/no/such/directory") {
		t.Errorf("New() = %v, want an error that names the option and the directory", err)
	}
}
