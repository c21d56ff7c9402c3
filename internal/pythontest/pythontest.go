// Package pythontest is for tests that start Python interpreters.
package pythontest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Direct makes the command "python3" start quickly: it makes a virtual
// environment without packages, and puts it at the beginning of PATH. Version
// managers such as pyenv install a shell script as python3, and packages may
// run code at each start of the interpreter. Both take several times the
// processor time of the interpreter itself. Call Direct once before the tests,
// and the function remove after them. If there is no python3, or no module
// venv, Direct does nothing.
func Direct() (remove func()) {
	dir, err := os.MkdirTemp("", "pythontest-")
	if err != nil {
		return func() {}
	}
	remove = func() { os.RemoveAll(dir) }
	if exec.Command("python3", "-I", "-m", "venv", "--without-pip", dir).Run() == nil {
		os.Setenv("PATH", filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	return remove
}

// Need skips a test on a machine without python3, so that the tests of the
// repository pass with Go alone. The script .ci/run requires python3, so it
// skips no test for this reason.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("this machine has no python3")
	}
}
