package python_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestMain leaves out what cannot be on a machine without Python. Tests say so by
// themselves; examples cannot.
func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := exec.LookPath("python3"); err != nil {
		fmt.Println("without the examples:", err)
		flag.Set("test.skip", "^Example")
	}
	os.Exit(m.Run())
}
