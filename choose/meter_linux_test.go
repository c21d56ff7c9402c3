package choose

import (
	"testing"
	"time"
)

// machine is a thread, its clocks, and other programs that take its processor.
type machine struct {
	now   instant
	calls int
	taken map[int]time.Duration // by others at a call, by its number
}

// clocks reads the clocks, and may lose the processor before.
func (m *machine) clocks() instant {
	m.calls++
	m.lose(m.taken[m.calls])
	m.pass(time.Microsecond)
	now := m.now
	now.delay = 0
	return now
}

func (m *machine) delay() time.Duration {
	m.calls++
	m.lose(m.taken[m.calls])
	m.pass(time.Microsecond)
	return m.now.delay
}

// pass has the thread run.
func (m *machine) pass(d time.Duration) {
	m.now.wall = m.now.wall.Add(d)
	m.now.thread += d
}

// lose has the thread wait for the processor.
func (m *machine) lose(d time.Duration) {
	m.now.wall = m.now.wall.Add(d)
	m.now.delay += d
}

// TestInstant_Preempted: what other programs take while the clocks are read is
// no run-queue delay of the work, whenever they take it.
func TestInstant_Preempted(t *testing.T) {
	const slept, delayed, long = 30 * time.Millisecond, 5 * time.Millisecond, 40 * time.Millisecond
	rows := []map[int]time.Duration{{}}
	for first := 1; first <= 10; first++ {
		rows = append(rows, map[int]time.Duration{first: long})
		for second := first + 1; second <= 10; second++ {
			rows = append(rows, map[int]time.Duration{first: long, second: 2 * long})
		}
	}
	for _, taken := range rows {
		m := &machine{now: instant{wall: time.Now()}, taken: taken}
		begin := instantOf(m.clocks, m.delay)
		m.now.wall = m.now.wall.Add(slept)
		m.lose(delayed)
		end := m.clocks()
		later := instantOf(m.clocks, m.delay)
		wall, got := end.wall.Sub(begin.wall), begin.delayUntil(end, later)
		// Only what it takes before it reads the clocks at the end is in the
		// work's time.
		if between := wall - slept - delayed; got < delayed || got > delayed+between {
			t.Errorf("taken at %v: a delay of %v in %v, want %v and up to %v more", taken, got, wall, delayed, between)
		}
	}
}
