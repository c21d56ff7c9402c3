// Package opentelemetry makes metrics and spans of OpenTelemetry for executors.
// It imports only the API of OpenTelemetry. The program chooses an SDK and an
// exporter.
//
// # Metrics
//
// [RegisterMetrics] reports the numbers of an executor. The section "The
// names" of docs/observability.md lists the metrics. The numbers come from the
// method Stats of the executor, which is called only when the SDK collects
// metrics. So the metrics do not make tasks slower.
//
// The API has no asynchronous histogram. So a collection records one duration
// for each task since the last collection, in the same bucket as the executor.
// The counts and the sums are the same as in the executor. If there were more
// than 10,000 tasks, the collection records a share of them, so that it takes
// only some milliseconds. Then the shape and the mean of the histogram are
// right, but its count is too small. For the number of tasks, use
// concert.task.count.
//
// # Traces
//
// [Trace] makes a span for each task of an executor. The span begins when the
// executor accepts the task, before the call is sent to a worker. It ends with
// the task. Its parent is the span in the context that was given to Submit or
// Map. Each item of a Map has a span. This span is a child of the caller's
// span, and not a root span with a link to the caller's span. So the decision
// of the sampler for the caller also holds for all items. The Map itself has
// no span, because such a span would have no end if the program abandons the
// results.
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
// A worker process receives many items of a Map in one frame, with one span
// context for all of them. So their functions see the span of the caller of
// Map. If no Trace makes spans of tasks, functions see the submitter's span.
//
// The span context is sent as a W3C traceparent, with a tracestate of at most
// 456 bytes; later entries are left out. Baggage is not sent. A process sends
// and accepts span contexts if it has called [Propagate] or Trace. Otherwise
// calls have no additional bytes.
//
// One Trace has at most 65,536 open spans. If there are more, it ends the
// oldest ones. So memory is bounded even if an executor drops events.
package opentelemetry
