package choose

import (
	"math"
	"slices"
)

// Interval is the median of repeated measurements, with an interval that
// contains the true median.
type Interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// Confidence is the probability that the true median is between Low and
	// High, if the measurements are independent. It is 0 if there is only one
	// measurement.
	Confidence float64 `json:"confidence"`
}

// fullConfidence is the confidence of intervals of six values or more.
const fullConfidence = 0.95

// intervalOf returns the median of values with its interval. The interval is
// from the i-th smallest to the i-th largest value, for the largest i with a
// confidence of at least 95%. With fewer than six values, the interval is from
// the smallest to the largest value, and its confidence is lower. Without
// values, intervalOf returns the zero Interval.
func intervalOf(values []float64) Interval {
	if len(values) == 0 {
		return Interval{}
	}
	sorted := slices.Sorted(slices.Values(values))
	k := len(sorted)
	median := sorted[k/2]
	if k%2 == 0 {
		median = (sorted[k/2-1] + sorted[k/2]) / 2
	}
	best := Interval{median, sorted[0], sorted[k-1], signConfidence(k, 1)}
	for i := 2; 2*i <= k; i++ {
		c := signConfidence(k, i)
		if c < fullConfidence {
			break
		}
		best.Low, best.High, best.Confidence = sorted[i-1], sorted[k-i], c
	}
	return best
}

// signConfidence returns the probability that the true median is between the
// i-th smallest and the i-th largest of k values. This is the probability that
// k fair coins show heads at least i times and tails at least i times.
func signConfidence(k, i int) float64 {
	tail := 0.0
	for heads := range i {
		tail += math.Exp(logBinomial(k, heads) - float64(k)*math.Ln2)
	}
	return max(0, 1-2*tail)
}

// logBinomial returns the logarithm of the binomial coefficient n over k.
func logBinomial(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
