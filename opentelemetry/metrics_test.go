package opentelemetry

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/metrics/metricstest"
)

func collect(t *testing.T, reader *sdk.ManualReader, name string) metricstest.Numbers {
	t.Helper()
	return collectAll(t, reader)[name]
}

// collectAll makes one collection, and returns its numbers by executor.
func collectAll(t *testing.T, reader *sdk.ManualReader) metricstest.ByExecutor {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	values := metricstest.ByExecutor{}
	add := func(metric string, attributes attribute.Set, v float64) {
		key, of := metric, ""
		for _, a := range attributes.ToSlice() {
			if a.Key == executorNameKey {
				of = a.Value.AsString()
			} else {
				key += " " + a.Value.AsString()
			}
		}
		values.Add(of, key, v)
	}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, float64(p.Count))
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return values
}

func newProvider() (*sdk.MeterProvider, *sdk.ManualReader) {
	reader := sdk.NewManualReader()
	return sdk.NewMeterProvider(sdk.WithReader(reader)), reader
}

// registerMetrics registers an executor until the end of the test.
func registerMetrics(t *testing.T, provider metric.MeterProvider, name string, ex executor.Executor) {
	t.Helper()
	stop, err := RegisterMetrics(provider, name, ex)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

// TestRegisterMetrics compares the numbers of collections with the tasks that
// have run.
func TestRegisterMetrics(t *testing.T) {
	metricstest.Each(t, func(t *testing.T, kind string, ex concert.Executor) {
		ctx := t.Context()
		provider, reader := newProvider()
		registerMetrics(t, provider, kind, ex)
		collect(t, reader, kind).Check(t, metricstest.Numbers{"concert.task.active queued": 0, "concert.task.active running": 0, "concert.task.count": 0})
		held := metricstest.Hold(ctx, ex)
		collect(t, reader, kind).Check(t, metricstest.Numbers{"concert.task.active running": 1, "concert.worker.count busy": 1})
		held.Cancel()
		held.Result(ctx)

		want := metricstest.Numbers{
			"concert.task.count": 4, "concert.task.count error": 2, "concert.task.count panic": 4,
			"concert.task.count canceled": 1, "concert.task.count worker_death": 0,
			"concert.task.active queued": 0, "concert.task.active running": 0, "concert.submitter.count": 0,
		}
		metricstest.RunTen(ctx, ex)
		if kind == "processes" {
			concert.Submit(ctx, ex, metricstest.Run, "crash").Result(ctx)
			want["concert.task.count worker_death"] = 1
		}
		stats := ex.Stats()
		want["concert.task.duration"], want["concert.task.queue.duration"] = float64(stats.RunTime.Count()), float64(stats.QueueTime.Count())
		got := collect(t, reader, kind)
		got.Check(t, want)
		if sent := got["concert.worker.io transmit"]; (sent > 0) != (kind == "processes") {
			t.Errorf("%v bytes were sent", sent)
		}
		if len(got) != 17 {
			t.Errorf("%d numbers, want 17: %v", len(got), got)
		}
		ex.Close()
		collect(t, reader, kind).Check(t, want) // the numbers must be the same after Close
	})
}

// TestRegisterMetrics_Again: the histograms begin with the registration. So a
// second registration must not record the same tasks again.
func TestRegisterMetrics_Again(t *testing.T) {
	var s executor.Stats
	s.RunTime.Counts[3], s.QueueTime.Counts[4] = 5, 6
	ex := metricstest.WithStats(nil, func() executor.Stats { return s })
	provider, reader := newProvider()
	for i := range 3 {
		stop, err := RegisterMetrics(provider, "again", ex)
		if err != nil {
			t.Fatal(err)
		}
		s.RunTime.Counts[3]++
		s.QueueTime.Counts[4] += 2
		want := float64(i + 1)
		collect(t, reader, "again").Check(t, metricstest.Numbers{"concert.task.duration": want, "concert.task.queue.duration": 2 * want})
		stop()
	}
}

// TestRegisterMetrics_WhileClosing collects while tasks run and the executor
// closes.
func TestRegisterMetrics_WhileClosing(t *testing.T) {
	ex := goroutines.New(4, nil)
	provider, reader := newProvider()
	registerMetrics(t, provider, "closing", ex)
	succeeded := metricstest.Close(t, ex, 1, func() metricstest.Numbers { return collect(t, reader, "closing") }, func(key string) bool {
		return strings.HasPrefix(key, "concert.task.count") || strings.HasSuffix(key, "duration")
	})
	collect(t, reader, "closing").Check(t, metricstest.Numbers{"concert.task.count": float64(succeeded)})
}

func TestRegisterMetrics_Names(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	provider, reader := newProvider()
	const hostile = "a\"b\nc\\d{} é"
	stop, err := RegisterMetrics(provider, hostile, ex)
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, reader, hostile); len(got) == 0 {
		t.Error("no numbers")
	}
	if _, err := RegisterMetrics(provider, hostile, ex); err == nil || !strings.Contains(err.Error(), "registered already") {
		t.Errorf("a second executor with the same name: %v", err)
	}
	other, _ := newProvider()
	registerMetrics(t, other, hostile, ex) // another provider
	stop()
	stop()
	if got := collect(t, reader, hostile); len(got) != 0 {
		t.Errorf("after stop: %v", got)
	}
	registerMetrics(t, provider, hostile, ex)
	for _, name := range []string{"", "\xff"} {
		if _, err := RegisterMetrics(provider, name, ex); err == nil || !strings.Contains(err.Error(), "name of the executor") {
			t.Errorf("%q: %v", name, err)
		}
	}
	registerMetrics(t, noop.NewMeterProvider(), "noop", ex)
	registerMetrics(t, nil, "global", ex)
	registerMetrics(t, wrapped{notComparable{}}, "not comparable", ex)
}

type wrapped struct{ metric.MeterProvider }

type notComparable struct {
	noop.MeterProvider
	_ []int
}

// TestRegisterMetrics_Silent: the numbers of executors whose Stats panics or
// never returns must be missing. The other metrics must arrive.
func TestRegisterMetrics_Silent(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	var mu sync.Mutex
	var handled []string
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		handled = append(handled, err.Error())
	}))
	provider, reader := newProvider()
	registerMetrics(t, provider, "well", ex)
	registerMetrics(t, provider, "panics", metricstest.Panics(ex))
	registerMetrics(t, provider, "hangs", metricstest.Hangs(t, ex))
	for range 2 {
		if got := collectAll(t, reader); len(got) != 1 || len(got["well"]) == 0 {
			t.Errorf("collected %v", got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(handled, "\n")
	if len(handled) != 2 || // not again at each collection
		!strings.Contains(all, `"panics" are missing`) || !strings.Contains(all, `"hangs" are missing: the executor does not answer`) {
		t.Errorf("handled %q", handled)
	}
}

// TestRecorder copies random histograms. The counts of all buckets and the sum
// must be the same in the copy.
func TestRecorder(t *testing.T) {
	provider, reader := newProvider()
	meter := provider.Meter("test")
	to, err := meter.Float64Histogram("h", metric.WithExplicitBucketBoundaries(bounds()...))
	if err != nil {
		t.Fatal(err)
	}
	r := recorder{to: to}
	random := rand.New(rand.NewPCG(1, 2))
	var h executor.Histogram
	for step := range 200 {
		for range random.IntN(50) {
			took := time.Duration(math.Exp2(random.Float64() * 42)) // up to 73 minutes
			if step%4 == 0 {
				took = time.Microsecond << random.IntN(33) // durations that are bounds of buckets
			}
			i := 0
			for bounds := h.Bounds(); i < len(bounds) && bounds[i] < took; i++ {
			}
			h.Counts[i]++
			h.Sum += took
		}
		r.record(t.Context(), h, metric.WithAttributes())
	}
	got := histogramOf(t, reader)
	for i, n := range got.BucketCounts {
		if int64(n) != h.Counts[i] {
			t.Errorf("bucket %d has %d durations, want %d", i, n, h.Counts[i])
		}
	}
	if want := h.Sum.Seconds(); math.Abs(got.Sum-want) > want/1e6 {
		t.Errorf("the sum is %v, want %v", got.Sum, want)
	}
}

// TestRecorder_Older: if two readers collect concurrently, the later one may
// bring older numbers. No task may count twice.
func TestRecorder_Older(t *testing.T) {
	provider, reader := newProvider()
	to, err := provider.Meter("test").Float64Histogram("h", metric.WithExplicitBucketBoundaries(bounds()...))
	if err != nil {
		t.Fatal(err)
	}
	r := recorder{to: to}
	var older, newer executor.Histogram
	older.Counts[1], older.Sum = 3, 4*time.Microsecond
	newer.Counts[1], newer.Sum = 5, 7*time.Microsecond
	for _, h := range []executor.Histogram{newer, older, newer} {
		r.record(t.Context(), h, metric.WithAttributes())
	}
	if got := histogramOf(t, reader); got.Count != 5 || math.Abs(got.Sum-7e-6) > 1e-9 {
		t.Errorf("%d durations with the sum %v, want 5 with the sum 7e-06", got.Count, got.Sum)
	}
}

// TestRecorder_Many: if there are many tasks, a share of them must be
// recorded. The fractions that remain in each bucket must not be lost.
func TestRecorder_Many(t *testing.T) {
	provider, reader := newProvider()
	to, err := provider.Meter("test").Float64Histogram("h", metric.WithExplicitBucketBoundaries(bounds()...))
	if err != nil {
		t.Fatal(err)
	}
	r := recorder{to: to}
	var h executor.Histogram
	for range 100 {
		h.Counts[1] += 1e9
		h.Counts[20] += 1e4 // 0.1 of them in each collection
		h.Sum += 1e9*1500*time.Nanosecond + 1e4*800*time.Millisecond
		r.record(t.Context(), h, metric.WithAttributes())
	}
	got := histogramOf(t, reader)
	if rare := got.BucketCounts[20]; rare < 8 || rare > 12 || got.Count < 99*maxRecords || got.Count > 101*maxRecords {
		t.Errorf("%d durations of %d are in the rare bucket", rare, got.Count)
	}
}

func histogramOf(t *testing.T, reader *sdk.ManualReader) metricdata.HistogramDataPoint[float64] {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	return all.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints[0]
}

// TestDurations_Sum: for any sum, each duration must lie in its bucket. The
// sum may be wrong, because the sum of a snapshot may be older than its
// counts.
func TestDurations_Sum(t *testing.T) {
	var counts perBucket
	for i := range counts {
		counts[i] = 1
	}
	upper := append(bounds(), math.Inf(1))
	for _, sum := range []float64{-1, 0, 1, 1e4, 1e9} {
		lower := 0.0
		for i, v := range durations(counts, sum) {
			if v <= lower || v > upper[i] {
				t.Errorf("sum %v: %v is not in bucket %d, from %v to %v", sum, v, i, lower, upper[i])
			}
			lower = upper[i]
		}
	}
}

// TestRegisterMetrics_Documented: docs/observability.md must have the names,
// units and attributes of all metrics, and no other metrics.
func TestRegisterMetrics_Documented(t *testing.T) {
	page, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "### The names")
	table, _, _ = strings.Cut(table, "\n### ")
	ex := goroutines.New(1, nil)
	defer ex.Close()
	provider, reader := newProvider()
	registerMetrics(t, provider, "x", ex)
	concert.Submit(t.Context(), ex, metricstest.Run, "a").Result(t.Context()) // so that the histograms are not empty
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	names := []string{executorNameKey}
	for _, m := range all.ScopeMetrics[0].Metrics {
		names = append(names, m.Name)
		row := regexp.MustCompile("(?m)^.*`" + regexp.QuoteMeta(m.Name) + "`.*$").FindString(table)
		if !strings.HasSuffix(row, "| `"+m.Unit+"` |") {
			t.Errorf("the row of %s, in %s, is %q", m.Name, m.Unit, row)
		}
		if data, ok := m.Data.(metricdata.Sum[int64]); ok {
			for _, p := range data.DataPoints {
				for _, a := range p.Attributes.ToSlice() {
					if names = append(names, string(a.Key)); a.Key != executorNameKey && !strings.Contains(row, "`"+string(a.Key)+"`") {
						t.Errorf("the row of %s lacks the attribute %s: %s", m.Name, a.Key, row)
					}
				}
			}
		}
	}
	for _, m := range regexp.MustCompile("`((?:concert|error|network)\\.[a-z._]+)`").FindAllStringSubmatch(table, -1) {
		if !slices.Contains(names, m[1]) {
			t.Errorf("the page names %s, which does not exist", m[1])
		}
	}
}
