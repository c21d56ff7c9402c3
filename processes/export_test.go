package processes

import (
	"os"
	"time"

	"concert/processes/internal/shm"
)

// ShareMemory has pools make it in another way, until undo.
func ShareMemory(f func(name string, size int) ([]byte, *os.File, error)) (undo func()) {
	before := shareMemory
	shareMemory = f
	return func() { shareMemory = before }
}

// Trim has pools give the memory of large values back after another time, and
// take some time for it, until undo.
func Trim(after, slow time.Duration) (undo func()) {
	before := trimAfter
	trimAfter = after
	trimArena = func(a *shm.Arena) {
		time.Sleep(slow)
		a.Trim()
	}
	return func() { trimAfter, trimArena = before, (*shm.Arena).Trim }
}

// Calls returns how many calls each worker has, how many more it would take,
// and whether it waits for them.
func (p *Pool) Calls() (calls, room []int, asleep []bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.active {
		if w != nil {
			calls, room, asleep = append(calls, w.count), append(room, w.roomLocked()), append(asleep, w.asleep)
		}
	}
	return calls, room, asleep
}

// Gone is closed when no worker of the pool is left.
func (p *Pool) Gone() <-chan struct{} { return p.gone }

// KillAll kills workers as Shutdown does when the grace period is over.
func (p *Pool) KillAll(cause error) (running []string) { return p.killAll(cause) }

// Silence sets the times after which workers that begin no calls lose them, and
// are killed, until undo.
func Silence(takeBack, stopped, kill time.Duration) (undo func()) {
	a, b, c := silenceTakeBack, silenceStopped, silenceKill
	silenceTakeBack, silenceStopped, silenceKill = takeBack, stopped, kill
	return func() { silenceTakeBack, silenceStopped, silenceKill = a, b, c }
}

// StuckHandlers returns how many calls of the handler of slog.Default have not
// returned in time.
func (p *Pool) StuckHandlers() int { return int(p.defaultLog.stuck.Load()) }

// Waiters returns how many submitters wait for room, stale ones included.
func (p *Pool) Waiters() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiters)
}
