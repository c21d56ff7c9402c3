//go:build unix

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// noGroupsVariable makes all tests run without control groups.
const noGroupsVariable = "NO_CONTROL_GROUPS"

// start starts a supervisor for a test.
func start(t testing.TB, opts *Options) *Supervisor {
	t.Helper()
	if opts == nil {
		opts = &Options{}
	}
	opts.noGroups = opts.noGroups || os.Getenv(noGroupsVariable) != ""
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// temp returns a new file.
func temp(t testing.TB) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// content returns the content of a file.
func content(t testing.TB, f *os.File) string {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shell returns the arguments that run a script.
func shell(script string) []string { return []string{"sh", "-c", script} }

func TestRun(t *testing.T) {
	t.Setenv("CONCERT_TEST_OUTER", "outer")
	t.Setenv("CONCERT_TEST_REPLACED", "outer")
	s := start(t, nil)
	dir := t.TempDir()
	in, out, errOut := temp(t), temp(t), temp(t)
	in.WriteString("input\n")
	in.Seek(0, 0)
	before := time.Now()
	r, err := s.Run(t.Context(), Job{
		Args:   shell(`cat; echo "$0"; env | grep ^CONCERT_TEST | sort; pwd -P; echo problem >&2; exit 7`),
		Dir:    dir,
		Env:    []string{"CONCERT_TEST_REPLACED=job"},
		Stdin:  in,
		Stdout: out,
		Stderr: errOut,
	})
	after := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	if r.ExitCode != 7 || r.Signal != 0 || r.Orphans != 0 || r.Survivors != 0 || r.CPULimit {
		t.Errorf("result %+v, want exit code 7", r)
	}
	if r.Start.Before(before.Add(-time.Second)) || r.End.Before(r.Start) || r.End.After(after.Add(time.Second)) {
		t.Errorf("from %v to %v, want times between %v and %v", r.Start, r.End, before, after)
	}
	dir, _ = filepath.EvalSymlinks(dir)
	if got, want := content(t, out), "input\nsh\nCONCERT_TEST_OUTER=outer\nCONCERT_TEST_REPLACED=job\n"+dir+"\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got := content(t, errOut); got != "problem\n" {
		t.Errorf("stderr %q", got)
	}
}

// TestRun_ReadsNoInput: a job without Stdin must read an empty file, not the
// input of the runner.
func TestRun_ReadsNoInput(t *testing.T) {
	s := start(t, nil)
	out := temp(t)
	if r, err := s.Run(t.Context(), Job{Args: []string{"cat"}, Stdout: out}); err != nil || r.ExitCode != 0 {
		t.Fatal(r, err)
	}
	if got := content(t, out); got != "" {
		t.Errorf("read %q", got)
	}
}

func TestRun_Signal(t *testing.T) {
	s := start(t, nil)
	r, err := s.Run(t.Context(), Job{Args: shell("kill -USR1 $$")})
	if err != nil || r.Signal != syscall.SIGUSR1 || r.ExitCode != -1 {
		t.Errorf("result %+v, error %v; want SIGUSR1", r, err)
	}
}

// TestRun_LargeArguments: a job must get arguments that are larger than a
// packet.
func TestRun_LargeArguments(t *testing.T) {
	s := start(t, nil)
	out := temp(t)
	args := shell("printf '%s\n' \"$@\"")
	args = append(args, "sh")
	for i := range 40 {
		args = append(args, strings.Repeat(fmt.Sprint(i%10), 10_000))
	}
	for _, env := range [][]string{nil, {"A=" + strings.Repeat("a", 100_000)}} {
		out.Truncate(0)
		out.Seek(0, 0)
		if r, err := s.Run(t.Context(), Job{Args: args, Env: env, Stdout: out}); err != nil || r.ExitCode != 0 {
			t.Fatal(r, err)
		}
		if got := content(t, out); got != strings.Join(args[4:], "\n")+"\n" {
			t.Errorf("%d bytes of arguments arrived", len(got))
		}
	}
}

func TestRun_CannotStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	plain := write("plain", "text", 0o600)
	noInterpreter := write("nointerpreter", "#!/no/such/interpreter\n", 0o700)
	format := write("format", "text", 0o700)
	for _, c := range []struct {
		name string
		job  Job
		want string
		is   error
	}{
		{"unknown", Job{Args: []string{"concert-no-such-program"}}, `cannot start "concert-no-such-program": not found in PATH`, exec.ErrNotFound},
		{"path", Job{Args: []string{"./none"}}, `cannot start "./none": not found`, fs.ErrNotExist},
		{"empty", Job{Args: []string{""}}, `cannot start "": the name of the program is empty`, exec.ErrNotFound},
		{"none", Job{}, `cannot start "": there is no program to start`, syscall.EINVAL},
		{"not executable", Job{Args: []string{plain}}, fmt.Sprintf("cannot start %q: not executable: to permit it, run chmod +x", plain), fs.ErrPermission},
		{"directory", Job{Args: []string{dir}}, fmt.Sprintf("cannot start %q: it is a directory", dir), fs.ErrPermission},
		{"interpreter", Job{Args: []string{noInterpreter}},
			fmt.Sprintf("cannot start %q: the file exists, but the interpreter that its first line (#!) or its header names is not found", noInterpreter), fs.ErrNotExist},
		{"format", Job{Args: []string{format}},
			fmt.Sprintf("cannot start %q: not a program for this system: the first line of a script must be like #!/bin/sh", format), syscall.ENOEXEC},
		{"no directory", Job{Args: []string{"true"}, Dir: "/no/such"}, `cannot start "true": its directory "/no/such": no such file or directory`, fs.ErrNotExist},
		{"argument too long", Job{Args: []string{"true", strings.Repeat("a", 200_000)}},
			`cannot start "true": argument list too long: pass the data in a file or by stdin`, syscall.E2BIG},
		{"arguments too long", Job{Args: append([]string{"true"}, strings.Split(strings.Repeat("aaaaaaa,", 1_100_000), ",")...)},
			`cannot start "true": argument list too long: pass the data in a file or by stdin`, syscall.E2BIG},
		{"NUL", Job{Args: []string{"true", "a\x00b"}}, `cannot start "true": argument 1 contains a NUL byte`, syscall.EINVAL},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, nil)
			r, err := s.Run(t.Context(), c.job)
			var e *StartError
			if !errors.As(err, &e) || err.Error() != c.want || !errors.Is(err, c.is) {
				t.Errorf("error %q (%T), want %q, an error of %v", err, err, c.want, c.is)
			}
			if r != (Result{}) {
				t.Errorf("result %+v", r)
			}
			if r, err := s.Run(t.Context(), Job{Args: []string{"true"}}); err != nil || r.ExitCode != 0 {
				t.Errorf("then: result %+v, error %v", r, err)
			}
		})
	}
}

// TestRun_CannotStartWithLimits: the shell that sets limits must not hide the
// error.
func TestRun_CannotStartWithLimits(t *testing.T) {
	s := start(t, &Options{CPU: time.Hour})
	for program, want := range map[string]string{"./none": `cannot start "./none": not found`, "/": `cannot start "/": it is a directory`} {
		if _, err := s.Run(t.Context(), Job{Args: []string{program}}); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestPrograms_Forget: a program that has moved to another directory must be
// found there.
func TestPrograms_Forget(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	t.Setenv("PATH", one+":"+two+":"+os.Getenv("PATH"))
	const script = "#!/bin/sh\nexit 0\n"
	if err := os.WriteFile(filepath.Join(one, "concert-test"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil)
	run := func() error {
		_, err := s.Run(t.Context(), Job{Args: []string{"concert-test"}})
		return err
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(one, "concert-test"), filepath.Join(two, "concert-test")); err != nil {
		t.Fatal(err)
	}
	if err := run(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that the file does not exist", err)
	}
	if err := run(); err != nil {
		t.Errorf("the second run after the move: %v", err)
	}
}

func TestRun_Canceled(t *testing.T) {
	cause := errors.New("the cause")
	for _, c := range []struct {
		name   string
		script string
		grace  time.Duration
		signal syscall.Signal
		code   int
		output string
	}{
		{"ends", "echo up; exec sleep 1000", time.Hour, syscall.SIGTERM, -1, "up\n"},
		{"cleans up", "trap 'echo down; exit 3' TERM; echo up; while :; do sleep 0.01; done", time.Hour, 0, 3, "up\ndown\n"},
		{"stopped", "trap 'echo down; exit 3' TERM; echo up; kill -STOP $$", time.Hour, 0, 3, "up\ndown\n"},
		{"ignores SIGTERM", "trap '' TERM; echo up; exec sleep 1000", time.Millisecond, syscall.SIGKILL, -1, "up\n"},
		{"no grace", "trap 'echo down; exit 3' TERM; echo up; while :; do sleep 0.01; done", -1, syscall.SIGKILL, -1, "up\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, &Options{Grace: c.grace})
			out := temp(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				for content(t, out) == "" {
					time.Sleep(time.Millisecond)
				}
				cancel(cause)
			}()
			r, err := s.Run(ctx, Job{Args: shell(c.script), Stdout: out})
			if err != cause || r.Signal != c.signal || r.ExitCode != c.code {
				t.Errorf("result %+v, error %v; want signal %v, exit code %d and the cause", r, err, c.signal, c.code)
			}
			if got := content(t, out); got != c.output {
				t.Errorf("output %q, want %q", got, c.output)
			}
		})
	}
}

// TestRun_CanceledBefore: if the context has ended, Run must return its cause,
// and must not look for the program.
func TestRun_CanceledBefore(t *testing.T) {
	s := start(t, nil)
	cause := errors.New("the cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := s.Run(ctx, Job{Args: []string{"concert-no-such-program"}}); err != cause {
		t.Errorf("error %v", err)
	}
}

func TestRun_Timeout(t *testing.T) {
	s := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, Job{Args: []string{"sleep", "1000"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestRun_CPULimit(t *testing.T) {
	s := start(t, &Options{CPU: time.Millisecond}) // rounded up to a second
	r, err := s.Run(t.Context(), Job{Args: shell("while :; do :; done")})
	if err != nil || !r.CPULimit || r.ExitCode == 0 {
		t.Errorf("result %+v, error %v; want the limit", r, err)
	}
	if r, err := s.Run(t.Context(), Job{Args: shell("exit 3")}); err != nil || r.CPULimit || r.ExitCode != 3 {
		t.Errorf("a short job: result %+v, error %v", r, err)
	}
}

func TestClose_KillsJobs(t *testing.T) {
	s := start(t, nil)
	out := temp(t)
	result := make(chan error, 2)
	for range cap(result) {
		go func() {
			_, err := s.Run(context.Background(), Job{Args: shell("trap '' TERM; echo up; exec sleep 1000"), Stdout: out})
			result <- err
		}()
	}
	for strings.Count(content(t, out), "up") < cap(result) {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range cap(result) {
		if err := <-result; err != ErrClosed {
			t.Errorf("error %v, want ErrClosed", err)
		}
	}
	if _, err := s.Run(t.Context(), Job{Args: []string{"true"}}); err != ErrClosed {
		t.Errorf("Run after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
