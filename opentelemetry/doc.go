// Package opentelemetry reports what executors do to OpenTelemetry. It imports
// only the API of OpenTelemetry. The program chooses an SDK and an exporter.
//
// # Metrics
//
// [RegisterMetrics] reports the numbers of an executor, by the names that the
// table "Metrics" in docs/observability.md lists. When the SDK collects
// metrics, it reads the numbers from the Stats of the executor. This costs some
// microseconds for each collection, and nothing for a task. The histograms of
// durations are different, because the API has no asynchronous histogram: they
// are recorded by an observer, for each task.
package opentelemetry
