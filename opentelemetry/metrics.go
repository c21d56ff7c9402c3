package opentelemetry

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"concert/executor"
	"concert/internal/metrics"
)

// The names of attributes. Spans have concert.executor.name and error.type,
// too.
const (
	executorNameKey = "concert.executor.name"
	taskStateKey    = "concert.task.state"
	workerStateKey  = "concert.worker.state"
	errorTypeKey    = "error.type"
	directionKey    = "network.io.direction"
)

// RegisterMetrics reports the numbers of an executor to the meters of a
// provider, until stop is called. A nil provider stands for the global one. All
// metrics have the name as the attribute concert.executor.name. RegisterMetrics
// returns an error if the name is empty or not UTF-8, or if an executor with
// this name is registered at the provider already.
//
// The counters count from the start of the executor, and the histograms from
// the call of RegisterMetrics. The executor may close while it is registered.
// To export the last numbers, call ForceFlush or Shutdown of the provider
// before stop.
//
// If the method Stats of the executor panics, or does not return within 3
// seconds, the metrics of the executor are missing in this collection. The
// error is passed to [otel.Handle]. While it stays the same, it is not passed
// again.
func RegisterMetrics(provider metric.MeterProvider, name string, ex executor.Executor) (stop func(), err error) {
	if ex == nil {
		panic("opentelemetry: RegisterMetrics: the executor is nil")
	}
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	failed := func(err error) (func(), error) {
		return nil, fmt.Errorf("opentelemetry: RegisterMetrics: %w", err)
	}
	if err := metrics.CheckName(name); err != nil {
		return failed(err)
	}
	release, err := claim(provider, name)
	if err != nil {
		return failed(err)
	}
	r := &reported{name: name, reader: metrics.NewReader(ex)}
	meter := provider.Meter(reflect.TypeFor[instruments]().PkgPath())
	if err := r.create(meter); err != nil {
		release()
		return failed(fmt.Errorf("making the instruments of %q: %w", name, err))
	}
	if s, _, err := r.reader.Read(context.Background()); err == nil {
		// The histograms begin with the tasks from now on. If the name was
		// registered before, the SDK adds these tasks to the earlier ones.
		r.run.before, r.queue.before = s.RunTime, s.QueueTime
	}
	registration, err := meter.RegisterCallback(r.observe, r.all...)
	if err != nil {
		release()
		return failed(fmt.Errorf("registering the callback of %q: %w", name, err))
	}
	return sync.OnceFunc(func() {
		if err := registration.Unregister(); err != nil {
			otel.Handle(fmt.Errorf("opentelemetry: the metrics of %q could not be removed: %w", name, err))
		}
		release()
	}), nil
}

// names are the names of registered executors. An SDK would add the numbers of
// two executors with the same name.
var names sync.Map // the keys are of type registered

type registered struct {
	provider metric.MeterProvider
	name     string
}

// claim adds a name. It returns an error if the name is registered already.
func claim(provider metric.MeterProvider, name string) (release func(), err error) {
	if !reflect.ValueOf(provider).Comparable() {
		provider = nil // the provider cannot be part of a key: all such providers share one set of names
	}
	key := registered{provider, name}
	if _, exists := names.LoadOrStore(key, nil); exists {
		return nil, fmt.Errorf("an executor with the name %q is registered already: give each executor a name of its own, or stop the other one", name)
	}
	return func() { names.Delete(key) }, nil
}

// reported is an executor whose numbers are reported.
type reported struct {
	name   string
	reader *metrics.Reader
	instruments
	all []metric.Observable

	mu            sync.Mutex
	run, queue    recorder // guarded by mu
	handledErrors string   // guarded by mu: the text of the last error that was handled
}

type instruments struct {
	workers, tasks, submitters metric.Int64ObservableUpDownCounter
	finished, restarts, bytes  metric.Int64ObservableCounter
}

// create makes the instruments.
func (r *reported) create(meter metric.Meter) error {
	var all []error
	upDown := func(name, unit, description string) metric.Int64ObservableUpDownCounter {
		i, err := meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		all, r.all = append(all, err), append(r.all, i)
		return i
	}
	counter := func(name, unit, description string) metric.Int64ObservableCounter {
		i, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		all, r.all = append(all, err), append(r.all, i)
		return i
	}
	histogram := func(name, description string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds()...))
		all = append(all, err)
		return h
	}
	r.workers = upDown("concert.worker.count", "{worker}", "Workers that exist, by state.")
	r.restarts = counter("concert.worker.restart.count", "{restart}", "Workers that were started because another one had died.")
	r.bytes = counter("concert.worker.io", "By", "Bytes sent to workers and received from workers.")
	r.tasks = upDown("concert.task.active", "{task}", "Tasks that have not settled, by state.")
	r.finished = counter("concert.task.count", "{task}", "Tasks that have settled. Tasks with an error have error.type.")
	r.submitters = upDown("concert.submitter.count", "{submitter}", "Submitters that wait for room in the queue.")
	r.run.to = histogram("concert.task.duration", "Time that the functions of tasks took.")
	r.queue.to = histogram("concert.task.queue.duration", "Time that tasks waited in the queue.")
	return errors.Join(all...)
}

// observe is called when the SDK collects metrics. It never returns an error,
// because the SDK would then not export the other metrics of the program.
func (r *reported) observe(ctx context.Context, o metric.Observer) error {
	s, outcomes, err := r.reader.Read(ctx)
	r.handle(err)
	if err != nil {
		return nil
	}
	own := attribute.String(executorNameKey, r.name)
	with := func(key, value string) metric.ObserveOption {
		return metric.WithAttributes(own, attribute.String(key, value))
	}
	o.ObserveInt64(r.workers, int64(s.Busy), with(workerStateKey, "busy"))
	o.ObserveInt64(r.workers, int64(max(0, s.Workers-s.Busy)), with(workerStateKey, "idle"))
	o.ObserveInt64(r.restarts, s.Restarts, metric.WithAttributes(own))
	o.ObserveInt64(r.bytes, s.Sent, with(directionKey, "transmit"))
	o.ObserveInt64(r.bytes, s.Received, with(directionKey, "receive"))
	o.ObserveInt64(r.tasks, int64(s.Queued), with(taskStateKey, "queued"))
	o.ObserveInt64(r.tasks, int64(s.Running), with(taskStateKey, "running"))
	o.ObserveInt64(r.submitters, int64(s.Waiting), metric.WithAttributes(own))
	for _, outcome := range outcomes {
		if outcome.Name == metrics.Success {
			o.ObserveInt64(r.finished, outcome.Tasks, metric.WithAttributes(own))
		} else {
			o.ObserveInt64(r.finished, outcome.Tasks, with(errorTypeKey, outcome.Name))
		}
	}
	attributes := metric.WithAttributeSet(attribute.NewSet(own))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.record(ctx, s.RunTime, attributes)
	r.queue.record(ctx, s.QueueTime, attributes)
	return nil
}

// handle passes an error to the program, unless it is the same error as in the
// last collection.
func (r *reported) handle(err error) {
	text := ""
	if err != nil {
		text, _, _ = strings.Cut(err.Error(), "\n")
	}
	r.mu.Lock()
	isNew := text != "" && text != r.handledErrors
	r.handledErrors = text
	r.mu.Unlock()
	if isNew {
		otel.Handle(fmt.Errorf("opentelemetry: the metrics of %q are missing: %w", r.name, err))
	}
}
