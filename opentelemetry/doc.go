// Package opentelemetry reports what executors do to OpenTelemetry. It imports
// only the API of OpenTelemetry. The program chooses an SDK and an exporter.
//
// # Metrics
//
// [RegisterMetrics] reports the numbers of an executor, by the names that the
// table "Metrics" in docs/observability.md lists. When the SDK collects
// metrics, it reads the numbers from the Stats of the executor. This costs
// nothing for a task.
//
// The API has no asynchronous histogram. So a collection records a duration for
// each task since the last one, in the bucket of the executor's histogram. The
// counts and the sums are those of the executor. Of more than 10,000 tasks, a
// collection records a share, so that it takes only some milliseconds. Then the
// shape and the mean of the histogram are right, and its count is too small:
// concert.task.count has the number of tasks.
package opentelemetry
