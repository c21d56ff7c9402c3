package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// machineMemory returns the number of bytes of memory that this process and its
// children may use: the memory of the machine, or the limit of its control
// groups if that is lower. It returns 0 if the number is unknown.
func machineMemory() int64 {
	minimum := int64(0)
	limit := func(n int64) {
		if n > 0 && (minimum == 0 || n < minimum) {
			minimum = n
		}
	}
	info, _ := os.ReadFile("/proc/meminfo")
	for line := range bytes.Lines(info) {
		if f := strings.Fields(string(line)); len(f) == 3 && f[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			limit(kib << 10)
		}
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range bytes.Lines(groups) {
		root, name := "/sys/fs/cgroup", "memory.max"
		_, path, ok := strings.Cut(strings.TrimSpace(string(line)), "::") // control groups of version 2
		if !ok {
			if _, path, ok = strings.Cut(strings.TrimSpace(string(line)), ":memory:"); !ok {
				continue
			}
			root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for ; ; path = filepath.Dir(path) {
			text, _ := os.ReadFile(filepath.Join(root, path, name))
			n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // 0 if the text is "max", which means no limit
			limit(n)
			if path == "/" || path == "." {
				break
			}
		}
	}
	return minimum
}
