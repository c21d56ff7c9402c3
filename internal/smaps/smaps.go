// Package smaps reads the amount of memory that a process has mapped. It is
// for tests.
package smaps

import (
	"fmt"
	"os"
	"strings"
)

// Usage is memory in KiB.
type Usage struct {
	Size int // all mapped memory
	Rss  int // the part of Size that is in physical memory
	Pss  int // like Rss, but a page is divided by the number of processes that have mapped it
}

// Add adds the sizes of some mappings of a process: those whose line in
// /proc/PID/smaps contains the text name. It adds nothing if the process has
// ended.
func (u *Usage) Add(pid int, name string) {
	text, err := os.ReadFile(fmt.Sprint("/proc/", pid, "/smaps"))
	if err != nil {
		return
	}
	in := false
	for line := range strings.Lines(string(text)) {
		key, _, _ := strings.Cut(line, " ")
		if !strings.HasSuffix(key, ":") { // the first line of a mapping
			in = strings.Contains(line, name)
			continue
		}
		sum := map[string]*int{"Size:": &u.Size, "Rss:": &u.Rss, "Pss:": &u.Pss}[key]
		kb := 0
		if n, _ := fmt.Sscanf(line, key+" %d kB", &kb); in && sum != nil && n == 1 {
			*sum += kb
		}
	}
}
