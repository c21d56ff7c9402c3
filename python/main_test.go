package python_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"concert/internal/pythontest"
)

// TestMain leaves out the examples on a machine without Python: unlike tests,
// they cannot skip themselves.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "4") // tests that are parallel mostly wait
	flag.Parse()
	if _, err := exec.LookPath("python3"); err != nil {
		fmt.Println("without the examples:", err)
		flag.Set("test.skip", "^Example")
	}
	pythontest.Direct()
	os.Exit(m.Run())
}
