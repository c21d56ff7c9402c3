package cli

import (
	"os"
	"runtime/debug"
)

// CollectOften makes the garbage collector run twice as often, which saves
// memory. It does nothing if the user has set GOGC. The caller calls the
// returned function at the end.
func CollectOften() (restore func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(50)
	return func() { debug.SetGCPercent(before) }
}
