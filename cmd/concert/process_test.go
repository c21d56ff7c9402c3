package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestMain lets the test binary be the command itself, for tests that need a
// process to kill or to interrupt.
func TestMain(m *testing.M) {
	if os.Getenv("CONCERT_TEST_BE_THE_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process returns the command as a process that has not been started.
func process(t *testing.T, args ...string) (cmd *exec.Cmd, errOut *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	errOut = new(bytes.Buffer)
	cmd = exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "CONCERT_TEST_BE_THE_COMMAND=1")
	cmd.Stderr = errOut
	return cmd, errOut
}

// untilBytes waits until a file has some.
func untilBytes(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(name); err == nil && info.Size() > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never came", name)
		}
	}
}

// TestGetKilled kills the command in the middle of a file, with no chance to
// tidy up. The next one continues.
func TestGetKilled(t *testing.T) {
	f, site := newFaulty(t)
	dir := t.TempDir()
	cmd, _ := process(t, "get", "-d", dir, site+"/held")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	untilBytes(t, filepath.Join(dir, "held.part"))
	cmd.Process.Kill()
	cmd.Wait()
	if got := names(t, dir); !slices.Equal(got, []string{"held.part", "held.part.json"}) {
		t.Errorf("in the folder are %q", got)
	}
	close(f.gate)
	cmd, errOut := process(t, "get", "-d", dir, site+"/held", site+"/a")
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %s", err, errOut)
	}
	got, err := os.ReadFile(filepath.Join(dir, "held"))
	if err != nil || !bytes.Equal(got, body("held")) || len(names(t, dir)) != 2 {
		t.Errorf("%d bytes, %v, files %q", len(got), err, names(t, dir))
	}
}

// TestGetCtrlC interrupts a real process: it ends by itself, soon, with the
// code that is documented.
func TestGetCtrlC(t *testing.T) {
	_, site := newFaulty(t)
	dir := t.TempDir()
	cmd, errOut := process(t, "get", "-d", dir, site+"/held")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	untilBytes(t, filepath.Join(dir, "held.part"))
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Skipf("this system has no way to interrupt a process: %v", err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitSignal || !bytes.Contains(errOut.Bytes(), []byte("continues where it stopped")) {
		t.Errorf("exit %d: %s", code, errOut)
	}
}
