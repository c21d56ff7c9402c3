package choose

import (
	"math"
	"slices"
)

// Interval is a number that was measured several times.
type Interval struct {
	Middle float64 `json:"middle"` // the median
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// Confidence is the probability with which Low and High enclose the true
	// median, if the repeats were independent: 0 for a single one.
	Confidence float64 `json:"confidence"`
}

// wanted is the confidence that intervals have if there are enough repeats.
const wanted = 0.95

// intervalOf returns the median of values and the narrowest interval between
// two of them, as far from the lowest as from the highest, that has the wanted
// confidence; or all of them.
func intervalOf(values []float64) Interval {
	if len(values) == 0 {
		return Interval{}
	}
	sorted := slices.Sorted(slices.Values(values))
	k := len(sorted)
	middle := sorted[k/2]
	if k%2 == 0 {
		middle = (sorted[k/2-1] + sorted[k/2]) / 2
	}
	best := Interval{middle, sorted[0], sorted[k-1], signConfidence(k, 1)}
	for i := 2; 2*i <= k; i++ {
		c := signConfidence(k, i)
		if c < wanted {
			break
		}
		best.Low, best.High, best.Confidence = sorted[i-1], sorted[k-i], c
	}
	return best
}

// signConfidence is the probability that the true median is between the i-th
// lowest and the i-th highest of k: that of k coins at least i show either
// side.
func signConfidence(k, i int) float64 {
	tail := 0.0
	for heads := range i {
		tail += math.Exp(logChoose(k, heads) - float64(k)*math.Ln2)
	}
	return max(0, 1-2*tail)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
