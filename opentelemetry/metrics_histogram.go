package opentelemetry

import (
	"context"
	"math"

	"go.opentelemetry.io/otel/metric"

	"concert/executor"
)

// maxRecords is the maximum number of durations that a collection records in
// one histogram. It bounds the time of a collection to some milliseconds.
const maxRecords = 10_000

// bounds returns the upper bounds of the buckets of an executor's histograms,
// in seconds.
func bounds() (all []float64) {
	for _, b := range (executor.Histogram{}).Bounds() {
		all = append(all, b.Seconds())
	}
	return all
}

// perBucket has a number for each bucket of an executor's histogram.
type perBucket [len(executor.Histogram{}.Counts)]float64

// recorder copies a histogram of an executor to a histogram of OpenTelemetry.
// The API of OpenTelemetry has no asynchronous histogram: a program can only
// record one duration after another. So at each collection, the recorder
// records durations for all tasks since the last collection:
//
//   - A bucket gets as many durations as the executor's histogram has counted.
//   - The durations are chosen such that their sum is right.
//   - If there are more than maxRecords tasks, the recorder records a share of
//     them, the same for each bucket. The shape of the histogram and its mean
//     remain right.
type recorder struct {
	to     metric.Float64Histogram
	before executor.Histogram // the largest numbers so far: if two collections are concurrent, the later one may bring older numbers
	owed   perBucket          // for each bucket, the fraction of a duration that is not recorded yet; less than 1
}

func (r *recorder) record(ctx context.Context, h executor.Histogram, attributes metric.RecordOption) {
	var counts perBucket
	total := 0.0
	for i, n := range h.Counts {
		counts[i] = float64(max(0, n-r.before.Counts[i]))
		total += counts[i]
		r.before.Counts[i] = max(n, r.before.Counts[i])
	}
	values := durations(counts, max(0, h.Sum-r.before.Sum).Seconds())
	r.before.Sum = max(h.Sum, r.before.Sum)
	share := 1.0
	if total > maxRecords {
		share = maxRecords / total
	}
	for i, n := range counts {
		r.owed[i] += n * share
		for ; r.owed[i] >= 1; r.owed[i]-- {
			r.to.Record(ctx, values[i], attributes)
		}
	}
}

// durations returns a duration in seconds for each bucket, such that the sum
// of all durations is right. In all buckets except the last one, the duration
// has the same relative position between the lower and the upper bound. If the
// upper bounds are still too small for the sum, the durations in the last
// bucket, which has no upper bound, are longer.
func durations(counts perBucket, sum float64) (values perBucket) {
	const last = len(counts) - 1
	upper := bounds()
	lower := append([]float64{0}, upper...)
	rest, width := sum, 0.0
	for i, n := range counts {
		rest -= n * lower[i]
		if i < last {
			width += n * (upper[i] - lower[i])
		}
	}
	part := 0.0
	if width > 0 {
		part = min(max(0, rest/width), 1)
	}
	for i := range last {
		value := lower[i] + part*(upper[i]-lower[i])
		values[i] = min(max(value, math.Nextafter(lower[i], upper[i])), upper[i]) // larger than the lower bound, which belongs to the bucket before
	}
	values[last] = math.Nextafter(lower[last], math.MaxFloat64)
	if counts[last] > 0 {
		values[last] = max(values[last], lower[last]+(rest-part*width)/counts[last])
	}
	return values
}
