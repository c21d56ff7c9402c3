package python_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"concert/internal/pythontest"
)

// On a machine without Python, TestMain skips the examples. Unlike tests,
// examples cannot skip themselves.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "4") // parallel tests mostly wait
	flag.Parse()
	if _, err := exec.LookPath("python3"); err != nil {
		fmt.Println("without the examples:", err)
		flag.Set("test.skip", "^Example")
	}
	remove := pythontest.Direct()
	code := m.Run()
	remove()
	os.Exit(code)
}
