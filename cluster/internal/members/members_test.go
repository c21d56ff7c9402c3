package members

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// TestView_Stalled: if this process gets no CPU time for a while, the View must
// not remove workers whose heartbeats it has not read yet. The View must still
// remove workers that are silent after that.
func TestView_Stalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stall atomic.Int64
		v := NewView(jet.DefaultTimes(), func() { time.Sleep(time.Duration(stall.Load())) })
		go v.removeSilent(t.Context())
		says := func(id string, number uint64) {
			v.addHeartbeat(id, advertised(t, Heartbeat{Capabilities: "c", Slots: 1, Number: number}), false, time.Time{})
		}
		says("gone", 1)
		time.Sleep(wire.WorkerTimeout - wire.HeartbeatPeriod)
		says("there", 1)
		stall.Store(int64(2 * wire.WorkerTimeout))
		time.Sleep(2 * wire.HeartbeatPeriod) // removeSilent removes the worker "gone", and then stalls
		if v.Alive("gone") {
			t.Error("a silent worker was not removed")
		}
		time.Sleep(2 * wire.WorkerTimeout) // removeSilent continues
		synctest.Wait()
		if v.Slots() != 1 {
			t.Error("a worker was removed although this process could not read its heartbeats")
		}
		stall.Store(0)
		says("there", 2)
		time.Sleep(wire.WorkerTimeout - time.Second)
		if !v.Alive("there") || v.Slots() != 1 {
			t.Error("a worker was removed before WorkerTimeout was over")
		}
		time.Sleep(2*wire.HeartbeatPeriod + time.Second)
		if v.Slots() != 0 {
			t.Error("a silent worker was not removed after the stall")
		}
	})
}

// TestView: after any sequence of events, the sums of workers and slots must be
// equal to the sums over all workers. In the random events, workers appear,
// change, deregister and become silent.
func TestView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewView(jet.DefaultTimes(), func() {})
		life := t.Context()
		go v.removeSilent(life)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 5000 {
			id := fmt.Sprint("worker", i/250*20+rng.IntN(40)) // no worker returns after its end
			text, err := wire.Marshal(&Heartbeat{Capabilities: fmt.Sprint("contract", rng.IntN(5)), Slots: rng.IntN(8), Draining: rng.IntN(4) == 0, Number: uint64(i + 1)})
			if err != nil {
				t.Fatal(err)
			}
			switch rng.IntN(10) {
			case 0:
				v.addHeartbeat(id, nil, true, time.Time{})
			case 1:
				v.addHeartbeat(id, []byte("broken"), false, time.Time{})
			case 2:
				time.Sleep(time.Duration(rng.IntN(8)) * time.Second) // some become silent
			default:
				v.addHeartbeat(id, text, false, time.Time{})
			}
			synctest.Wait()
			want, total := map[string]capacity{}, 0
			v.mu.Lock()
			for _, w := range v.members {
				s := want[w.Capabilities]
				s.workers++
				if !w.Draining {
					s.slots += w.Slots
					total += w.Slots
				}
				want[w.Capabilities] = s
			}
			if len(want) != len(v.capacities) {
				t.Fatalf("%d capability sets have workers, want %d", len(v.capacities), len(want))
			}
			for c, s := range want {
				if v.capacities[c] != s {
					t.Fatalf("%s has %+v, want %+v", c, v.capacities[c], s)
				}
			}
			v.mu.Unlock()
			if v.Slots() != total {
				t.Fatalf("%d slots, want %d", v.Slots(), total)
			}
		}
	})
}
