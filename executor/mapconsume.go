package executor

import (
	"context"
	"runtime"
	"time"
)

// This file is the consumer's side of a Map, see mapping.go.

// consume yields results until there are no more.
func (m *mapping[In, Out]) consume(yield func(index int64, out Out, err error) bool) {
	var zero Out
	for yielded := int64(0); ; {
		it := m.line.next(m.ordered)
		if it == nil {
			more, err := m.sleep(yielded)
			if err != nil {
				yield(-1, zero, err)
			}
			if !more {
				return
			}
			continue
		}
		out, err := it.out, it.err
		it.out, it.err = zero, nil // the line must not keep it alive
		if m.labels != nil {
			m.labels.remove(it.index())
		}
		yielded++
		m.yielded.Store(yielded)
		if m.feederAsleep.Load() && m.taken.Load()-yielded <= m.window.Load()*3/4 {
			m.feederAsleep.Store(false)
			m.room.tell(nil)
		}
		if !yield(it.index(), out, err) {
			return
		}
	}
}

// sleep waits until there may be another result. If there will be no more
// results, it reports false, and returns the error that ends the sequence, if
// any. index is the index of the next result.
func (m *mapping[In, Out]) sleep(index int64) (more bool, err error) {
	if r := ReleaserOf(m.outer); r != nil {
		unlocked(r, func() { more, err = m.sleepUnlocked(index) })
		return more, err
	}
	return m.sleepUnlocked(index)
}

func (m *mapping[In, Out]) sleepUnlocked(index int64) (more bool, err error) {
	m.needed.Store(index)
	m.asleep.Store(drowsy)
	defer m.asleep.Store(awake)
	if m.line.ready(m.ordered) {
		return true, nil
	}
	if m.outer.Err() != nil {
		return false, context.Cause(m.outer)
	}
	if m.ended(index) {
		return false, nil
	}
	switch active, busy, failure := m.look(); {
	case failure != nil && !busy:
		// The last runner may have done the item before it left.
		if m.line.ready(m.ordered) {
			return true, nil
		}
		return false, failure
	case failure == nil && !active && (m.hasEncoded() || m.line.unclaimed()):
		m.start(m.outer)
		return true, nil
	}
	if s, self := standing(m.outer); s != nil {
		m.asleep.Store(deep)
		if m.line.ready(m.ordered) {
			return true, nil
		}
		err := m.sleepWorker(m.outer, s, self)
		return err == nil, err
	}
	if m.timer == nil {
		m.timer = time.NewTimer(turn)
	} else {
		m.timer.Reset(turn)
	}
	select {
	case <-m.wake:
		return true, nil
	case <-m.outer.Done():
		return true, nil
	case <-m.timer.C:
	}
	m.asleep.Store(deep)
	if m.line.ready(m.ordered) {
		return true, nil
	}
	select {
	case <-m.wake:
	case <-m.outer.Done():
	}
	return true, nil
}

// look reports whether runners are active. busy is also true while remote
// workers have items. failure is nil, or the reason why no more runners will
// start.
func (m *mapping[In, Out]) look() (active, busy bool, failure error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	active = m.active.Load() > 0
	return active, active || m.away.Load() > 0, m.failure
}

// ended reports whether all inputs have been taken, and there are no more than
// index results. If inputs are left, because the executor was shut down, the
// Map ends with an error instead. If the inputs panicked or called
// runtime.Goexit, so does ended.
func (m *mapping[In, Out]) ended(index int64) bool {
	select {
	case <-m.fed:
	default:
		return false
	}
	if m.taken.Load() != index || m.inputsLeft {
		return false
	}
	if m.inputPanic != nil {
		panic(m.inputPanic)
	}
	if m.inputGoexit {
		runtime.Goexit()
	}
	return true
}

// sleepWorker is sleep for a consumer that runs on a worker. If a runner waits
// for a worker of the same group, the consumer runs it. Otherwise the consumer
// blocks so that the search for deadlocks sees it.
func (m *mapping[In, Out]) sleepWorker(ctx context.Context, s *strand, self *Task) error {
	m.mu.Lock()
	runners := m.runners
	m.mu.Unlock()
	var on []*Task
	for _, r := range runners {
		switch r.task.state() {
		case pending:
			if s.tryNested(&r.task) {
				return nil
			}
			on = append(on, &r.task)
		case running:
			on = append(on, &r.task)
		}
	}
	if err := s.block(ctx, self, m.wake, on, nil); ctx.Err() == nil {
		return err
	}
	return nil // the caller looks
}

// rouse wakes the consumer if it sleeps.
func (m *mapping[In, Out]) rouse() {
	if m.asleep.Load() != awake {
		m.wake.tell(nil)
	}
}

// stop ends the feeder and the runners, and returns when they have ended.
func (m *mapping[In, Out]) stop() {
	if r := ReleaserOf(m.outer); r != nil {
		unlocked(r, m.stopUnlocked)
		return
	}
	m.stopUnlocked()
}

func (m *mapping[In, Out]) stopUnlocked() {
	m.stopped.Store(true)
	m.cancel(nil)
	if m.endForeign != nil {
		m.endForeign()
	}
	m.mu.Lock()
	runners := m.runners
	m.mu.Unlock()
	for _, r := range runners {
		r.task.Cancel(nil)
	}
	m.asleep.Store(deep)
	for {
		if _, busy, _ := m.look(); !busy {
			break
		}
		s, self := standing(m.outer)
		if s == nil || m.sleepWorker(context.WithoutCancel(m.outer), s, self) != nil {
			<-m.wake
		}
	}
	select {
	case <-m.fed:
		return
	default:
	}
	grace := time.NewTimer(inputGrace)
	defer grace.Stop()
	select {
	case <-m.fed:
	case <-grace.C:
	}
}
