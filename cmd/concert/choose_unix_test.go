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

// TestChoose_SecondSignal: after a second signal, or the end of the terminal,
// the commands that choose runs are killed, although they ignore SIGTERM, and
// incomplete files are removed.
func TestChoose_SecondSignal(t *testing.T) {
	for _, c := range []struct {
		name    string
		signals []syscall.Signal
	}{
		{"Ctrl-C twice", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}},
		{"terminal closed", []syscall.Signal{syscall.SIGHUP}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			pids := filepath.Join(dir, "pids")
			cmd := process(t, "choose", "--html", filepath.Join(dir, "page.html"), "sh", "-c",
				`trap 'touch "$1.asked"' TERM; echo $$ > "$1"; while :; do sleep 1; done`, "sh", "{}", ":::", pids)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			for pid == 0 { // the test's own limit counts
				time.Sleep(time.Millisecond)
				if text, err := os.ReadFile(pids); err == nil {
					pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
				}
			}
			for i, s := range c.signals {
				if i > 0 { // after the first one was handled, and the command has received SIGTERM
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
			for alive(pid) { // killed, but perhaps still listed
				time.Sleep(time.Millisecond)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// alive reports whether a process of the group runs. A dead process that was
// not reaped does not run; the first process of the machine reaps it.
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

// TestChoose_Quiet: with --quiet, choose reads inputs from the standard input,
// and prints only the verdict.
func TestChoose_Quiet(t *testing.T) {
	cmd := process(t, "choose", "--quiet", "--budget", "1s", "sh", "-c", `sleep 0.01; [ "$1" = a ] || [ "$1" = "b c" ]`, "sh", "{}")
	cmd.Stdin = strings.NewReader("a\r\n\nb c\n")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitOK && code != cli.ExitGuess {
		t.Errorf("exit %d", code)
	}
	if strings.Count(stdout.String(), "\n") != 1 || strings.Contains(stdout.String(), "failed") || stderr.String() != "" {
		t.Errorf("it says %q, and %q", stdout.String(), stderr.String())
	}
}

// TestChoose_BackgroundChild: a process that a command leaves running delays
// neither the command nor the measurement.
func TestChoose_BackgroundChild(t *testing.T) {
	r := chosen(t, "--budget", "2s", "--max", "2", "sh", "-c", "sleep 3 & sleep 0.01", ":::", "a")
	if r.Runs < 10 {
		t.Errorf("it ran %d times", r.Runs)
	}
}

// TestChoose_FullDisk: the report is printed although the page cannot be
// written.
func TestChoose_FullDisk(t *testing.T) {
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
