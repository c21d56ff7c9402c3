package usage

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// process writes the files of a process with one thread. The times are in
// milliseconds.
func process(t *testing.T, proc string, pid, parent int, cpu, delay int, children string) {
	t.Helper()
	dir := fmt.Sprintf("%s/%d/task/%[2]d", proc, pid)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		dir + "/schedstat":                   fmt.Sprintf("%d000000 %d000000 1\n", cpu, delay),
		dir + "/children":                    children,
		fmt.Sprintf("%s/%d/stat", proc, pid): fmt.Sprintf("%d (a ) S 1 b) R %d 7 7\n", pid, parent),
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDelayWatch_Read: the watch must find the delay and the CPU time of a
// process and its children, also if an ID belongs to another thread than at
// the last read, or if a process has ended.
func TestDelayWatch_Read(t *testing.T) {
	type times struct{ pid, parent, cpu, delay int }
	for _, c := range []struct {
		name              string
		children          string  // of process 1, with the IDs 2 and 3
		first, second     []times // the processes at two reads
		cpu, delay, least int
	}{
		{"one child", "2 ", nil, []times{{2, 1, 30, 60}}, 30, 60, 30},
		{"two children on one processor", "2 3 ", nil, []times{{2, 1, 50, 50}, {3, 1, 50, 50}}, 100, 50, 50},
		{"two children in turn", "2 3 ", []times{{2, 1, 10, 0}, {3, 1, 0, 10}}, []times{{2, 1, 10, 10}, {3, 1, 10, 10}}, 20, 10, 10},
		{"one child waits", "2 3 ", nil, []times{{2, 1, 20, 80}, {3, 1, 0, 0}}, 20, 80, 20},
		{"a new child has the ID of an ended one", "2 ", []times{{2, 1, 30, 40}}, []times{{2, 1, 10, 5}}, 40, 45, 40},
		{"the ID of a child has another owner", "2 ", []times{{2, 1, 10, 0}}, []times{{2, 9, 500, 500}}, 10, 0, 10},
		{"a child is gone", "2 4 x ", nil, []times{{2, 1, 30, 60}}, 30, 60, 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			proc := t.TempDir()
			w := newWatch(proc, 1)
			for _, all := range [][]times{c.first, c.second} {
				process(t, proc, 1, 0, 0, 0, c.children)
				for _, p := range all {
					process(t, proc, p.pid, p.parent, p.cpu, p.delay, "")
				}
				w.readAll()
			}
			const ms = time.Millisecond
			want := watched{delay: time.Duration(c.delay) * ms, cpu: time.Duration(c.cpu) * ms, least: time.Duration(c.least) * ms}
			got := watched{delay: w.total.delay.Round(ms), cpu: w.total.cpu.Round(ms), least: w.total.least.Round(ms)}
			if got != want {
				t.Errorf("the watch has %v, want %v", got, want)
			}
		})
	}
}

// TestDelayWatch_Extrapolate: the delay of a child from the last read to the
// end must be extrapolated. Two values are known, and must not be
// extrapolated: the delay of the process itself, and the CPU time, because
// the process waits for the child.
func TestDelayWatch_Extrapolate(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name        string
		root, child int           // CPU time and delay in ms
		end         time.Duration // the delay of the process at its end
		took        time.Duration
		want        time.Duration
	}{
		{"a child", 0, 100, 0, 125 * ms, 125 * ms},
		{"the process", 100, 0, 110 * ms, 125 * ms, 110 * ms},
		{"few reads", 0, 100, 0, 250 * ms, 100 * ms},
		{"the process cannot end", 0, 100, 80 * ms, 190 * ms, 190 * ms},
		{"the process has no processor at the end", 0, 100, 80 * ms, 110 * ms, 180 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			proc := t.TempDir()
			process(t, proc, 1, 0, c.root, c.root, "2")
			process(t, proc, 2, 1, c.child, c.child, "")
			w := newWatch(proc, 1)
			w.last = 100 * ms
			w.readAll()
			w.extrapolate(c.took, c.end)
			if got := w.total; got.delay.Round(ms) != c.want || got.cpu != 100*ms {
				t.Errorf("a delay of %v and %v of CPU time, want %v and 100ms", got.delay, got.cpu, c.want)
			}
		})
	}
}
