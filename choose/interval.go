package choose

import "concert/choose/internal/stats"

// Interval is the median of repeated measurements, with an interval that
// contains the true median.
type Interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// Confidence is the probability that the true median is between Low and
	// High, if the measurements are independent. It is 0 for a single one.
	Confidence float64 `json:"confidence"`
}

// intervalOf returns the median of values and its interval.
func intervalOf(values []float64) Interval {
	i := stats.MedianInterval(values)
	return Interval{Median: i.Median, Low: i.Low, High: i.High, Confidence: i.Confidence}
}

// Fit is Gunther's Universal Scalability Law, fitted to the throughputs of a
// model at its levels of concurrency:
//
//	X(n) = Alone n / (1 + Contention (n-1) + Coherency n (n-1))
type Fit struct {
	Alone      float64 `json:"alone"`      // throughput at level 1, in tasks per second
	Contention float64 `json:"contention"` // the share of the work that is sequential
	Coherency  float64 `json:"coherency"`  // the cost of an exchange between two tasks, as a share of the work
	// Peak is the level with the highest throughput, if it is not above the
	// highest measured level, and 0 otherwise.
	Peak float64 `json:"peak,omitempty"`
	// Error is the largest relative difference from a measured throughput.
	Error float64 `json:"error"`
}

// At returns the throughput of the law at a level, in tasks per second.
func (f *Fit) At(n float64) float64 { return (*stats.USL)(f).At(n) }
