//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"concert/cmd/concert/internal/cli"
)

var mapKills = flag.Int("map-kills", 30, "the number of runs that TestMap_Killed kills")

// TestMap_Killed kills runs at random moments. Each next run continues: no job
// that the journal has runs again, each job runs at last, and the output of the
// last run is complete.
func TestMap_Killed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	jobs := 20 * *mapKills
	list, want := new(strings.Builder), new(strings.Builder)
	for i := range jobs {
		fmt.Fprintln(list, i+1)
		fmt.Fprintf(want, "output of %d\n", i+1)
	}
	if err := os.WriteFile(filepath.Join(dir, "list"), []byte(list.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	run := func(round int, kill time.Duration) string {
		cmd := process(t, "map", "--quiet", "-j", "4", "--journal", "journal", "--resume", "-i", "list",
			"sh", "-c", "echo $ROUND $0 >> ran; echo output of $0")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), fmt.Sprint("ROUND=", round))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if kill > 0 {
			time.AfterFunc(kill, func() { cmd.Process.Kill() })
		}
		cmd.Wait()
		return out.String()
	}
	recorded := map[int]int{}        // jobs and the first round after their record
	longest := 40 * time.Millisecond // follows the speed of the machine, so that a run has some records
	for round := range *mapKills {
		before := len(recorded)
		run(round, time.Millisecond+rand.N(longest))
		for _, n := range recordedJobs(t, filepath.Join(dir, "journal")) {
			if _, ok := recorded[n]; !ok {
				recorded[n] = round + 1
			}
		}
		if got := len(recorded) - before; got == 0 {
			longest += longest / 4
		} else if got > 20 {
			longest -= longest / 4
		}
	}
	if len(recorded) == 0 {
		t.Error("no job was recorded before a kill")
	}
	if got := run(*mapKills, 0); got != want.String() {
		t.Errorf("the last run printed %d bytes, want %d: %.300q", len(got), want.Len(), got)
	}
	ran := map[int]bool{}
	text, err := os.ReadFile(filepath.Join(dir, "ran"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var round, n int
		if _, err := fmt.Sscan(line, &round, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		ran[n] = true
		if first, ok := recorded[n]; ok && round >= first {
			t.Errorf("job %d ran in round %d, and was recorded before round %d", n, round, first)
		}
	}
	if len(ran) != jobs {
		t.Errorf("%d jobs of %d ran", len(ran), jobs)
	}
	t.Logf("%d of %d jobs were recorded before the last of %d kills", len(recorded), jobs, *mapKills)
}

// TestMap_SupervisorKilled: if the process that starts the jobs is killed, the
// running and the later jobs are not recorded as failed. They run again.
func TestMap_SupervisorKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func() (*exec.Cmd, string) {
		cmd := process(t, "map", "--quiet", "--json", "-j", "2", "--journal", "journal", "--resume", "sh", "-c",
			"[ $0 != 20 ] || [ -e killed ] || { : > killed; kill -KILL $PPID; sleep 1000; }; echo output of $0")
		cmd.Dir = dir
		var list, errOut strings.Builder
		for i := range 300 {
			fmt.Fprintln(&list, i+1)
		}
		cmd.Stdin, cmd.Stderr = strings.NewReader(list.String()), &errOut
		out, _ := cmd.Output()
		return cmd, string(out) + errOut.String()
	}
	if cmd, text := run(); cmd.ProcessState.Success() || strings.Count(text, `"status":"canceled"`) > 2 {
		t.Errorf("the first run ended with %v, and more jobs are canceled than ran: %.300q", cmd.ProcessState, text)
	}
	cmd, text := run()
	if n := strings.Count(text, `"stdout":"output of `); n != 300 || !cmd.ProcessState.Success() {
		t.Errorf("the second run has the output of %d jobs, and ended with %v: %.300q", n, cmd.ProcessState, text)
	}
}

// recordedJobs returns the numbers of the jobs in a journal. The last line may
// be incomplete.
func recordedJobs(t *testing.T, path string) (numbers []int) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // the run was killed before it created the journal
	}
	for line := range bytes.Lines(text) {
		var record struct {
			Info struct{ Number int }
		}
		if bytes.HasSuffix(line, []byte("}\n")) && json.Unmarshal(line, &record) == nil && record.Info.Number > 0 {
			numbers = append(numbers, record.Info.Number)
		}
	}
	return numbers
}

// TestMap_SecondInterrupt: a second Ctrl-C kills jobs that ignore SIGTERM.
func TestMap_SecondInterrupt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := process(t, "map", "sh", "-c", `trap "" TERM; echo $$ > pid.tmp; mv pid.tmp pid; sleep 1000; sleep 1000`, ":::", "a")
	cmd.Dir = dir
	errOut, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	pid := awaitPid(t, filepath.Join(dir, "pid"))
	cmd.Process.Signal(os.Interrupt)
	lines := bufio.NewScanner(errOut)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "interrupted: ") {
			cmd.Process.Signal(os.Interrupt)
			break
		}
	}
	io.Copy(io.Discard, errOut)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitSignal {
		t.Errorf("exit code %d", code)
	}
	awaitDeath(t, pid)
}

// TestMap_InterruptStartsNoJob: after Ctrl-C, the jobs that wait in the
// supervisor do not start when the running one ends.
func TestMap_InterruptStartsNoJob(t *testing.T) {
	dir := t.TempDir()
	cmd := process(t, "map", "-j", "1", "sh", "-c", `echo $0 >> ran; echo $$ > pid.tmp; mv pid.tmp pid; exec sleep 1000`, ":::", "1", "2", "3")
	cmd.Dir = dir
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitPid(t, filepath.Join(dir, "pid"))
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	ran, err := os.ReadFile(filepath.Join(dir, "ran"))
	if err != nil || string(ran) != "1\n" {
		t.Errorf("the jobs %q ran, %v", ran, err)
	}
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitSignal || !strings.Contains(errOut.String(), "0 of 3 jobs done, 1 canceled, 2 not started") {
		t.Errorf("exit code %d, and:\n%s", code, errOut.String())
	}
}

// TestMap_StartsInOrder: although jobs wait in the supervisor, they run in the
// order of the inputs with -j 1.
func TestMap_StartsInOrder(t *testing.T) {
	var list strings.Builder
	for i := range 300 {
		fmt.Fprintln(&list, i)
	}
	for range 5 { // the first jobs are sent by several workers at the same time
		cmd := process(t, "map", "--quiet", "-j", "1", "--ungroup", "echo")
		cmd.Stdin = strings.NewReader(list.String())
		out, err := cmd.Output()
		if err != nil || string(out) != list.String() {
			t.Fatalf("the jobs ran in another order, %v:\n%.300s", err, out)
		}
	}
}

// TestMap_InterruptedWhileReaderIsStuck: if no process reads the output, the
// first Ctrl-C ends map after a few seconds, and a second one at once.
func TestMap_InterruptedWhileReaderIsStuck(t *testing.T) {
	t.Parallel()
	start := map[string]func(cmd *exec.Cmd) (io.Closer, error){
		"pipe": func(cmd *exec.Cmd) (io.Closer, error) {
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			return out, err
		},
		"terminal": func(cmd *exec.Cmd) (io.Closer, error) { return pty.Start(cmd) },
	}
	for name, start := range start {
		for _, second := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, second Ctrl-C %v", name, second), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				cmd := process(t, "map", "-j", "2", "sh", "-c", `head -c 1000000 /dev/zero | tr '\000' x; echo $$ > $0.tmp; mv $0.tmp $0`, ":::", "1", "2", "3", "4", "5", "6")
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "TERM=xterm")
				out, err := start(cmd)
				if err != nil {
					t.Fatal(err)
				}
				defer out.Close()
				awaitPid(t, filepath.Join(dir, "1"))
				cmd.Process.Signal(os.Interrupt)
				for done := false; second && !done; time.Sleep(10 * time.Millisecond) {
					cmd.Process.Signal(os.Interrupt) // the first one may not be handled yet
					text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
					_, state, _ := strings.Cut(string(text), ") ")
					done = state == "" || strings.HasPrefix(state, "Z")
				}
				cmd.Wait()
				if code := cmd.ProcessState.ExitCode(); code != cli.ExitSignal {
					t.Errorf("exit code %d", code)
				}
			})
		}
	}
}

// awaitPid waits until a file has the id of a process.
func awaitPid(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("%s has never appeared", path)
	return 0
}

// awaitDeath waits until a process is gone.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d still lives", pid)
		}
	}
}

// TestMap_OnTerminal: on a terminal, the output of jobs is above the bar, and
// intact.
func TestMap_OnTerminal(t *testing.T) {
	t.Parallel()
	cmd := process(t, "map", "-j", "2", "sh", "-c", "sleep 0.3; echo line $0; exit $0", ":::", "0", "1", "0", "0")
	cmd.Env = append(os.Environ(), "TERM=xterm")
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	text, _ := io.ReadAll(terminal) // the error says that no process has the terminal open
	cmd.Wait()
	for _, want := range []string{" of 4 jobs", "1 failed (1 exit code 1)", "line 1\r\n", "1 of 4 jobs failed:"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the terminal has no %q:\n%q", want, text)
		}
	}
}

// TestMap_Suspended: the signal of Ctrl-Z stops map and its jobs, and SIGCONT
// continues both.
func TestMap_Suspended(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reads the states of processes in /proc")
	}
	dir := t.TempDir()
	cmd := process(t, "map", "--quiet", "sh", "-c", `echo $$ > pid.tmp; mv pid.tmp pid; read line < pipe; echo done`, ":::", "a")
	cmd.Dir = dir
	// The shell waits in a system call, and starts nothing: while it waits for
	// the start of a program that is stopped, its state is not "stopped".
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	job := awaitPid(t, filepath.Join(dir, "pid"))
	await := func(pid int, isStopped bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil || time.Now().After(deadline) {
				cmd.Process.Kill()
				t.Fatalf("process %d, stopped %v: %v, %s", pid, isStopped, err, text)
			}
			_, state, _ := strings.Cut(string(text), ") ")
			if strings.HasPrefix(state, "T") == isStopped {
				return
			}
		}
	}
	for range 2 {
		cmd.Process.Signal(syscall.SIGTSTP)
		await(job, true)
		await(cmd.Process.Pid, true)
		cmd.Process.Signal(syscall.SIGCONT)
		await(cmd.Process.Pid, false)
		await(job, false)
	}
	if err := os.WriteFile(filepath.Join(dir, "pipe"), []byte("end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "done\n" {
		t.Errorf("%v, %q", err, out.String())
	}
}
