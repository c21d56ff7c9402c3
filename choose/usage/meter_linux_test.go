package usage

import (
	"testing"
	"time"
)

// machine simulates a thread, its clocks, and other programs that take its
// processor.
type machine struct {
	now   instant
	calls int
	taken map[int]time.Duration // the time for which other programs take the processor; the key is the number of a call
}

// clocks reads the clocks. Before it does, the thread may lose its processor.
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

// pass simulates that the thread runs for the duration d.
func (m *machine) pass(d time.Duration) {
	m.now.wall = m.now.wall.Add(d)
	m.now.thread += d
}

// lose simulates that the thread waits for a processor for the duration d.
func (m *machine) lose(d time.Duration) {
	m.now.wall = m.now.wall.Add(d)
	m.now.delay += d
}

// TestMeter_Preempted: if other programs use the processor while the clocks are
// read, this time must not count as run-queue delay of the work.
func TestMeter_Preempted(t *testing.T) {
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
		// The thread may lose time after the end of the work and before it
		// reads the clocks. This time may count as delay. Other lost time must
		// not count.
		if between := wall - slept - delayed; got < delayed || got > delayed+between {
			t.Errorf("taken at %v: a delay of %v in %v, want %v and up to %v more", taken, got, wall, delayed, between)
		}
	}
}
