package worker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"concert/cluster/internal/wire"
)

// TestMemory_Askable: a worker asks for messages as long as there is memory for
// one, and for no more bytes than it has memory.
func TestMemory_Askable(t *testing.T) {
	for _, c := range []struct {
		most, held, asked, want int64
	}{
		{0, 0, 0, 16 << 20},
		{0, 0, 16 << 20, 8 << 20},
		{0, 31 << 20, 0, 1 << 20},
		{0, 31 << 20, 1, 0},
		{0, 100 << 20, 0, 0},
		{1, 0, 0, 2 << 20}, // the minimum
		{1 << 30, 0, 0, 128 << 20},
	} {
		t.Run(fmt.Sprintf("%d held of %d, %d requested", c.held, c.most, c.asked), func(t *testing.T) {
			m := newMemory(c.most)
			m.held, m.requested = c.held, c.asked
			if got := m.requestable(); got != c.want {
				t.Errorf("of %d, with %d held and %d asked for: %d, want %d", c.most, c.held, c.asked, got, c.want)
			}
		})
	}
	m := newMemory(-1)
	if m.held = 1 << 40; m.requestable() < wire.MaxMessageBytes {
		t.Error("there is a bound, and should be none")
	}
}

// TestMemory_Next: tasks with large arguments start in their order as far as
// there is memory, and other tasks pass those that wait for it.
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
	starts("huge") // alone
	add("small 3", 0)
	starts("small 3")
	ends("huge")
	starts("c")
	w.memory.results = 97 * mib
	add("small 4", 0)
	add("d", mib)
	starts() // they might also have results
	w.memory.results = 90 * mib
	starts("small 4")
	ends("c")
	starts("d")
	ends("d")
	if w.memory.arguments != 0 {
		t.Errorf("%d bytes of arguments are left", w.memory.arguments)
	}
}
