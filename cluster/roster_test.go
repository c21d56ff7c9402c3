package cluster

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

// TestRoster_Stalled: a process that had no processor for a while does not take
// workers for gone that were not silent: what they said has only not been read.
func TestRoster_Stalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stall atomic.Int64
		r := newRoster(func() { time.Sleep(time.Duration(stall.Load())) })
		go r.age(t.Context())
		says := func(id string, number uint64) {
			r.worker(id, advertised(t, advert{Contract: "c", Places: 1, Number: number}), false)
		}
		says("gone", 1)
		time.Sleep(jet.WorkerTimeout - jet.HeartbeatPeriod)
		says("there", 1)
		stall.Store(int64(2 * jet.WorkerTimeout))
		time.Sleep(2 * jet.HeartbeatPeriod) // age has found that one is gone, and stalls
		if r.alive("gone") {
			t.Error("a silent worker is not gone")
		}
		time.Sleep(2 * jet.WorkerTimeout) // it has looked again
		synctest.Wait()
		if r.places() != 1 {
			t.Error("a worker is gone although nothing could be read of it")
		}
		stall.Store(0)
		says("there", 2)
		time.Sleep(jet.WorkerTimeout - time.Second)
		if !r.alive("there") || r.places() != 1 {
			t.Error("a worker is gone before it was silent for long enough")
		}
		time.Sleep(2*jet.HeartbeatPeriod + time.Second)
		if r.places() != 0 {
			t.Error("a silent worker is never gone")
		}
	})
}

// TestRoster: what is counted as workers come, change, go and fall silent is
// what one gets by counting all of them.
func TestRoster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoster(func() {})
		life := t.Context()
		go r.age(life)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 5000 {
			id := fmt.Sprint("worker", i/250*20+rng.IntN(40)) // none comes again after its end
			text, err := wire.Marshal(&advert{Contract: fmt.Sprint("contract", rng.IntN(5)), Places: rng.IntN(8), Draining: rng.IntN(4) == 0, Number: uint64(i + 1)})
			if err != nil {
				t.Fatal(err)
			}
			switch rng.IntN(10) {
			case 0:
				r.worker(id, nil, true)
			case 1:
				r.worker(id, []byte("broken"), false)
			case 2:
				time.Sleep(time.Duration(rng.IntN(8)) * time.Second) // some fall silent
			default:
				r.worker(id, text, false)
			}
			synctest.Wait()
			want, total := map[string]staff{}, 0
			r.mu.Lock()
			for _, w := range r.workers {
				s := want[w.Contract]
				s.workers++
				if !w.Draining {
					s.places += w.Places
					total += w.Places
				}
				want[w.Contract] = s
			}
			if len(want) != len(r.staff) {
				t.Fatalf("%d contracts have staff, want %d", len(r.staff), len(want))
			}
			for c, s := range want {
				if r.staff[c] != s {
					t.Fatalf("%s has %+v, want %+v", c, r.staff[c], s)
				}
			}
			r.mu.Unlock()
			if r.places() != total {
				t.Fatalf("%d places, want %d", r.places(), total)
			}
		}
	})
}
