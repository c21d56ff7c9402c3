// Package pythontest is for tests that start Python interpreters.
package pythontest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Direct makes the command "python3" start the interpreter itself: it puts the
// directory of the interpreter at the beginning of PATH. Version managers such
// as pyenv install a shell script as python3. This script takes several times
// as much processor time as the start of the interpreter. Call Direct once,
// before tests run. Without python3 it does nothing.
func Direct() {
	found, err := exec.LookPath("python3")
	if err != nil {
		return
	}
	out, err := exec.Command(found, "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		return
	}
	dir := filepath.Dir(strings.TrimSpace(string(out)))
	if _, err := os.Stat(filepath.Join(dir, "python3")); err != nil || dir == filepath.Dir(found) {
		return
	}
	os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// Need skips a test on a machine without python3, so that the tests of the
// repository pass with Go alone. The script .ci/run does not run without
// python3, so there no test is skipped for this reason.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("this machine has no python3")
	}
}
