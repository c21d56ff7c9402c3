package processes

import (
	"os"
	"time"

	"concert/processes/internal/shm"
)

// ShareMemory replaces the function by which pools make shared memory, until
// undo.
func ShareMemory(f func(name string, size int) ([]byte, *os.File, error)) (undo func()) {
	before := shareMemory
	shareMemory = f
	return func() { shareMemory = before }
}

// Trim sets the time after which pools trim an arena, and makes trimming slow,
// until undo.
func Trim(after, slow time.Duration) (undo func()) {
	before := trimAfter
	trimAfter = after
	trimArena = func(a *shm.Arena) {
		time.Sleep(slow)
		a.Trim()
	}
	return func() { trimAfter, trimArena = before, (*shm.Arena).Trim }
}

// Calls returns, for each worker, how many calls it has, how many more it would
// take, and whether it sleeps until it gets calls.
func (p *Pool) Calls() (calls, room []int, asleep []bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.active {
		if w != nil {
			calls, room, asleep = append(calls, w.count), append(room, w.capacityLocked()), append(asleep, w.asleep)
		}
	}
	return calls, room, asleep
}

// Gone returns a channel that is closed when the pool has no worker left.
func (p *Pool) Gone() <-chan struct{} { return p.gone }

// KillAll kills workers as Shutdown does after the grace period.
func (p *Pool) KillAll(cause error) (running []string) { return p.killAll(cause) }

// Silence sets the times after which a worker that begins no calls loses them,
// and after which it is killed, until undo.
func Silence(takeBack, stopped, kill time.Duration) (undo func()) {
	a, b, c := silenceTakeBack, silenceStopped, silenceKill
	silenceTakeBack, silenceStopped, silenceKill = takeBack, stopped, kill
	return func() { silenceTakeBack, silenceStopped, silenceKill = a, b, c }
}

// StuckHandlers returns how many calls of the handler of slog.Default have not
// returned in time.
func (p *Pool) StuckHandlers() int { return int(p.defaultLog.stuck.Load()) }

// Waiters returns how many submitters wait for room, including canceled ones.
func (p *Pool) Waiters() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiters)
}
