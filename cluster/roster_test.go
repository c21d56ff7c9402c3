package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"concert/cluster/internal/wire"
)

// TestRoster: what is counted as workers come, change, go and fall silent is what one gets by counting all of them.
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
