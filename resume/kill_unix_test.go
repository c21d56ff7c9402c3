//go:build unix

package resume_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"concert/resume"
)

var kills = flag.Int("kills", 30, "the number of processes that TestJournal_Killed kills")

// startChild starts a child process that runs a function of children.
func startChild(t *testing.T, name, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+name, childVariable+"_PATH="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

func init() {
	children["append"] = appendUntilKilled
	children["hold"] = func(path string) {
		if _, err := resume.Open(path, nil); err != nil {
			panic(err)
		}
		fmt.Println("open")
		os.Stdin.Read(make([]byte, 1)) // until the parent closes the pipe, or kills this process
	}
}

// appendUntilKilled appends records on several goroutines, and prints each of
// them when it is durable.
func appendUntilKilled(path string) {
	j, err := resume.Open(path, nil)
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				name := fmt.Sprint(rand.Uint64())
				if err := j.Append(keyOf(name), true, name, readers(killedData(name)...)...); err != nil {
					panic(err)
				}
				os.Stdout.WriteString(name + "\n") // one system call
			}
		})
	}
	wg.Wait()
}

// killedData returns the data of a record of appendUntilKilled.
func killedData(name string) []string {
	size := []int{10, 1000, 3000, 50_000, 400_000}[name[len(name)-1]%5]
	return []string{strings.Repeat(name, 1+size/len(name)), name}
}

// TestJournal_Killed: after a kill at any moment, every record that Append has
// acknowledged must be there. All processes use one journal.
func TestJournal_Killed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	damaged := 0
	for range *kills {
		cmd, acknowledged := startChild(t, "append", path)
		var names []string
		kill := rand.IntN(60)
		for acknowledged.Scan() {
			names = append(names, acknowledged.Text())
			if len(names) == kill {
				go func() {
					for range rand.IntN(1_000_000) { // the process continues for a random time
					}
					cmd.Process.Kill()
				}()
			} else if kill == 0 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if acknowledged.Err() != nil || len(names) < kill {
			t.Fatalf("the process ended by itself, after %d records: %v", len(names), cmd.ProcessState)
		}
		j := open(t, path)
		for _, name := range names {
			wantEntry(t, j, keyOf(name), true, fmt.Sprintf("%q", name), killedData(name)...)
		}
		if damaged += 1; j.Damaged() > damaged { // each process may damage at most one line
			t.Errorf("%d damaged lines", j.Damaged())
		}
		j.Close()
		if t.Failed() {
			return
		}
	}
}

// TestOpen_OtherProcess: while another process uses a journal, Open must fail.
// When the process has been killed, Open must succeed.
func TestOpen_OtherProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=hold", childVariable+"_PATH="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	bufio.NewScanner(out).Scan()
	if _, err := resume.Open(path, nil); !errors.Is(err, resume.ErrInUse) || !strings.Contains(err.Error(), "wait until it has ended") {
		t.Errorf("Open() = %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	open(t, path)
}

// TestMap_Killed: after a kill at any moment, a Map must yield all results, and
// must not call the function again for a result that was yielded.
func TestMap_Killed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	yielded, before := 0, map[int]int{}
	for range max(1, *kills/3) {
		cmd, out := startChild(t, "map", path)
		n, kill := 0, yielded+rand.IntN(300)
		for out.Scan() {
			if text := out.Text(); text != fmt.Sprint(n) {
				t.Fatalf("result %d is %q", n, text)
			}
			if n++; n == kill {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if n < kill {
			t.Fatalf("the process ended by itself, after %d results: %v", n, cmd.ProcessState)
		}
		calls := logged(t, path+".log")
		for i := range yielded {
			if calls[i] != before[i] {
				t.Errorf("input %d had been yielded, and was called again", i)
			}
		}
		yielded, before = max(yielded, n), calls
	}
}
