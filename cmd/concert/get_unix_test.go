//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"concert/cmd/concert/internal/cli"
)

// process returns a command that starts concert with the given arguments as a
// process.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("concert") // the directory in which TestMain put it
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), path, args...)
}

// TestGet_CtrlC: an interrupted process must end with the documented exit code.
func TestGet_CtrlC(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	part := filepath.Join(t.TempDir(), "h.part")
	cmd := process(t, "get", "-d", filepath.Dir(part), f.URL+"/held/h")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if info, err := os.Stat(part); err == nil && info.Size() > 0 {
			break
		}
	}
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitSignal {
		t.Errorf("exit %d, want %d", code, cli.ExitSignal)
	}
}

// TestGet_Terminal: on a terminal, "concert get" must print a bar that fits the
// width, paths above the bar, and a closing line.
func TestGet_Terminal(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	cmd := process(t, "get", "-d", t.TempDir(), "--jobs", "1", f.URL+"/plain/a", f.URL+"/held/h")
	cmd.Env = append(os.Environ(), "TERM=xterm")
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for released := false; ; {
		n, err := screen.Read(buf)
		seen.Write(buf[:n])
		if !released && strings.Contains(seen.String(), "1 of 2 files") {
			released = true
			f.release()
		}
		if err != nil { // EIO on Linux: the other end is closed
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v:\n%q", err, seen.String())
	}
	frames := strings.Split(seen.String(), "\r\x1b[K")
	bars := 0
	for _, frame := range frames {
		if strings.HasPrefix(frame, "[=") && len(strings.TrimRight(frame, "\r\n")) < 50 && strings.Contains(frame, "] ") {
			bars++
		}
	}
	if last := frames[len(frames)-1]; bars == 0 || !strings.HasPrefix(last, "2 of 2 files in ") || strings.Count(seen.String(), "/a\r\n") != 1 {
		t.Errorf("%d bars in\n%q", bars, frames)
	}
}
