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
//
// # Traces
//
// [Trace] makes a span for each task of an executor. The span begins when the
// executor accepts the task, so that it exists before the call leaves for a
// worker, and it ends with the task. Its parent is the span in the context that
// was given to Submit or Map. An item of a Map is a child of the span of the
// caller, and not linked to it, so that the sampler's decision about the caller
// holds for all items. A Map has no span of its own: it has no end if the loop
// over its results is abandoned.
//
//	submitter      Submit: span A ---> executor: span B of the task
//	worker         the function sees B, also in another process or machine
//
// The functions of tasks see the span of their task as the current span:
//
//	executor                 a task of Submit or Go   an item of a Map
//	goroutines, gil          the task's span          the item's span
//	cluster                  the task's span          the item's span
//	processes, python        the task's span          the span of the caller of Map
//
// A worker process receives many items of a Map in one frame, with one text for
// all of them. So their functions see the span of the caller of Map. If no
// Trace makes spans of tasks, functions see the span of the submitter.
//
// The span context travels as a W3C traceparent, with a tracestate of at most
// 456 bytes; later entries are left out. Baggage does not travel. A process
// sends and accepts span contexts if it has called [Propagate], or Trace.
// Without them, calls have no byte more.
//
// One Trace keeps at most 65,536 open spans. If there are more, it ends the
// oldest ones. So memory is bounded even if an executor drops events.
package opentelemetry
