package download

import (
	"os"
	"strings"
	"sync"
)

// bootID returns a text that changes each time the system starts.
var bootID = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
})
