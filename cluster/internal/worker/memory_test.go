package worker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"concert/cluster/internal/wire"
)

// TestMemory_Requestable: if there is memory for the largest message, a worker
// must request messages: half of the free memory, but at least the size of the
// largest message. Otherwise it must request none.
func TestMemory_Requestable(t *testing.T) {
	for _, c := range []struct {
		most, held, asked, want int64
	}{
		{0, 0, 0, 16 << 20},
		{0, 0, 16 << 20, 8 << 20},
		{0, 31 << 20, 0, 1 << 20},
		{0, 31 << 20, 1, 0},
		{0, 100 << 20, 0, 0},
		{1, 0, 0, 2 << 20}, // MaxBytes is raised to its minimum
		{1 << 30, 0, 0, 128 << 20},
	} {
		t.Run(fmt.Sprintf("%d held of %d, %d requested", c.held, c.most, c.asked), func(t *testing.T) {
			m := newMemory(c.most)
			m.held, m.requested = c.held, c.asked
			if got := m.requestable(); got != c.want {
				t.Errorf("limit %d, %d bytes held, %d requested: the next request may return %d bytes, want %d", c.most, c.held, c.asked, got, c.want)
			}
		})
	}
	m := newMemory(-1)
	if m.held = 1 << 40; m.requestable() < wire.MaxMessageBytes {
		t.Error("a negative MaxBytes limits requests; want no limit")
	}
}

// TestMemory_Next: tasks with large arguments must start in the order of their
// arrival, as soon as there is memory for the argument. While they wait, tasks
// without a large argument must overtake them.
func TestMemory_Next(t *testing.T) {
	const mib = 1 << 20
	begin := time.Now()
	w := &worker{memory: newMemory(0)} // 96 MiB for values
	tasks := map[string]*heldTask{}
	add := func(name string, large int64) {
		d := &heldTask{key: name, large: large, received: begin.Add(time.Duration(len(tasks)))}
		tasks[name] = d
		if large > 0 {
			w.memory.waiting = append(w.memory.waiting, d)
		} else {
			w.ready = append(w.ready, d)
		}
	}
	starts := func(want ...string) {
		t.Helper()
		var got []string
		for d := w.nextLocked(); d != nil; d = w.nextLocked() {
			got = append(got, d.key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q start, want %q", got, want)
		}
	}
	ends := func(name string) { w.memory.arguments -= tasks[name].large }
	add("a", 40*mib)
	add("small 1", 0)
	add("b", 40*mib)
	add("huge", 200*mib)
	add("c", 10*mib)
	add("small 2", 0)
	starts("a", "small 1", "b", "small 2")
	ends("a")
	starts()
	ends("b")
	starts("huge") // only while the worker holds no other large argument
	add("small 3", 0)
	starts("small 3")
	ends("huge")
	starts("c")
	w.memory.results = 97 * mib
	add("small 4", 0)
	add("d", mib)
	starts() // no task may start while results exceed the limit
	w.memory.results = 90 * mib
	starts("small 4")
	ends("c")
	starts("d")
	ends("d")
	if w.memory.arguments != 0 {
		t.Errorf("after all tasks have ended, %d bytes of arguments are counted, want 0", w.memory.arguments)
	}
}
