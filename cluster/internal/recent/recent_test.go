package recent

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSet_SameAsList: after random calls of Add, a Set must have the same keys
// as a list of the keys that were added last.
func TestSet_SameAsList(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for most := range 6 {
		most++
		r := Set[int]{Max: most}
		var list []int
		for range 1000 {
			key := rng.IntN(2 * most)
			r.Add(key)
			if !slices.Contains(list, key) {
				list = append(list, key)
				list = list[max(0, len(list)-most):]
			}
			for k := range 2 * most {
				if r.Has(k) != slices.Contains(list, k) {
					t.Fatalf("Max %d: Has(%d) = %v; want the keys %v", most, k, r.Has(k), list)
				}
			}
		}
	}
}
