package choose

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestSignConfidence throws all coins.
func TestSignConfidence(t *testing.T) {
	for k := 1; k <= 12; k++ {
		for i := 1; 2*i <= k+1; i++ {
			outside := 0
			for coins := range 1 << k {
				heads := 0
				for b := coins; b != 0; b &= b - 1 {
					heads++
				}
				if heads < i || k-heads < i {
					outside++
				}
			}
			want := 1 - float64(outside)/float64(int(1)<<k)
			if 2*i > k { // the two are the same value
				want = 0
			}
			if got := signConfidence(k, i); math.Abs(got-want) > 1e-9 {
				t.Errorf("signConfidence(%d, %d) = %v, want %v", k, i, got, want)
			}
		}
	}
}

func TestIntervalOf(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Interval
	}{
		{nil, Interval{}},
		{[]float64{7}, Interval{7, 7, 7, 0}},
		{[]float64{3, 1}, Interval{2, 1, 3, 0.5}},
		{[]float64{3, 1, 2}, Interval{2, 1, 3, 0.75}},
		{[]float64{6, 1, 5, 2, 4, 3}, Interval{3.5, 1, 6, 1 - 2.0/64}},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 100}, Interval{5, 2, 8, 1 - 20.0/512}},
	} {
		got := intervalOf(c.values)
		if got.Middle != c.want.Middle || got.Low != c.want.Low || got.High != c.want.High || math.Abs(got.Confidence-c.want.Confidence) > 1e-9 {
			t.Errorf("intervalOf(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

// TestCoverage sees how often intervals enclose the truth.
func TestCoverage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, k := range []int{6, 9, 15, 25} {
		const trials = 4000
		in := 0
		for range trials {
			values := make([]float64, k)
			for i := range values {
				values[i] = math.Exp(random.NormFloat64()) // the median is 1
			}
			if v := intervalOf(values); v.Low <= 1 && 1 <= v.High {
				in++
			}
		}
		// Four standard deviations below 95%.
		if share := float64(in) / trials; share < wanted-4*math.Sqrt(wanted*(1-wanted)/trials) {
			t.Errorf("of %d, intervals enclose the median in %.3f of all cases", k, share)
		}
	}
}

func TestFitUSL(t *testing.T) {
	levels := []int{1, 2, 4, 8, 16, 32, 64}
	for _, law := range []Fit{
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
		got := fitUSL(levels, rates)
		if got == nil {
			t.Errorf("nothing fits %+v", law)
			continue
		}
		if math.Abs(got.Alone/law.Alone-1) > 1e-6 || math.Abs(got.Contention-law.Contention) > 1e-6 || math.Abs(got.Coherency-law.Coherency) > 1e-6 {
			t.Errorf("fitted %+v to what %+v does", *got, law)
		}
		// The peak is where no other level is better, or is not told.
		if got.Peak > 0 {
			if top := got.At(got.Peak); got.At(got.Peak*1.1) > top || got.At(got.Peak/1.1) > top {
				t.Errorf("%+v has no peak at %v", law, got.Peak)
			}
		} else if law.Coherency > 0.0005 {
			t.Errorf("no peak of %+v was seen among %v", law, levels)
		}
		if got.Peak > 64 {
			t.Errorf("a peak at %v was not measured", got.Peak)
		}
	}
	if f := fitUSL(levels[:5], []float64{1, 2, 3, 4, 5}); f != nil {
		t.Errorf("%+v was fitted to five levels", *f)
	}
	if f := fitUSL(levels, []float64{1, 9, 1, 9, 1, 9, 1}); f != nil {
		t.Errorf("%+v was fitted to what follows no law", *f)
	}
}

// TestFitIsBest compares fits to those of a search, on what is noisy.
func TestFitIsBest(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	levels := []int{1, 2, 3, 4, 6, 8, 12, 16}
	miss := func(f Fit, rates []float64) (sum float64) {
		for i, n := range levels {
			e := rates[i]/f.At(float64(n)) - 1
			sum += e * e
		}
		return sum
	}
	for range 50 {
		law := Fit{Alone: 10, Contention: random.Float64() * 0.3, Coherency: random.Float64() * 0.01}
		var rates []float64
		for _, n := range levels {
			rates = append(rates, law.At(float64(n))*(1+0.05*random.NormFloat64()))
		}
		got := fitUSL(levels, rates)
		if got == nil {
			t.Fatalf("nothing fits %v", rates)
		}
		best := miss(*got, rates)
		for range 3000 {
			other := Fit{
				Alone:      got.Alone * (1 + 0.1*random.NormFloat64()),
				Contention: max(0, got.Contention+0.05*random.NormFloat64()),
				Coherency:  max(0, got.Coherency+0.002*random.NormFloat64()),
			}
			if miss(other, rates) < best*(1-1e-9) {
				t.Fatalf("%+v is nearer to %v than %+v", other, rates, *got)
			}
		}
	}
}

// TestWindow has results come in bursts, and looks at the rate from any moment
// to any other.
func TestWindow(t *testing.T) {
	for _, c := range []struct {
		name         string
		burst, level int
	}{
		{"all workers at once", 8, 8},
		{"a server that does fewer", 6, 32},
		{"one by one", 1, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			const period = 30e6 // between bursts; the rate is burst/30 ms
			var all []int64
			for i := range 40 * c.burst {
				all = append(all, int64(i/c.burst+1)*period+int64(i%c.burst)*1e5)
			}
			want := float64(c.burst) / 0.03
			for first := range 3 * c.level {
				for _, n := range []int{2 * c.level, 3*c.level - 1, 4 * c.level} {
					if first+n > len(all) {
						continue
					}
					w := window{lag: c.level}
					for _, at := range all[first : first+n] {
						w.arrivals = append(w.arrivals, time.Duration(at))
					}
					got := w.rate(time.Duration(all[first+n-1]))
					if math.Abs(got/want-1) > 0.1 {
						t.Fatalf("from %d, of %d: %.1f a second, want %.1f", first, n, got, want)
					}
				}
			}
		})
	}
	few := window{lag: 4, arrivals: slices.Repeat([]time.Duration{1}, 4)}
	if got := few.rate(10); got != 0 {
		t.Errorf("four of a level of four say %v a second", got)
	}
}
