//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGet_Processes: several processes may download the same list to the same
// directory at the same time. Each of them must succeed, and print each path.
func TestGet_Processes(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			f := newFaulty()
			defer f.Close()
			dir := filepath.Join(t.TempDir(), "out")
			args := []string{"get", "-d", dir, "--retry-delay", "1ms", "--retries", "20", "-x", "2"}
			var names []string
			for i := range 30 {
				name := fmt.Sprint("f", i)
				names = append(names, name)
				args = append(args, fmt.Sprint(f.URL, []string{"/plain/", "/cut/50/", "/busy/503/"}[i%3], name))
			}
			names = append(names, "large")
			args = append(args, f.URL+"/cut/60/large")
			var cmds []*exec.Cmd
			var texts []*bytes.Buffer
			for range n {
				cmd, text := process(t, args...), new(bytes.Buffer)
				cmd.Stdout, cmd.Stderr = text, text
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				cmds, texts = append(cmds, cmd), append(texts, text)
			}
			for i, cmd := range cmds {
				if err := cmd.Wait(); err != nil {
					t.Errorf("%v\n%s", err, texts[i])
				}
				for _, name := range names {
					if !strings.Contains(texts[i].String(), filepath.Join(dir, name)+"\n") {
						t.Errorf("no path of %s in\n%s", name, texts[i])
					}
				}
			}
			for _, name := range names {
				if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(b, body(name)) {
					t.Errorf("%s has %d bytes, %v", name, len(b), err)
				}
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != len(names) {
				t.Errorf("in the directory are %v, %v", entries, err)
			}
		})
	}
}
