// Package prometheus exports the numbers of executors to Prometheus. It has a
// collector for the library client_golang:
//
//	registry.MustRegister(concertprom.NewCollector("resize", pool))
//
// The import renames the package, because a package of client_golang has the
// same name:
//
//	import concertprom "concert/prometheus"
//
// The section "The names" of docs/observability.md lists the metrics. They are
// the numbers of [executor.Stats]. The collector reads them at each scrape,
// and does nothing while tasks run. So it does not make tasks slower. The file
// grafana-dashboard.json in this directory is a dashboard for the metrics.
//
// # The labels
//
// The label executor is the name that NewCollector was called with. The other
// labels are state and outcome, with a few fixed values. No label contains the
// name or the input of a task. So an executor has fewer than 100 time series
// for all kinds of tasks.
package prometheus

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"concert/executor"
	"concert/internal/metrics"
)

// NewCollector returns a collector of the numbers of an executor. The metrics
// have the name as the label executor. A registry refuses the collector if the
// name is empty or not UTF-8. It accepts only one collector with the same name,
// and returns a [prometheus.AlreadyRegisteredError] for the next one.
//
// The collector may be used while the executor closes, and afterwards. If the
// method Stats of the executor panics, or does not return within 3 seconds, the
// scrape has only one metric of the executor: concert_executor_up, which is 0.
func NewCollector(name string, ex executor.Executor) prometheus.Collector {
	if ex == nil {
		panic("prometheus: NewCollector: the executor is nil")
	}
	c := &collector{reader: metrics.NewReader(ex)}
	if err := metrics.CheckName(name); err != nil {
		c.invalid = prometheus.NewInvalidDesc(fmt.Errorf("prometheus: NewCollector: %w", err))
		return c
	}
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc(name, help, labels, prometheus.Labels{"executor": c.name})
		c.all = append(c.all, d)
		return d
	}
	c.name = name
	c.up = describe("concert_executor_up", "Whether the executor has answered: 1 or 0. If 0, its other metrics are missing.")
	c.workers = describe("concert_workers", "Workers that exist, by state: busy (has started a task) or idle.", "state")
	c.restarts = describe("concert_worker_restarts_total", "Workers that were started because another one had died.")
	c.sent = describe("concert_worker_sent_bytes_total", "Bytes sent to workers.")
	c.received = describe("concert_worker_received_bytes_total", "Bytes received from workers.")
	c.tasks = describe("concert_tasks", "Tasks that have not settled, by state: queued or running.", "state")
	c.submitters = describe("concert_waiting_submitters", "Submitters that wait for room in the queue.")
	c.finished = describe("concert_tasks_finished_total", "Tasks that have settled, by outcome: success, or the kind of the error.", "outcome")
	c.duration = describe("concert_task_duration_seconds", "Time that the functions of tasks took.")
	c.queued = describe("concert_task_queue_duration_seconds", "Time that tasks waited in the queue.")
	return c
}

type collector struct {
	name    string
	reader  *metrics.Reader
	invalid *prometheus.Desc // not nil if the name cannot be used; then it has the error
	all     []*prometheus.Desc

	up, workers, restarts, sent, received, tasks, submitters, finished, duration, queued *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	if c.invalid != nil {
		to <- c.invalid
	}
	for _, d := range c.all {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	if c.invalid != nil {
		to <- prometheus.NewInvalidMetric(c.invalid, errors.New("prometheus: NewCollector: the name of the executor is invalid"))
		return
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s, outcomes, err := c.reader.Read(context.Background())
	if err != nil {
		gauge(c.up, 0) // no error, because it would make the whole scrape fail, with the metrics of all other collectors
		return
	}
	gauge(c.up, 1)
	gauge(c.workers, s.Busy, "busy")
	gauge(c.workers, max(0, s.Workers-s.Busy), "idle")
	counter(c.restarts, s.Restarts)
	counter(c.sent, s.Sent)
	counter(c.received, s.Received)
	gauge(c.tasks, s.Queued, "queued")
	gauge(c.tasks, s.Running, "running")
	gauge(c.submitters, s.Waiting)
	for _, o := range outcomes {
		counter(c.finished, o.Tasks, o.Name)
	}
	to <- histogram(c.duration, s.RunTime)
	to <- histogram(c.queued, s.QueueTime)
}

// histogram returns a histogram with the buckets of h.
func histogram(d *prometheus.Desc, h executor.Histogram) prometheus.Metric {
	buckets := map[float64]uint64{}
	count := uint64(0)
	for i, bound := range h.Bounds() {
		count += uint64(h.Counts[i])
		buckets[bound.Seconds()] = count
	}
	count += uint64(h.Counts[len(h.Counts)-1])
	return prometheus.MustNewConstHistogram(d, count, h.Sum.Seconds(), buckets)
}
