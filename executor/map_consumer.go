package executor

import (
	"context"
	"runtime"
	"time"
)

// This file implements the consumer of a Map: see map.go.

// consume yields all results of the Map, and then the error that concerns the
// whole Map, if there is one.
func (m *mapRun[In, Out]) consume(yield func(index int64, out Out, err error) bool) {
	var zero Out
	for yielded := int64(0); ; {
		it := m.buffer.next(m.ordered)
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
		it.out, it.err = zero, nil // so that the buffer does not keep the result alive
		if m.labels != nil {
			m.labels.remove(it.index())
		}
		index := it.index()
		if m.indexes != nil {
			index = m.indexes.remove(index)
		}
		yielded++
		m.yielded.Store(yielded)
		if m.feederAsleep.Load() && m.taken.Load()-yielded <= m.window.Load()*3/4 {
			m.feederAsleep.Store(false)
			m.room.notify(nil)
		}
		if !yield(index, out, err) {
			return
		}
	}
}

// sleep waits until there may be another result. If there will be no more
// results, it reports false, and returns the error that ends the sequence, if
// any. index is the index of the next result.
func (m *mapRun[In, Out]) sleep(index int64) (more bool, err error) {
	if r := ReleaserOf(m.caller); r != nil {
		unlocked(r, func() { more, err = m.sleepUnlocked(index) })
		return more, err
	}
	return m.sleepUnlocked(index)
}

func (m *mapRun[In, Out]) sleepUnlocked(index int64) (more bool, err error) {
	m.needed.Store(index)
	m.asleep.Store(wakeAtTurnEnd)
	defer m.asleep.Store(awake)
	if m.buffer.ready(m.ordered) {
		return true, nil
	}
	if m.caller.Err() != nil {
		return false, context.Cause(m.caller)
	}
	if m.ended(index) {
		return false, nil
	}
	switch active, busy, failure := m.look(); {
	case failure != nil && !busy:
		// The last runner may have finished the item before it left.
		if m.buffer.ready(m.ordered) {
			return true, nil
		}
		return false, failure
	case failure == nil && !active && (m.hasEncoded() || m.buffer.unclaimed()):
		m.start(m.caller)
		return true, nil
	}
	if s, self := carrierOf(m.caller); s != nil {
		m.asleep.Store(wakeAtOnce)
		if m.buffer.ready(m.ordered) {
			return true, nil
		}
		err := m.sleepWorker(m.caller, s, self)
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
	case <-m.caller.Done():
		return true, nil
	case <-m.timer.C:
	}
	m.asleep.Store(wakeAtOnce)
	if m.buffer.ready(m.ordered) {
		return true, nil
	}
	select {
	case <-m.wake:
	case <-m.caller.Done():
	}
	return true, nil
}

// look returns the state of the runners. The result active is true if a
// runner is in the executor. The result busy is true if active is true, or
// if remote workers have items. The result failure is the reason why no
// runner will start again, or nil.
func (m *mapRun[In, Out]) look() (active, busy bool, failure error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	active = m.active.Load() > 0
	return active, active || m.remoteItems.Load() > 0, m.failure
}

// ended reports whether the inputs have ended and all results were yielded.
// The parameter index is the number of yielded results. If the feeder
// stopped before the end of the inputs, the Map ends with an error, and
// ended reports false. If the inputs panicked or called runtime.Goexit,
// ended does the same after the last result.
func (m *mapRun[In, Out]) ended(index int64) bool {
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

// sleepWorker does the same as mapRun.sleep, for a consumer that runs in a
// task. If a runner is queued in the group of this task, the consumer runs that
// runner. Otherwise the consumer blocks, and its wait enters the wait graph.
func (m *mapRun[In, Out]) sleepWorker(ctx context.Context, s *carrier, self *Task) error {
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
	return nil // ctx has ended; sleep's caller handles that
}

// wakeConsumer wakes the consumer if it sleeps.
func (m *mapRun[In, Out]) wakeConsumer() {
	if m.asleep.Load() != awake {
		m.wake.notify(nil)
	}
}

// stop ends the feeder and the runners, and blocks until they have ended.
func (m *mapRun[In, Out]) stop() {
	if r := ReleaserOf(m.caller); r != nil {
		unlocked(r, m.stopUnlocked)
		return
	}
	m.stopUnlocked()
}

func (m *mapRun[In, Out]) stopUnlocked() {
	m.stopped.Store(true)
	m.cancel(nil)
	m.endForeign()
	m.mu.Lock()
	runners := m.runners
	m.mu.Unlock()
	for _, r := range runners {
		r.task.Cancel(nil)
	}
	m.asleep.Store(wakeAtOnce)
	for {
		if _, busy, _ := m.look(); !busy {
			break
		}
		s, self := carrierOf(m.caller)
		if s == nil || m.sleepWorker(context.WithoutCancel(m.caller), s, self) != nil {
			<-m.wake
		}
	}
	m.dropEncoded()
	if isMappedResult[Out]() {
		m.buffer.releaseResults()
	}
	select {
	case <-m.fed:
		return
	default:
	}
	select {
	case <-m.fed:
	case <-time.After(inputGrace):
	}
}
