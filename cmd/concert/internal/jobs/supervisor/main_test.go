//go:build unix

package supervisor

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Main()
	runner()
	bench()
	os.Exit(m.Run())
}
