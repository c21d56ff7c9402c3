package choose

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSignConfidence: signConfidence must return the same probability as
// counting all results of k coins.
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
			if 2*i > k { // both ends are the same value
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
		if got.Median != c.want.Median || got.Low != c.want.Low || got.High != c.want.High || math.Abs(got.Confidence-c.want.Confidence) > 1e-9 {
			t.Errorf("intervalOf(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

// TestIntervalOf_Coverage: about 95% of the intervals of random values, or
// more, must contain the true median.
func TestIntervalOf_Coverage(t *testing.T) {
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
		// By chance, the share may be up to four standard deviations below 95%.
		if share := float64(in) / trials; share < fullConfidence-4*math.Sqrt(fullConfidence*(1-fullConfidence)/trials) {
			t.Errorf("intervals of %d values contain the median in %.3f of all cases", k, share)
		}
	}
}
