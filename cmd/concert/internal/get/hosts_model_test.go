package get

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// model is a slow and simple scheduler with the rules of hosts. It has no
// levels and no timers: it looks at all hosts for each decision.
type model struct {
	jobs, perHost int
	hosts         []*modelHost
	turn          int // increases with each change
	started       int
	before        time.Time // the time at which the operation began
}

type modelHost struct {
	name     string
	todo     []int32 // indexes of the files that have not started, the next one first
	resume   []int32 // indexes of the files that wait in acquire
	holders  map[int32]*modelSlot
	started  int
	startAt  modelPlace
	resumeAt modelPlace
}

// modelSlot is a slot that a file holds. Its last arrival of bytes, or its
// grant if nothing has arrived, was not before earliest.
type modelSlot struct{ earliest time.Time }

// modelPlace has the number of slots of a host that may start or resume files,
// and the turn since which it has had this number.
type modelPlace struct{ slots, turn int }

// place updates the turn in which a host got its place.
func (m *model) place(h *modelHost, p *modelPlace, may bool) {
	slots := -1
	if may && len(h.holders) < m.perHost {
		slots = len(h.holders)
	}
	if p.slots != slots {
		m.turn++
		*p = modelPlace{slots, m.turn}
	}
}

func (m *model) placeHost(h *modelHost) {
	m.place(h, &h.startAt, len(h.todo) > 0 && h.started < startedPerSlot*m.perHost)
	m.place(h, &h.resumeAt, len(h.resume) > 0)
}

// counting returns the number of slots that count, and the number of all
// slots.
func (m *model) counting(silent map[int32]bool) (counting, all int) {
	for _, h := range m.hosts {
		for i := range h.holders {
			all++
			if !silent[i] {
				counting++
			}
		}
	}
	return counting, all
}

// grant gives a slot to the next file, and returns it.
func (m *model) grant(silent map[int32]bool) (index int32, resumed, ok bool) {
	if counting, all := m.counting(silent); counting >= m.jobs || all >= maxSilent*m.jobs {
		return 0, false, false
	}
	var best *modelHost
	var at modelPlace
	for _, h := range m.hosts {
		for _, p := range []modelPlace{h.resumeAt, h.startAt} {
			isResume := p == h.resumeAt && p.slots >= 0 && len(h.resume) > 0 && p != h.startAt
			better := best == nil || p.slots < at.slots || p.slots == at.slots && (isResume && !resumed || isResume == resumed && p.turn < at.turn)
			if p.slots >= 0 && better && (isResume || m.started < maxSilent*m.jobs+maxResume) {
				best, at, resumed = h, p, isResume
			}
		}
	}
	if best == nil {
		return 0, false, false
	}
	if resumed {
		index, best.resume = best.resume[0], best.resume[1:]
	} else {
		index, best.todo = best.todo[0], best.todo[1:]
		best.started++
		m.started++
	}
	delete(silent, index)
	best.holders[index] = &modelSlot{m.before}
	m.placeHost(best)
	return index, resumed, true
}

// attempt is a started file of the test.
type attempt struct {
	file    *file
	host    *modelHost
	release func(error) // not nil while the file holds a slot
	waiter  *waiter     // not nil while the attempt waits in acquire
}

// TestHosts_Model: after random operations, the scheduler must start the same
// files as the model, in the same order.
func TestHosts_Model(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { compareWithModel(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func compareWithModel(t *testing.T, random *rand.Rand) {
	m := &model{jobs: 1 + random.IntN(6), perHost: 1 + random.IntN(4)}
	done := random.IntN(4) // operations with a number up to this one complete a file
	for i := range 1 + random.IntN(5) {
		m.hosts = append(m.hosts, &modelHost{name: fmt.Sprint("h", i), holders: map[int32]*modelSlot{}, startAt: modelPlace{slots: -1}, resumeAt: modelPlace{slots: -1}})
	}
	var list []*wanted
	for i := range 5 + random.IntN(60) {
		h := m.hosts[random.IntN(len(m.hosts))]
		h.todo = append(h.todo, int32(i))
		list = append(list, &wanted{host: h.name})
	}
	for _, w := range list {
		for _, h := range m.hosts {
			if h.name == w.host {
				m.placeHost(h)
			}
		}
	}
	s := newHosts(list, m.jobs, m.perHost, time.Minute, func(awayNotice) {})
	silent := map[int32]bool{}
	begun := map[int32]*attempt{}
	// settle compares what the scheduler and the model have granted.
	settle := func(step string) {
		t.Helper()
		synctest.Wait()
		for _, h := range m.hosts {
			for i := range h.holders {
				silent[i] = begun[i] != nil && begun[i].file.silent.Load()
			}
		}
		for {
			i, resumed, ok := m.grant(silent)
			if !ok {
				break
			}
			if resumed {
				a := begun[i]
				select {
				case <-a.waiter.ready:
				default:
					t.Fatalf("%s: file %d must resume, and does not", step, i)
				}
				a.waiter = nil
				a.release = func(err error) { s.release(t.Context(), a.file, err) }
				continue
			}
			f, _ := s.take()
			if f == nil || f.index != i {
				t.Fatalf("%s: started %v, want file %d", step, f, i)
			}
			release, err := s.acquire(t.Context(), f, f.wanted.host)
			if err != nil {
				t.Fatal(err)
			}
			var of *modelHost
			for _, h := range m.hosts {
				if h.name == f.wanted.host {
					of = h
				}
			}
			begun[i] = &attempt{file: f, host: of, release: release}
		}
		if f, _ := s.take(); f != nil {
			t.Fatalf("%s: file %d started without a slot", step, f.index)
		}
		for i, a := range begun {
			if a.waiter != nil && len(a.waiter.ready) > 0 {
				t.Fatalf("%s: file %d resumed without a slot", step, i)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if counting, all := m.counting(silent); counting != s.counting || all != len(s.holders) {
			t.Fatalf("%s: %d of %d slots count, want %d of %d", step, s.counting, len(s.holders), counting, all)
		}
	}
	m.before = time.Now()
	settle("begin")
	for n := 0; len(begun) > 0; n++ {
		var indexes []int32
		for i := range begun {
			indexes = append(indexes, i)
		}
		slices.Sort(indexes)
		i := indexes[random.IntN(len(indexes))]
		a := begun[i]
		h := a.host
		step := fmt.Sprint("step ", n, ", file ", i)
		m.before = time.Now()
		switch k := random.IntN(10); {
		case k <= done && a.release != nil: // the file is complete
			step += " done"
			a.release(nil)
			delete(h.holders, i)
			m.placeHost(h)
			s.finished(a.file, nil)
			h.started--
			m.started--
			m.placeHost(h)
			delete(begun, i)
		case k < 5 && a.release != nil: // an attempt failed
			step += " failed"
			a.release(errors.New("failed"))
			a.release = nil
			delete(h.holders, i)
			m.placeHost(h)
		case k < 8 && a.release == nil && a.waiter == nil: // the pause of a failed attempt has ended
			step += " resumes"
			h.resume = append(h.resume, i)
			m.placeHost(h)
			w, err := s.ask(a.file, h.name)
			if err != nil {
				t.Fatal(err)
			}
			a.waiter = w
		case k == 8 && a.release != nil: // bytes have arrived
			step += " receives"
			s.arrived(a.file)
			h.holders[i] = &modelSlot{time.Now()}
		case k == 9:
			step += " time"
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		default:
			continue
		}
		settle(step)
		checkSilence(t, step, s, begun)
	}
	synctest.Wait()
	if _, ended := s.take(); !ended || s.todo != 0 || s.started != 0 || s.counting != 0 || len(s.holders) != 0 {
		t.Errorf("at the end: %d files wait, %d have started, %d slots", s.todo, s.started, len(s.holders))
	}
}

// checkSilence checks that the slots that do not count are silent.
func checkSilence(t *testing.T, step string, s *hosts, begun map[int32]*attempt) {
	t.Helper()
	for i, a := range begun {
		if a.release == nil || !a.file.silent.Load() {
			continue
		}
		if quiet := time.Since(a.host.holders[i].earliest); quiet < silence {
			t.Fatalf("%s: file %d does not count after %v", step, i, quiet)
		}
	}
}
