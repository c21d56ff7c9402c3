package executor

import (
	"encoding/json"
	"math"
	"time"
)

// buckets is the number of buckets of a Histogram.
const buckets = 34

// Histogram counts durations in buckets with fixed bounds: 1 us, 2 us, 4 us,
// and so on, up to 2^32 us, which is 1 h 11 min 34.967296 s. A bucket
// contains the durations that are longer than the bound of the previous
// bucket, and at most as long as its own bound. The last bucket has no upper
// bound. The value can be copied and compared.
//
// Short tasks are sampled, and their counts are scaled: see [Stats].
type Histogram struct {
	// Counts has the number of durations in each bucket.
	Counts [buckets]int64
	// Sum is the sum of the durations.
	Sum time.Duration
}

// Bounds returns the upper bounds of all buckets but the last.
func (Histogram) Bounds() (bounds [buckets - 1]time.Duration) {
	for i := range bounds {
		bounds[i] = bound(i)
	}
	return bounds
}

// bound returns the upper bound of bucket i.
func bound(i int) time.Duration { return time.Microsecond << i }

// Count returns the number of durations.
func (h Histogram) Count() (n int64) {
	for _, count := range h.Counts {
		n += count
	}
	return n
}

// Mean returns the mean of the durations, or 0 if there are none.
func (h Histogram) Mean() time.Duration {
	if n := h.Count(); n > 0 {
		return h.Sum / time.Duration(n)
	}
	return 0
}

// Quantile returns an estimate of the quantile q, for q from 0 to 1:
// Quantile of 0.5 is the median. The exact quantile is the shortest duration
// d such that at least the share q of all durations is at most as long as d.
// The estimate is in the same bucket as the exact quantile. So the two
// differ by less than a factor of 2 if the exact quantile is between 1 us
// and 2^32 us. If it is shorter than 1 us, they differ by at most 1 us. If
// it is longer than 2^32 us, Quantile returns 2^32 us. If there are no
// durations, Quantile returns 0.
func (h Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	rank := min(max(int64(math.Ceil(q*float64(n))), 1), n)
	for i, count := range h.Counts[:buckets-1] {
		if rank > count {
			rank -= count
			continue
		}
		low := time.Duration(0)
		if i > 0 {
			low = bound(i - 1)
		}
		share := float64(rank) / float64(count)
		return low + max(1, time.Duration(share*float64(bound(i)-low)))
	}
	return bound(buckets - 2)
}

// histogramJSON is the JSON of a Histogram. All durations are in seconds.
type histogramJSON struct {
	Count   int64        `json:"count"`
	Sum     float64      `json:"sum"`
	Mean    float64      `json:"mean"`
	P50     float64      `json:"p50"`
	P90     float64      `json:"p90"`
	P99     float64      `json:"p99"`
	Buckets []bucketJSON `json:"buckets"`
}

// bucketJSON is a bucket that is not empty. The last bucket has no UpTo.
type bucketJSON struct {
	UpTo  float64 `json:"upTo,omitempty"`
	Count int64   `json:"count"`
}

// MarshalJSON encodes the histogram for readers and programs: with the mean,
// some quantiles, and the buckets that are not empty. All durations are in
// seconds.
func (h Histogram) MarshalJSON() ([]byte, error) {
	out := histogramJSON{
		Count: h.Count(), Sum: h.Sum.Seconds(), Mean: h.Mean().Seconds(),
		P50: h.Quantile(0.5).Seconds(), P90: h.Quantile(0.9).Seconds(), P99: h.Quantile(0.99).Seconds(), Buckets: []bucketJSON{},
	}
	for i, count := range h.Counts {
		switch {
		case count == 0:
		case i == buckets-1:
			out.Buckets = append(out.Buckets, bucketJSON{Count: count})
		default:
			out.Buckets = append(out.Buckets, bucketJSON{UpTo: bound(i).Seconds(), Count: count})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON decodes what MarshalJSON has encoded.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	var in histogramJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*h = Histogram{Sum: time.Duration(math.Round(in.Sum * float64(time.Second)))}
	for _, b := range in.Buckets {
		i := buckets - 1
		if b.UpTo > 0 {
			i = bucketOf(int64(math.Round(b.UpTo * float64(time.Second))))
		}
		h.Counts[i] += b.Count
	}
	return nil
}
