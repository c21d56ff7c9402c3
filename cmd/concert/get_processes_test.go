//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGet_Processes: several processes may download the same list to the same
// directory at the same time. Each of them must succeed, and print each path.
func TestGet_Processes(t *testing.T) {
	t.Parallel()
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

// TestGet_WaitsForOther: if another process downloads the same file, "concert
// get" must say that it waits, and then find the file.
func TestGet_WaitsForOther(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	args := []string{"get", "-d", t.TempDir(), f.URL + "/held/large"}
	first, second := process(t, args...), process(t, args...)
	var text strings.Builder
	for _, cmd := range []*exec.Cmd{first, second} {
		errOut, err := cmd.StderrPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if cmd == first { // it has more than a MiB soon, and then its part has a name
			for part := filepath.Join(args[2], "large.part"); t.Context().Err() == nil; time.Sleep(time.Millisecond) {
				if _, err := os.Lstat(part); err == nil {
					break
				}
			}
			continue
		}
		for lines := bufio.NewScanner(errOut); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			if strings.HasPrefix(lines.Text(), "waiting ") {
				f.release()
			}
		}
	}
	if err := errors.Join(first.Wait(), second.Wait()); err != nil {
		t.Errorf("%v\n%s", err, text.String())
	}
	if want := "waiting " + args[3] + ": another download of this file is running\npresent "; !strings.HasPrefix(text.String(), want) {
		t.Errorf("the second process prints %q, want %q", text.String(), want)
	}
}
