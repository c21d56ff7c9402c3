//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"
)

var mapHostile = flag.Int("map-hostile", 200, "the number of jobs of TestMap_HostileJobs")

// TestMap_HostileJobs: among many jobs, 1% crash, 1% hang, and 1% print much.
// Each job has one record, which says how it ended.
func TestMap_HostileJobs(t *testing.T) {
	t.Parallel()
	const flood = 3_000_000 // bytes
	const script = `case $0 in
		*01) kill -SEGV $$ ;;
		*02) sleep 100000 & wait ;;
		*03) head -c 3000000 /dev/zero | tr '\000' x ;;
		*) echo $0 ;;
	esac`
	n := *mapHostile
	var list strings.Builder
	for i := range n {
		fmt.Fprintln(&list, i+1000)
	}
	cmd := process(t, "map", "--json", "-j", "8", "--timeout", "5s", "sh", "-c", script)
	cmd.Stdin = strings.NewReader(list.String())
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	counts := map[string]int{}
	for lines := json.NewDecoder(out); ; next++ {
		var r struct {
			Number         int
			Inputs         []string
			Status, Signal string
			Stdout         string
		}
		if err := lines.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		input := fmt.Sprint(next + 999)
		if r.Number != next || len(r.Inputs) != 1 || r.Inputs[0] != input {
			t.Fatalf("record %d is of job %d, %q", next, r.Number, r.Inputs)
		}
		kind := r.Status + " " + r.Signal
		want := "ok "
		switch input[len(input)-2:] {
		case "01":
			want = "killed SIGSEGV"
		case "02":
			want = "timeout "
		case "03":
			if len(r.Stdout) != flood || strings.Trim(r.Stdout, "x") != "" {
				t.Errorf("job %d has printed %d bytes, want %d", next, len(r.Stdout), flood)
			}
		default:
			if r.Stdout != input+"\n" {
				t.Errorf("job %d has printed %.100q", next, r.Stdout)
			}
		}
		if !strings.HasPrefix(kind, want) {
			t.Errorf("job %d: %q, want %q", next, kind, want)
		}
		counts[want]++
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); next != n+1 || code != 1 {
		t.Errorf("%d records of %d jobs, and exit code %d", next-1, n, code)
	}
	failed := counts["killed SIGSEGV"] + counts["timeout "]
	for _, want := range []string{
		fmt.Sprintf("%d of %d jobs failed:\n", failed, n),
		fmt.Sprintf("  killed by SIGSEGV: %d jobs\n", counts["killed SIGSEGV"]),
		fmt.Sprintf("  timeout: %d jobs\n", counts["timeout "]),
	} {
		if !strings.Contains(errOut.String(), want) {
			t.Errorf("the summary has no %q:\n%s", want, errOut.String())
		}
	}
	t.Logf("%v", counts)
}
