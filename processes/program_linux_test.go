package processes_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// These tests check faults of the program that has the pool. Each test
// starts the test binary as another program. That program runs one of the
// functions in the variable programs.

const programEnv = "CONCERT_TEST_PROGRAM"

var programs = map[string]func(args []string) error{
	"workers":   programWorkers,
	"image":     programImage,
	"files":     programFiles,
	"file size": programFileSize,
	"chld":      programWorks,
	"ignores":   programIgnores,
	"reaps":     programReaps,
	"starve":    programStarves,
	"inherited": programInherits,
	"crashes":   programCrashes,
	"changes":   programChanges,
}

// If the environment names a program, beProgram runs this program. TestMain
// calls beProgram.
func beProgram() {
	name := os.Getenv(programEnv)
	if name == "" {
		return
	}
	if name == "unguarded" { // this program does not call Main
		_, err := processes.New(2, nil)
		fmt.Println(errors.Is(err, processes.ErrNoMain), err)
		os.Exit(0)
	}
	processes.Main()
	if err := programs[name](os.Args[1:]); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// program returns the command that runs one of the programs.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), programEnv+"="+name)
	return cmd
}

// programWorkers makes a pool, and prints the process ids of its workers.
// Its argument says whether the workers are idle, busy, stopped or starting.
// It ends when its standard input ends.
func programWorkers(args []string) error {
	if args[0] == "starting" {
		go processes.New(8, &processes.Options{Init: processes.Initialize(prepare, "hang")})
	} else {
		p, err := processes.New(2, nil)
		if err != nil {
			return err
		}
		for _, what := range map[string][]string{"busy": {"spin", "sleep 1h"}, "stopped": {"stop"}}[args[0]] {
			f := concert.Submit(context.Background(), p, misbehave, what)
			for f.State() != concert.Running {
				time.Sleep(time.Millisecond)
			}
		}
		if args[0] == "interrupted" {
			defer func() { // runs when standard input has ended: the test closes it after it has sent the signal
				var n int
				for i := range 10 {
					n, err = concert.Submit(context.Background(), p, nop, i).Result(context.Background())
				}
				fmt.Println("after the signal:", n, err)
			}()
		}
	}
	children, err := awaitChildren(2)
	if err != nil {
		return err
	}
	fmt.Println(strings.Trim(fmt.Sprint(children), "[]"))
	bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

// awaitChildren waits until this process has at least n children, and returns
// all of them.
func awaitChildren(n int) ([]int, error) {
	for {
		if pids, err := childrenOf(os.Getpid()); err != nil || len(pids) >= n {
			return pids, err
		}
		time.Sleep(time.Millisecond)
	}
}

// TestProgram_Killed: if the program of a pool is killed, the workers must end.
func TestProgram_Killed(t *testing.T) {
	for _, what := range []string{"idle", "busy", "stopped", "starting"} {
		t.Run(what, func(t *testing.T) {
			cmd := program(t, "workers", what)
			stdin, _ := cmd.StdinPipe()
			defer stdin.Close()
			stdout, _ := cmd.StdoutPipe()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			cmd.Process.Kill()
			cmd.Wait()
			pids := strings.Fields(line)
			if len(pids) < 2 {
				t.Errorf("%s: workers %q", what, line)
			}
			for _, pid := range pids {
				eventually(t, what+": worker "+pid+" ends", func() bool { return !alive(number(t, pid)) })
			}
		})
	}
}

// TestProgram_Interrupted: if Ctrl-C in a terminal sends SIGINT to the process
// group of the program, the workers must not receive the signal.
func TestProgram_Interrupted(t *testing.T) {
	cmd := program(t, "workers", "interrupted")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(cmd.Env, "CONCERT_TEST_IGNORE_INT=1")
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	stdin.Close()
	line, _ := out.ReadString('\n')
	if err := cmd.Wait(); err != nil || line != "after the signal: 9 <nil>\n" {
		t.Errorf("%v, %q", err, line)
	}
}

// TestProgram_WithoutMain: if the program does not call Main, New must
// return an error that says this.
func TestProgram_WithoutMain(t *testing.T) {
	out, err := program(t, "unguarded").Output()
	if err != nil || !strings.HasPrefix(string(out), "true ") || !strings.Contains(string(out), "processes.Main()") || !strings.Contains(string(out), "TestMain") {
		t.Errorf("%v, %s", err, out)
	}
}

// programImage replaces the file of its own program. Then it makes a pool
// whose workers die.
func programImage([]string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Remove(self); err != nil {
		return err
	}
	if err := os.WriteFile(self, []byte("#!/bin/false\n"), 0o777); err != nil {
		return err
	}
	return programWorks(nil)
}

// programWorks makes a pool, lets its workers die several times, and checks
// that the pool still works.
func programWorks([]string) error {
	p, err := processes.New(1, &processes.Options{Output: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for range 5 {
		if n, err := concert.Submit(context.Background(), p, nop, 7).Result(context.Background()); n != 7 || err != nil {
			return fmt.Errorf("%d, %w", n, err)
		}
		_, err := concert.Submit(context.Background(), p, misbehave, "exit 5").Result(context.Background())
		if _, ok := errors.AsType[*processes.WorkerError](err); !ok {
			return fmt.Errorf("the error of a task whose worker exits: %w", err)
		}
	}
	return p.Close()
}

// programIgnores makes a pool, and then ignores SIGCHLD.
func programIgnores([]string) error {
	return programUnknown(func() { signal.Ignore(syscall.SIGCHLD) })
}

// programReaps waits for all child processes, as a program must do if it is
// process 1.
func programReaps([]string) error {
	return programUnknown(func() {
		go func() {
			for {
				if _, err := syscall.Wait4(-1, nil, 0, nil); err == syscall.ECHILD {
					time.Sleep(time.Millisecond) // no child has been started yet
				}
			}
		}()
	})
}

// programUnknown makes a pool, calls change, and then lets workers die.
// After the call of change, the pool may be unable to learn the exit codes
// of workers.
func programUnknown(change func()) error {
	p, err := processes.New(1, &processes.Options{Grace: 100 * time.Millisecond, Output: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	change()
	ctx := context.Background()
	for _, what := range []string{"exit 5", "kill", "goroutine", "exit 0"} {
		_, err := concert.Submit(ctx, p, misbehave, what).Result(ctx)
		e, ok := errors.AsType[*processes.WorkerError](err)
		if !ok {
			return fmt.Errorf("the error of the task %q: %w", what, err)
		}
		if known := strings.Contains(err.Error(), "exited with") || e.Signal != 0; !known && (e.ExitCode != -1 || !strings.Contains(err.Error(), "exit code is unknown")) {
			return fmt.Errorf("the error of the task %q: code %d, %w", what, e.ExitCode, err)
		}
		if n, err := concert.Submit(ctx, p, nop, 7).Result(ctx); n != 7 || err != nil {
			return fmt.Errorf("after %q: %d, %w", what, n, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := concert.Submit(short, p, misbehave, "spin").Result(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the error of a task whose deadline has passed: %w", err)
	}
	return p.Close()
}

// TestProgram_TakesExitCodes: if another part of the program takes the exit
// codes of the workers, the pool must still work.
func TestProgram_TakesExitCodes(t *testing.T) {
	for _, name := range []string{"ignores", "reaps"} {
		t.Run(name, func(t *testing.T) {
			if out, err := program(t, name).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestProgram_FileReplaced: if the program's file has been replaced, new
// workers must still run the old program.
func TestProgram_FileReplaced(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "program")
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, b, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied)
	cmd.Env = append(os.Environ(), programEnv+"=image")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestProgram_StartedIgnoringSIGCHLD: if the program was started with SIGCHLD
// ignored, a pool must work.
func TestProgram_StartedIgnoringSIGCHLD(t *testing.T) {
	cmd := program(t, "chld")
	cmd.Args = append([]string{"sh", "-c", `trap "" CHLD; exec "$@"`, "sh"}, cmd.Args...)
	cmd.Path, cmd.Err = "/bin/sh", nil
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestProgram_IsProcess1: if the program is process 1, as in a container, a
// pool must work.
func TestProgram_IsProcess1(t *testing.T) {
	cmd := program(t, "chld")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("this system does not allow the program to be process 1: %v", err)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// programStarves moves itself to a control group with little memory, and
// makes a pool whose worker needs more memory.
func programStarves(args []string) error {
	group := args[0]
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	p, err := processes.New(2, &processes.Options{Output: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	// The kernel kills the process that has the most memory.
	_, err = concert.Submit(context.Background(), p, hoard, 1024).Result(context.Background())
	if e, ok := errors.AsType[*processes.WorkerError](err); !ok || !errors.Is(err, processes.ErrMemory) || e.Signal != syscall.SIGKILL {
		return fmt.Errorf("the error of a task that needs more memory: %w", err)
	}
	// This SIGKILL is not sent because memory is short, and the pool must
	// notice the difference.
	pid, err := concert.Submit(context.Background(), p, pidOf, 0).Result(context.Background())
	if err != nil {
		return err
	}
	_, err = concert.Submit(context.Background(), p, misbehave, "kill").Result(context.Background())
	if _, ok := errors.AsType[*processes.WorkerError](err); !ok || errors.Is(err, processes.ErrMemory) {
		return fmt.Errorf("the error of a task that kills its worker, whose pid may be %d: %w", pid, err)
	}
	return p.Close()
}

// TestMemory_ControlGroup: if a task exceeds the memory limit of a control
// group, the task must fail with ErrMemory.
func TestMemory_ControlGroup(t *testing.T) {
	group := controlGroup(t, 512<<20)
	if out, err := program(t, "starve", group).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// controlGroup makes a control group with a memory limit. It skips the test if
// the user may not make one.
func controlGroup(t *testing.T, memory int) string {
	t.Helper()
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip("this system has no control groups")
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		root, limit := "/sys/fs/cgroup", "memory.max"
		if parts[1] == "memory" {
			root, limit = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		group := filepath.Join(root, parts[2], fmt.Sprint("concert-test-", os.Getpid()))
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			eventually(t, "the control group is empty", func() bool { return os.Remove(group) == nil })
		})
		if os.WriteFile(filepath.Join(group, limit), []byte(fmt.Sprint(memory)), 0) == nil {
			return group
		}
	}
	t.Skip("this system does not allow the test to make a control group with a limit")
	return ""
}

// programFiles makes a pool, and then limits the number of open files of this
// process. New must fail, and the pool must continue.
func programFiles([]string) error {
	p, err := processes.New(1, nil)
	if err != nil {
		return err
	}
	if _, err := awaitChildren(2); err != nil { // including the standby worker
		return err
	}
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	limit.Cur = 5
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if _, err := processes.New(2, nil); err == nil || !strings.Contains(err.Error(), "too many open files") {
		return fmt.Errorf("New() = %v, want too many open files", err)
	}
	if n, err := concert.Submit(context.Background(), p, nop, 7).Result(context.Background()); n != 7 || err != nil {
		return fmt.Errorf("%d, %w", n, err)
	}
	return p.Close()
}

// TestProgram_OutOfDescriptors: if the program cannot open more files, New must
// return an error, and an existing pool must continue.
func TestProgram_OutOfDescriptors(t *testing.T) {
	if out, err := program(t, "files").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
