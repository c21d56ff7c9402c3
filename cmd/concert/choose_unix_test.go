//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert/cmd/concert/internal/cli"
)

// TestChoose_SecondSignal: "concert choose" runs a command that ignores
// SIGTERM. If "concert choose" gets a second Ctrl-C, or if the terminal is
// closed, it must kill this command and remove incomplete files.
func TestChoose_SecondSignal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		signals []syscall.Signal
	}{
		{"Ctrl-C twice", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}},
		{"terminal closed", []syscall.Signal{syscall.SIGHUP}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pids := filepath.Join(dir, "pids")
			cmd := process(t, "choose", "--html", filepath.Join(dir, "page.html"), "sh", "-c",
				`trap 'touch "$1.asked"' TERM; echo $$ > "$1"; while :; do sleep 1; done`, "sh", "{}", ":::", pids)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			for pid == 0 { // without a time limit, because go test has one
				time.Sleep(time.Millisecond)
				if text, err := os.ReadFile(pids); err == nil {
					pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
				}
			}
			for i, s := range c.signals {
				if i > 0 { // send the second signal after choose has handled the first one, and the command has received SIGTERM
					for _, err := os.Stat(pids + ".asked"); err != nil; _, err = os.Stat(pids + ".asked") {
						time.Sleep(time.Millisecond)
					}
				}
				cmd.Process.Signal(s)
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != cli.ExitSignal {
				t.Errorf("exit %d, want %d", code, cli.ExitSignal)
			}
			for alive(pid) { // the system may list a killed process for a moment
				time.Sleep(time.Millisecond)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// alive reports whether a process of the group runs. A dead process that has
// not been reaped does not count, because the first process of the machine
// reaps it at some time.
func alive(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if stats == nil {
		return syscall.Kill(-group, 0) == nil
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// pid (name) state parent group
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 2 && f[0] != "Z" && f[2] == strconv.Itoa(group) {
			return true
		}
	}
	return false
}

// TestChoose_Quiet: with --quiet, "concert choose" must print only the verdict.
// The inputs are lines of the standard input.
func TestChoose_Quiet(t *testing.T) {
	t.Parallel()
	cmd := process(t, "choose", "--quiet", "--budget", "1s", "sh", "-c", `sleep 0.01; [ "$1" = a ] || [ "$1" = "b c" ]`, "sh", "{}")
	cmd.Stdin = strings.NewReader("a\r\n\nb c\n")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitOK && code != cli.ExitGuess {
		t.Errorf("exit %d", code)
	}
	if strings.Count(stdout.String(), "\n") != 1 || strings.Contains(stdout.String(), "failed") || stderr.String() != "" {
		t.Errorf("the standard output is %q, and the standard error is %q", stdout.String(), stderr.String())
	}
}

// TestChoose_BackgroundChild: if a command leaves a process running, "concert
// choose" must not wait for this process.
func TestChoose_BackgroundChild(t *testing.T) {
	t.Parallel()
	r := chosen(t, "", "--budget", "2s", "--max", "2", "sh", "-c", "sleep 3 & sleep 0.01", ":::", "a")
	if r.Runs < 10 {
		t.Errorf("the work ran %d times, want at least 10", r.Runs)
	}
}

// TestChoose_FullDisk: if the page or the trace cannot be written, "concert
// choose" must print the report, and must then fail.
func TestChoose_FullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no device that is always full")
	}
	code, out, errOut := call(t.Context(), "choose", "--budget", "1s", "--html", "/dev/full", "sleep", ":::", "0.02")
	if code != cli.ExitFailed || !strings.Contains(out, "tasks/s") || !strings.Contains(errOut, "cannot write /dev/full: no space left on device") {
		t.Errorf("exit %d, %q, %q", code, out, errOut)
	}
	code, _, errOut = call(t.Context(), "choose", "--budget", "1s", "--trace", "/dev/full", "sleep", ":::", "0.02")
	if code != cli.ExitFailed || !strings.Contains(errOut, "cannot write /dev/full: no space left on device") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}
