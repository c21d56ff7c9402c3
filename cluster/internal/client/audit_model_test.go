package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"concert/cluster/internal/wire"
)

// model is a state of one call, its client, the servers and two workers. It has
// no time: an event that occurs after some time may occur in any state. So the
// model also covers jumps of the servers' clock. If the clock jumps forward, a
// result or a task expires, or a lease ends. If it jumps back, these events
// occur later.
type model struct {
	client   modelClient
	canceled bool       // the call is canceled
	missed   uint8      // number of times that the call was sent again
	found    wire.State // the state that the last audit has found, if audited
	audited  bool
	knows    uint8 // the number, counted from 1, of the worker from which the client has received a hint; 0 for none

	away     bool          // the client has no connection
	down     bool          // the servers have no connection
	consumer modelConsumer // the consumer of the session
	used     bool          // the servers have stored the id of the message, and may drop another publication as a duplicate
	queue    modelQueue
	result   bool // a result is stored

	workers [2]modelWorker
}

type modelClient uint8

const (
	posts modelClient = iota // publishes until the servers acknowledge
	sent
	settles
)

type modelConsumer uint8

const (
	delivers modelConsumer = iota
	forgotten
	stuck
)

type modelQueue uint8

const (
	empty modelQueue = iota
	queued
	leased
)

// modelWorker is the state of the call in a worker. A worker that is lost
// becomes idle: another worker takes its place.
type modelWorker struct {
	does  modelWork
	holds bool // the worker holds the message that is in the queue now
}

type modelWork uint8

const (
	idle modelWork = iota
	runs
	reports // the worker's result is stored, or was refused
)

// modelEvent is an event. The function after returns the state to which the
// event leads from a given state. If the event cannot occur in the given
// state, the function returns this state unchanged.
type modelEvent struct {
	name  string
	after func(m model) model
}

// if_ returns a copy of the state. If the condition is true, it first calls
// change with the copy.
func (m model) if_(condition bool, change func(m *model)) model {
	if condition {
		change(&m)
	}
	return m
}

// reached reports whether the client and the servers have a connection.
func (m model) reached() bool { return !m.away && !m.down }

// removeTask removes the task from the queue.
func (m *model) removeTask() {
	m.queue = empty
	for i := range m.workers {
		m.workers[i].holds = false
	}
}

// audit audits the call, and changes the state as the client does for the
// result of judge.
func (m *model) audit(judge func(state wire.State, since time.Duration, canceled bool, missed int) verdict) {
	state := wire.Absent
	switch {
	case m.queue != empty:
		state = wire.Queued
	case m.result:
		state = wire.Answered
	}
	since := time.Duration(0)
	if m.audited && m.found == state {
		since = AuditAge
	}
	m.audited, m.found = true, state
	switch judge(state, since, m.canceled, int(m.missed)) {
	case renew:
		m.consumer = delivers
	case resend:
		m.missed++
		m.client, m.used, m.audited = posts, false, false
	case fail:
		m.client = settles
	}
}

// progress has the events that occur sooner or later if the servers, a
// worker and the network work.
var progress = append([]modelEvent{
	{"the servers are there", func(m model) model { m.down = false; return m }},
	{"the client connects", func(m model) model { m.away = false; return m }},
	{"the task is stored", func(m model) model {
		return m.if_(m.client == posts && m.reached(), func(m *model) {
			if m.queue == empty {
				m.queue = queued
			}
			m.client, m.used = sent, true
		})
	}},
	{"the lease ends", func(m model) model {
		return m.if_(m.queue == leased && !m.down, func(m *model) { m.queue = queued })
	}},
	{"the client creates the consumer again", func(m model) model {
		return m.if_(m.consumer == forgotten && m.reached(), func(m *model) { m.consumer = delivers })
	}},
	{"the result is delivered", func(m model) model {
		return m.if_(m.result && m.consumer == delivers && m.reached(), func(m *model) { m.client, m.result = settles, false })
	}},
	{"the grace period ends", func(m model) model {
		return m.if_(m.canceled && m.knows == 0, func(m *model) { m.client = settles })
	}},
}, eachWorker([]workerEvent{
	{"takes the task", func(m *model, w *modelWorker, i int) {
		if m.queue == queued && w.does == idle && !m.down {
			m.queue, *w, m.knows = leased, modelWorker{runs, true}, uint8(i+1)
		}
	}},
	{"has run it, and its result is stored", func(m *model, w *modelWorker, _ int) {
		if w.does == runs && !m.down {
			w.does, m.result = reports, true
		}
	}},
	{"acknowledges the task", func(m *model, w *modelWorker, _ int) {
		if w.does == reports && !m.down {
			if w.holds {
				m.removeTask()
			}
			*w = modelWorker{}
		}
	}},
})...)

// faults has the events that may occur at any time.
var faults = append([]modelEvent{
	{"the servers are down", func(m model) model { m.down = true; return m }},
	{"the client is away", func(m model) model { m.away = true; return m }},
	{"the caller cancels", func(m model) model { return m.if_(m.client != settles, func(m *model) { m.canceled = true }) }},
	{"a Submit with the same id replaces the canceled call", func(m model) model {
		return m.if_(m.canceled, func(m *model) { m.client = settles })
	}},
	{"the task is stored, and its acknowledgment is lost", func(m model) model {
		return m.if_(m.client == posts && m.reached(), func(m *model) {
			if m.queue == empty {
				m.queue = queued
			}
			m.used = true
		})
	}},
	{"the servers drop the task as a duplicate", func(m model) model {
		return m.if_(m.client == posts && m.reached() && m.used, func(m *model) { m.client = sent })
	}},
	{"the task expires, or is purged", func(m model) model { m.removeTask(); return m }},
	{"the result expires, or is purged", func(m model) model { m.result = false; return m }},
	{"the result is delivered, and its acknowledgment is lost", func(m model) model {
		return m.if_(m.result && m.consumer == delivers && m.reached(), func(m *model) { m.client = settles })
	}},
	{"the disks are lost", func(m model) model {
		m.removeTask()
		m.result, m.used, m.consumer = false, false, forgotten
		return m
	}},
	{"the servers delete the session", func(m model) model { m.consumer = forgotten; return m }},
	{"the consumer is stuck", func(m model) model {
		return m.if_(m.consumer == delivers, func(m *model) { m.consumer = stuck })
	}},
}, eachWorker([]workerEvent{
	{"is lost", func(m *model, w *modelWorker, i int) {
		*w = modelWorker{}
		if m.knows == uint8(i+1) {
			m.knows = 0
		}
	}},
	{"refuses the task", func(m *model, w *modelWorker, _ int) {
		if m.queue == queued && w.does == idle && !m.down {
			m.removeTask()
		}
	}},
})...)

// workerEvent is an event of any worker.
type workerEvent struct {
	name  string
	occur func(m *model, w *modelWorker, i int)
}

// eachWorker returns the events of each worker.
func eachWorker(events []workerEvent) (all []modelEvent) {
	for _, e := range events {
		for i := range (model{}).workers {
			all = append(all, modelEvent{fmt.Sprintf("worker %d %s", i+1, e.name), func(m model) model {
				e.occur(&m, &m.workers[i], i)
				return m
			}})
		}
	}
	return all
}

// exploration contains all states that can be reached.
type exploration struct {
	states []model  // in the order in which they were reached
	from   []int    // for each state: the state from which it was reached first
	event  []string // for each state: the event by which it was reached first
	stuck  []int    // the states from which progress alone does not settle the call
}

// explore finds all states that can be reached from the first state.
func explore(progress, faults []modelEvent) *exploration {
	x := &exploration{states: []model{{}}, from: []int{0}, event: []string{""}}
	number := map[model]int{{}: 0}
	before := [][]int{nil} // for each state: the states from which an event of progress leads to it
	for i := 0; i < len(x.states); i++ {
		for n, e := range append(progress[:len(progress):len(progress)], faults...) {
			next := e.after(x.states[i])
			if next == x.states[i] {
				continue
			}
			to, known := number[next]
			if !known {
				to = len(x.states)
				number[next] = to
				x.states, x.from, x.event, before = append(x.states, next), append(x.from, i), append(x.event, e.name), append(before, nil)
			}
			if n < len(progress) {
				before[to] = append(before[to], i)
			}
		}
	}
	can := make([]bool, len(x.states))
	var ahead []int
	for i, m := range x.states {
		if m.client == settles {
			can[i] = true
			ahead = append(ahead, i)
		}
	}
	for ; len(ahead) > 0; ahead = ahead[1:] {
		for _, i := range before[ahead[0]] {
			if !can[i] {
				can[i] = true
				ahead = append(ahead, i)
			}
		}
	}
	for i := range x.states {
		if !can[i] {
			x.stuck = append(x.stuck, i)
		}
	}
	return x
}

// path returns the events that lead to a state.
func (x *exploration) path(state int) string {
	var events []string
	for ; state != 0; state = x.from[state] {
		events = append(events, x.event[state])
	}
	slices.Reverse(events)
	return strings.Join(events, "\n\t")
}

// TestAudit_Model: from each state that any sequence of failures can reach, the
// call must settle if nothing fails for long enough. If the audit or a part of
// it is switched off, there must be states from which the call never settles.
func TestAudit_Model(t *testing.T) {
	for _, row := range []struct {
		name  string
		judge func(state wire.State, since time.Duration, canceled bool, missed int) verdict
		safe  bool
	}{
		{"as it is", judge, true},
		{"without an audit", func(wire.State, time.Duration, bool, int) verdict { return wait }, false},
		{"without renewal of the consumer", func(state wire.State, since time.Duration, canceled bool, missed int) verdict {
			return judge(min(state, wire.Queued), since, canceled, missed)
		}, false},
		{"without canceled calls", func(state wire.State, since time.Duration, canceled bool, missed int) verdict {
			if canceled {
				return wait
			}
			return judge(state, since, canceled, missed)
		}, false},
		{"without an end", func(state wire.State, since time.Duration, canceled bool, missed int) verdict {
			if v := judge(state, since, canceled, missed); v != fail {
				return v
			}
			return wait
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			audit := modelEvent{"the call is audited", func(m model) model {
				return m.if_(m.client == sent && m.reached(), func(m *model) { m.audit(row.judge) })
			}}
			x := explore(append(progress[:len(progress):len(progress)], audit), faults)
			t.Logf("%d states; the call does not settle from %d states", len(x.states), len(x.stuck))
			switch {
			case row.safe && len(x.stuck) > 0:
				t.Errorf("the call does not settle after:\n\t%s\nin the state %+v", x.path(x.stuck[0]), x.states[x.stuck[0]])
			case !row.safe && len(x.stuck) == 0:
				t.Error("the call settles from all states; want states from which it does not")
			case !row.safe:
				t.Logf("the call does not settle after:\n\t%s", x.path(x.stuck[0]))
			}
			for _, m := range x.states {
				if m.missed > maxResends {
					t.Fatalf("the call was sent again %d times", m.missed)
				}
			}
		})
	}
}
