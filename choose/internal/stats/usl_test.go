package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestFitUSL(t *testing.T) {
	levels := []int{1, 2, 4, 8, 16, 32, 64}
	for _, law := range []USL{
		{Alone: 100, Contention: 0, Coherency: 0},
		{Alone: 100, Contention: 0.05, Coherency: 0},
		{Alone: 3e7, Contention: 0.02, Coherency: 0.001},
		{Alone: 0.2, Contention: 0.5, Coherency: 0.0001},
		{Alone: 50, Contention: 0, Coherency: 0.01},
	} {
		var rates []float64
		for _, n := range levels {
			rates = append(rates, law.At(float64(n)))
		}
		got := FitUSL(levels, rates)
		if got == nil {
			t.Errorf("FitUSL() = nil for %+v", law)
			continue
		}
		if math.Abs(got.Alone/law.Alone-1) > 1e-6 || math.Abs(got.Contention-law.Contention) > 1e-6 || math.Abs(got.Coherency-law.Coherency) > 1e-6 {
			t.Errorf("FitUSL() = %+v, want %+v", *got, law)
		}
		// No level is better than the peak.
		if got.Peak > 0 {
			if top := got.At(got.Peak); got.At(got.Peak*1.1) > top || got.At(got.Peak/1.1) > top {
				t.Errorf("%+v has no peak at %v", law, got.Peak)
			}
		} else if law.Coherency > 0.0005 {
			t.Errorf("FitUSL() has no peak for %+v at %v", law, levels)
		}
		if got.Peak > 64 {
			t.Errorf("the peak %v is above the highest level", got.Peak)
		}
	}
	if f := FitUSL(levels[:5], []float64{1, 2, 3, 4, 5}); f != nil {
		t.Errorf("FitUSL() = %+v for five levels, want nil", *f)
	}
	if f := FitUSL(levels, []float64{1, 9, 1, 9, 1, 9, 1}); f != nil {
		t.Errorf("FitUSL() = %+v for rates that follow no law, want nil", *f)
	}
}

// TestFitUSL_Best compares fits of noisy throughputs to the results of a random
// search.
func TestFitUSL_Best(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	levels := []int{1, 2, 3, 4, 6, 8, 12, 16}
	miss := func(f USL, rates []float64) (sum float64) {
		for i, n := range levels {
			e := rates[i]/f.At(float64(n)) - 1
			sum += e * e
		}
		return sum
	}
	for range 50 {
		law := USL{Alone: 10, Contention: random.Float64() * 0.3, Coherency: random.Float64() * 0.01}
		var rates []float64
		for _, n := range levels {
			rates = append(rates, law.At(float64(n))*(1+0.05*random.NormFloat64()))
		}
		got := FitUSL(levels, rates)
		if got == nil {
			t.Fatalf("FitUSL() = nil for %v", rates)
		}
		best := miss(*got, rates)
		for range 3000 {
			other := USL{
				Alone:      got.Alone * (1 + 0.1*random.NormFloat64()),
				Contention: max(0, got.Contention+0.05*random.NormFloat64()),
				Coherency:  max(0, got.Coherency+0.002*random.NormFloat64()),
			}
			if miss(other, rates) < best*(1-1e-9) {
				t.Fatalf("%+v fits %v better than %+v", other, rates, *got)
			}
		}
	}
}
