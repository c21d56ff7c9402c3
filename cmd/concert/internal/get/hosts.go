package get

import (
	"context"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// hosts decides which file is downloaded next. It keeps the files that have
// not started, and admits each attempt of the files that have started.
//
// # The data flow
//
//		list --> host.todo --next--> Map's inputs --> get --> download.Get
//		             ^                                            |
//		             |                                    acquire | before each attempt
//		             |                                            v
//		             |                               slot of the host <-- host.resume
//		             |                                            |
//		             +------- finished: the host is away <--------+ release(err)
//
//	 1. next yields a file whose host has a free slot. The file holds this slot
//	    already. So a file that waits needs neither a goroutine nor a slot.
//	 2. acquire finds that the file holds a slot, and returns.
//	 3. release gives the slot to the next file. If the attempt failed, Get
//	    pauses without a slot. Then acquire waits in host.resume for another one.
//	 4. finished forgets the file. If the host is away, it puts the file into
//	    host.again instead.
//
// # The rules
//
//   - A host has at most perHost slots.
//   - All hosts have at most jobs slots that count, and maxSilent*jobs in all.
//     A slot does not count while its transfer has received nothing for
//     silence. It counts again when bytes arrive.
//   - A free slot goes to the host that has the fewest slots. So each host
//     with waiting files gets one before another host gets a second, and slow
//     hosts cannot occupy all of them. Hosts with the same number of slots
//     take turns: the host that has had this number for the longest time is
//     first. A file that has started precedes the files that have not started.
//   - At most maxResume files in all, and startedPerSlot*perHost of a host,
//     pause or wait in acquire. Then no other files start.
//   - hosts_away.go has the rules for a host that cannot be reached.
//
// All methods may be called concurrently.
type hosts struct {
	jobs, perHost int
	patience      time.Duration    // the time after which a host that is away is given up
	onAway        func(awayNotice) // called without the lock when a host is away
	list          []*wanted        // nil for files that have finished; guarded by mu
	wake          chan struct{}    // wakes next; has a buffer of one

	mu       sync.Mutex
	byName   map[string]*host   // guarded by mu: the hosts by their names
	holders  map[*file]struct{} // guarded by mu: the files that hold a slot
	counting int                // guarded by mu: number of slots that count
	started  int                // guarded by mu: number of files that next has taken and that have not finished
	todo     int                // guarded by mu: number of files in todo of all hosts
	spent    map[int32]spent    // guarded by mu: what the files that wait again have used up, by index
	starting levels             // guarded by mu: hosts with files that may start
	resuming levels             // guarded by mu: hosts with files that may resume
	granted  []*file            // guarded by mu: files that hold a slot, and that next has not yielded yet
	lost     []*host            // guarded by mu: hosts that were given up, and whose files next yields without a slot
	stopped  error              // guarded by mu: why no further attempt may start; nil if it may
	looking  bool               // guarded by mu: whether a timer for lookForSilence runs
	notices  []awayNotice       // guarded by mu: arguments for onAway
}

const (
	silence        = 2 * time.Second
	maxSilent      = 4
	maxResume      = 512
	startedPerSlot = 4
	lookInterval   = 250 * time.Millisecond // time between two looks for silent transfers
)

// host is a host with its files. The mutex of hosts guards all fields.
type host struct {
	name    string
	todo    []int32 // indexes of the files that have not started
	again   []int32 // indexes of files that were returned because the host was away, as a stack; they start before the files of todo
	resume  []*waiter
	slots   int
	started int // number of started files that have not finished
	places  [2]place
	away
}

// file is a file that has started. The mutex of hosts guards the fields without
// another comment.
type file struct {
	*wanted
	index   int32
	host    *host                   // not changed
	cancel  context.CancelCauseFunc // ends the download; not changed
	slot    *host                   // the host whose slot the file holds, or nil
	replied bool                    // the attempt has a reply
	probing *host                   // the host whose probe the file is, or nil
	asked   bool                    // the file has asked for an attempt
	reads   bool                    // whether readsFile was called before the file asked for an attempt
	refused bool                    // the file got errAway
	pause   time.Duration           // the pause of its host when the attempt failed
	lost    error                   // why the file gets no attempt
	spent                           // used up by this task and earlier tasks of the file; not used concurrently

	steps  atomic.Int64 // the number of times that bytes or a reply arrived
	silent atomic.Bool  // the slot does not count; changed under mu
	seen   int64        // the value of steps when it was read last
	moved  time.Time    // the time at which a new value of steps was last read
}

// spent is what all tasks of a file together have used up. A file may need
// several tasks if its host is away.
type spent struct {
	begin    time.Time // when the first task began; zero if none has
	attempts int
}

// waiter is a file that waits in acquire.
type waiter struct {
	file  *file
	host  *host
	ready chan error // receives nil when the file holds a slot
}

// newHosts returns the scheduler of a list.
func newHosts(list []*wanted, jobs, perHost int, patience time.Duration, onAway func(awayNotice)) *hosts {
	perHost = min(perHost, maxSilent*jobs) // because there are not more slots in all
	s := &hosts{
		jobs: jobs, perHost: perHost, patience: patience, onAway: onAway, list: list, todo: len(list), wake: make(chan struct{}, 1),
		byName: make(map[string]*host), holders: make(map[*file]struct{}), spent: make(map[int32]spent), starting: levels{kind: 0}, resuming: levels{kind: 1},
	}
	s.mu.Lock()
	defer s.unlock()
	for i, w := range list {
		h := s.hostLocked(w.host)
		h.todo = append(h.todo, int32(i))
	}
	for _, w := range list {
		s.placeLocked(s.hostLocked(w.host)) // in the order of the list
	}
	return s
}

// width returns the maximum number of started files.
func (s *hosts) width() int { return maxSilent*s.jobs + maxResume }

func (s *hosts) hostLocked(name string) *host {
	h := s.byName[name]
	if h == nil {
		key := strings.ToLower(name)
		if h = s.byName[key]; h == nil {
			h = &host{name: key, places: [2]place{{level: -1}, {level: -1}}}
			s.byName[key] = h
		}
	}
	return h
}

// next returns an iterator over the files, in the order in which they may
// start. The iterator blocks while no file may start. It ends when all files
// have finished, or after a call of stop.
func (s *hosts) next() iter.Seq[*file] {
	return func(yield func(*file) bool) {
		for {
			f, ended := s.take()
			switch {
			case ended:
				return
			case f == nil:
				<-s.wake
			case !yield(f):
				return
			}
		}
	}
}

// take returns the next file that may start, or nil if no file may start now.
// The result ended is true if no file will start later either.
func (s *hosts) take() (f *file, ended bool) {
	s.mu.Lock()
	defer s.unlock()
	switch {
	case len(s.granted) > 0:
		f = s.granted[0]
		s.granted = s.granted[1:]
		return f, false
	case s.stopped != nil:
		return nil, true
	case len(s.lost) > 0:
		h := s.lost[0]
		f = s.startLocked(h)
		if len(f.mirrors()) == 0 {
			f.lost = h.err
		}
		if !h.hasTodo() {
			s.lost = s.lost[1:]
		}
		return f, false
	}
	return nil, s.todo == 0 && s.started == 0
}

// startLocked removes the next file of a host from todo.
func (s *hosts) startLocked(h *host) *file {
	i := h.nextTodo()
	if n := len(h.again); n > 0 {
		h.again = h.again[:n-1]
	} else {
		h.todo = h.todo[1:]
	}
	s.todo--
	s.started++
	h.started++
	before := s.spent[i]
	delete(s.spent, i)
	return &file{wanted: s.list[i], index: i, host: h, spent: before}
}

// nextTodo returns the index of the next file of todo.
func (h *host) nextTodo() int32 {
	if n := len(h.again); n > 0 {
		return h.again[n-1]
	}
	return h.todo[0]
}

func (h *host) hasTodo() bool { return len(h.again)+len(h.todo) > 0 }

// placeLocked updates the place of a host in the two levels. A host has a
// place in starting if one of its files may start, and in resuming if one may
// resume.
func (s *hosts) placeLocked(h *host) {
	start, resume := -1, -1
	if h.slots < s.perHost {
		if h.hasTodo() && !h.dead && h.started < startedPerSlot*s.perHost && (h.mayTry() || len(s.list[h.nextTodo()].mirrors()) > 0) {
			start = h.slots
		}
		if len(h.resume) > 0 {
			resume = h.slots
		}
	}
	s.starting.put(h, start)
	s.resuming.put(h, resume)
}

// unlock grants free slots, and then unlocks mu. It also calls onAway for the
// notices.
func (s *hosts) unlock() {
	for s.grantLocked() {
	}
	if len(s.granted) > 0 || len(s.lost) > 0 || s.stopped != nil || s.todo == 0 && s.started == 0 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	notices := s.notices
	s.notices = nil
	s.mu.Unlock()
	for _, n := range notices {
		s.onAway(n)
	}
}

// finished forgets a file whose download has ended. If the host of the file is
// away, the file has no result yet. Then finished returns true, and the file
// waits again. Otherwise it returns the error to report.
func (s *hosts) finished(f *file, err error) (waits bool, reported error) {
	s.mu.Lock()
	defer s.unlock()
	s.freeLocked(f)
	h := f.host
	s.started--
	h.started--
	s.endProbeLocked(f) // a file that is still the probe has made no attempt
	if f.refused && isAwayError(err) {
		if h.dead {
			err = &lostError{h.err, err}
		} else if s.stopped == nil {
			s.returnLocked(f)
			waits = true
		}
	}
	if !waits {
		s.list[f.index] = nil
	}
	s.placeLocked(h)
	return waits, err
}

// returnLocked makes a file wait again.
func (s *hosts) returnLocked(f *file) {
	if !f.begin.IsZero() {
		s.spent[f.index] = f.spent
	}
	f.host.again = append(f.host.again, f.index)
	s.todo++
}

// stop ends the iterator of next, and makes acquire return an error. It does
// not end attempts.
func (s *hosts) stop(cause error) {
	s.mu.Lock()
	defer s.unlock()
	if s.stopped != nil {
		return
	}
	s.stopped = cause
	for _, f := range s.granted {
		s.freeLocked(f)
		s.started--
		f.host.started--
		s.returnLocked(f)
	}
	s.granted = nil
	for _, h := range s.byName {
		h.refuse(cause)
		s.placeLocked(h)
	}
}

// refuse makes the waiters of a host return an error.
func (h *host) refuse(cause error) {
	for _, w := range h.resume {
		w.ready <- cause
	}
	h.resume = nil
}

// waiting returns the number of files that have not started.
func (s *hosts) waiting() int {
	s.mu.Lock()
	defer s.unlock()
	return s.todo
}
