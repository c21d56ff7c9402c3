package processes

import (
	"os"
	"time"

	"concert/processes/internal/shm"
)

// A Setting changes the configuration of a pool.
type Setting func(*config)

// NewWith is like New, but changes the configuration of the pool by settings.
func NewWith(n int, opts *Options, settings ...Setting) (*Pool, error) {
	c := defaultConfig()
	for _, set := range settings {
		set(&c)
	}
	return newWith(n, opts, c)
}

// ShareMemory sets the function that makes the memory that a pool shares with a
// worker.
func ShareMemory(f func(name string, size int) ([]byte, *os.File, error)) Setting {
	return func(c *config) { c.shareMemory = f }
}

// SealMemory sets the function that makes the file of a shared value.
func SealMemory(f func(name string, b []byte) (*os.File, error)) Setting {
	return func(c *config) { c.sealMemory = f }
}

// Trim sets the time after which a pool trims an arena. It also makes the
// trimming slow.
func Trim(after, slow time.Duration) Setting {
	return func(c *config) {
		c.trimAfter = after
		c.trimArena = func(a *shm.Arena) {
			time.Sleep(slow)
			a.Trim()
		}
	}
}

// Calls returns three values for each worker: the number of its calls, the
// number of further calls that the pool would send to it now, and whether
// its dispatch goroutine waits for calls.
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

// Silence sets the times after which the pool takes back the calls of a silent
// worker (takeBack), kills a worker whose process is stopped (stopped), and
// kills any other silent worker (kill).
func Silence(takeBack, stopped, kill time.Duration) Setting {
	return func(c *config) { c.silenceTakeBack, c.silenceStopped, c.silenceKill = takeBack, stopped, kill }
}

// StuckHandlers returns the number of calls of the handler of slog.Default
// that are stuck: they have not returned in time.
func (p *Pool) StuckHandlers() int { return int(p.defaultLog.stuck.Load()) }
