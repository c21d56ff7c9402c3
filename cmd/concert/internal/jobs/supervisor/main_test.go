//go:build unix

package supervisor

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Main()
	runner()
	sibling()
	bench()
	os.Exit(m.Run())
}
