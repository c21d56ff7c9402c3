package processes

import (
	"math"
	"math/rand/v2"
	"testing"

	"concert/processes/internal/shm"
)

// TestInflight_Table: the test adds and removes frames in random order, in
// the table of frames and in a simple model. Both must contain the same
// frames, and must free the same spans.
func TestInflight_Table(t *testing.T) {
	type slow struct {
		seq    uint32
		places int
		there  bool
	}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		table := frameTable{next: math.MaxUint32 - 20} // so that numbers wrap around
		var all []slow                                 // all frames, except those whose spans were released
		for range 300 {
			if n := len(table.list); n == 0 || rng.IntN(2) == 0 && n < 40 {
				places := rng.IntN(3)
				f := table.add(callFrame{arenaSpans: places})
				all = append(all, slow{f.seq, places, true})
			} else {
				f := table.list[rng.IntN(n)]
				if rng.IntN(2) == 0 {
					f = table.list[0]
				}
				for i := range all {
					if all[i].seq == f.seq {
						all[i].there = false
					}
				}
				want := 0
				for len(all) > 0 && !all[0].there {
					want += all[0].places
					all = all[1:]
				}
				if got := table.remove(f); got != want {
					t.Fatalf("seed %d: remove frees %d spans, want %d", seed, got, want)
				}
			}
			there := 0
			for _, f := range all {
				got := table.get(f.seq)
				if f.there != (got != nil) || got != nil && got.seq != f.seq {
					t.Fatalf("seed %d: frame %d: get returns %v; the frame is in the table: %t", seed, f.seq, got, f.there)
				}
				if f.there {
					there++
				}
			}
			if there != len(table.list) {
				t.Fatalf("seed %d: %d frames, want %d", seed, len(table.list), there)
			}
			if w := table.window(); len(all) > 0 && w != int(table.next-all[0].seq) || there == 0 && w != 0 {
				t.Fatalf("seed %d: window %d", seed, w)
			}
		}
	}
}

// TestInflight_JournalSlots: two frames in the table must not share a slot
// of the journal. This must hold even if some frames stay in the table while
// many others are added and removed.
func TestInflight_JournalSlots(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		table := frameTable{next: math.MaxUint32 - 2000} // so that numbers wrap around
		used := map[uint32]bool{}
		for range 10_000 {
			if n := len(table.list); n < 3 || n < 40 && rng.IntN(2) == 0 {
				slot := table.add(callFrame{}).seq % shm.Slots
				if used[slot] {
					t.Fatalf("seed %d: two frames have slot %d", seed, slot)
				}
				used[slot] = true
				continue
			}
			f := table.list[len(table.list)-1-rng.IntN(len(table.list)-2)] // not one of the first two, which stay
			delete(used, f.seq%shm.Slots)
			table.remove(f)
		}
	}
}
