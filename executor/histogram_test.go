package executor

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func histogramOf(durations ...time.Duration) (h Histogram) {
	var counted histogram
	for _, d := range durations {
		counted.add(int64(d), 1)
	}
	counted.addTo(&h)
	return h
}

// TestHistogram_Bounds: each duration is in the first bucket whose bound is not
// shorter.
func TestHistogram_Bounds(t *testing.T) {
	bounds := Histogram{}.Bounds()
	if bounds[0] != time.Microsecond || bounds[10] != 1024*time.Microsecond || bounds[len(bounds)-1] != 1<<32*time.Microsecond {
		t.Errorf("bounds: %v", bounds)
	}
	durations := []time.Duration{-1, 0, 1, math.MaxInt64}
	for _, b := range bounds {
		durations = append(durations, b-1, b, b+1)
	}
	for _, d := range durations {
		want := len(bounds)
		for i, b := range slices.Backward(bounds[:]) {
			if d <= b {
				want = i
			}
		}
		if h := histogramOf(d); h.Counts[want] != 1 || h.Count() != 1 {
			t.Errorf("%v is in bucket %d, want %d", d, slices.Index(h.Counts[:], 1), want)
		}
	}
}

// TestHistogram_Quantile compares the results of Quantile with the exact
// quantiles of random durations. They may differ only as the comment of
// Quantile says.
func TestHistogram_Quantile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func() float64{
		"uniform":     func() float64 { return random.Float64() * 1e9 },
		"exponential": func() float64 { return random.ExpFloat64() * 5e6 },
		"log-normal":  func() float64 { return math.Exp(random.NormFloat64()*4) * 1e5 },
		"bimodal":     func() float64 { return []float64{300, 2e10}[random.IntN(2)] },
		"constant":    func() float64 { return 12_345 },
		"very short":  func() float64 { return random.Float64() * 2000 },
		"very long":   func() float64 { return random.Float64() * 1e14 },
	}
	for name, next := range shapes {
		for _, n := range []int{1, 2, 3, 10, 1000, 20_000} {
			durations := make([]time.Duration, n)
			for i := range durations {
				durations[i] = time.Duration(next())
			}
			h := histogramOf(durations...)
			slices.Sort(durations)
			for _, q := range []float64{-1, 0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1, 2} {
				exact := durations[min(max(int(math.Ceil(q*float64(n))), 1), n)-1]
				got := h.Quantile(q)
				ok := got < 2*exact && exact < 2*got
				switch longest := bound(buckets - 2); {
				case exact <= time.Microsecond:
					ok = got >= 0 && got <= time.Microsecond
				case exact > longest:
					ok = got == longest
				}
				if !ok {
					t.Errorf("%s, %d durations: Quantile(%v) = %v, the exact quantile is %v", name, n, q, got, exact)
				}
			}
		}
	}
	if got := (Histogram{}).Quantile(0.5); got != 0 {
		t.Errorf("Quantile of an empty histogram = %v, want 0", got)
	}
}

// TestHistogram_JSON: the JSON has seconds and only the buckets that are not
// empty, and UnmarshalJSON restores the histogram.
func TestHistogram_JSON(t *testing.T) {
	h := histogramOf(500, 3*time.Millisecond, 3*time.Millisecond, 2*time.Hour)
	text, err := json.Marshal(h)
	const want = `{"count":4,"sum":7200.0060005,"mean":1800.001500125,"p50":0.003072,"p90":4294.967296,"p99":4294.967296,` +
		`"buckets":[{"upTo":0.000001,"count":1},{"upTo":0.004096,"count":2},{"count":1}]}`
	if string(text) != want || err != nil {
		t.Errorf("JSON: %s, %v\nwant  %s", text, err, want)
	}
	all := histogramOf()
	for i := range all.Counts {
		all.Counts[i] = int64(i + 1)
	}
	for _, h := range []Histogram{{}, h, all} {
		text, _ := json.Marshal(h)
		var back Histogram
		if err := json.Unmarshal(text, &back); err != nil || back != h {
			t.Errorf("%s was decoded as %+v, %v; want %+v", text, back, err, h)
		}
	}
	if err := json.Unmarshal([]byte(`{"count":"many"}`), &h); err == nil {
		t.Error("UnmarshalJSON accepts wrong JSON")
	}
}
