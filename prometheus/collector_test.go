package prometheus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	client "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/metrics/metricstest"
	"concert/processes"
)

func TestMain(m *testing.M) { metricstest.Main(m) }

func scrape(t *testing.T, g prometheus.Gatherer, executor string) metricstest.Numbers {
	t.Helper()
	return scrapeAll(t, g)[executor]
}

// scrapeAll makes one scrape, and returns its values by executor.
func scrapeAll(t *testing.T, g prometheus.Gatherer) metricstest.ByExecutor {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := metricstest.ByExecutor{}
	for _, f := range families {
		for _, m := range f.Metric {
			key, of := f.GetName(), ""
			for _, l := range m.Label {
				if l.GetName() == "executor" {
					of = l.GetValue()
				} else {
					key += " " + l.GetValue()
				}
			}
			values.Add(of, key, valueOf(m))
		}
	}
	return values
}

func valueOf(m *client.Metric) float64 {
	if m.Histogram != nil {
		return float64(m.Histogram.GetSampleCount())
	}
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

func register(t *testing.T, name string, ex concert.Executor) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(name, ex))
	return registry
}

// TestCollector compares the values of scrapes with the tasks that have run.
func TestCollector(t *testing.T) {
	metricstest.Each(t, func(t *testing.T, kind string, ex concert.Executor) {
		ctx := t.Context()
		registry := register(t, kind, ex)
		scrape(t, registry, kind).Check(t, metricstest.Numbers{
			"concert_executor_up": 1, "concert_tasks queued": 0, "concert_tasks running": 0,
			"concert_tasks_finished_total success": 0, "concert_task_duration_seconds": 0,
		})
		held := metricstest.Hold(ctx, ex)
		scrape(t, registry, kind).Check(t, metricstest.Numbers{"concert_tasks running": 1, "concert_workers busy": 1, "concert_tasks queued": 0})
		held.Cancel()
		held.Result(ctx)

		want := metricstest.Numbers{
			"concert_tasks_finished_total success": 4, "concert_tasks_finished_total error": 2,
			"concert_tasks_finished_total panic": 4, "concert_tasks_finished_total canceled": 1,
			"concert_tasks_finished_total timeout": 0, "concert_tasks_finished_total worker_death": 0,
			"concert_tasks queued": 0, "concert_tasks running": 0, "concert_waiting_submitters": 0,
			"concert_worker_restarts_total": 0,
		}
		metricstest.RunTen(ctx, ex)
		if kind == "processes" {
			concert.Submit(ctx, ex, metricstest.Run, "crash").Result(ctx)
			if got := concert.Submit(ctx, ex, metricstest.Run, "abc"); must(got.Result(ctx)) != 3 {
				t.Error("wrong result")
			}
			want["concert_tasks_finished_total success"] = 5
			want["concert_tasks_finished_total worker_death"] = 1
			delete(want, "concert_worker_restarts_total") // 1 if the standby worker has taken the place
		}
		stats := ex.Stats()
		want["concert_task_duration_seconds"], want["concert_task_queue_duration_seconds"] = float64(stats.RunTime.Count()), float64(stats.QueueTime.Count())
		got := scrape(t, registry, kind)
		got.Check(t, want)
		if sent := got["concert_worker_sent_bytes_total"]; (sent > 0) != (kind == "processes") {
			t.Errorf("%v bytes were sent", sent)
		}
		ex.Close()
		delete(want, "concert_worker_restarts_total")
		scrape(t, registry, kind).Check(t, want) // the values must be the same after Close
	})
}

func must(v int, err error) int {
	if err != nil {
		panic(err)
	}
	return v
}

func TestCollector_Lint(t *testing.T) {
	ex := goroutines.New(2, nil)
	defer ex.Close()
	registry := register(t, "a", ex)
	registry.MustRegister(NewCollector("b", ex))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if families, _ := registry.Gather(); len(families) != 10 {
		t.Errorf("%d metrics, want 10", len(families))
	}
}

// TestCollector_WhileClosing scrapes while tasks run and the executor closes:
// counters must not decrease, and no scrape may fail.
func TestCollector_WhileClosing(t *testing.T) {
	pool, err := processes.New(2, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("goroutines", func(t *testing.T) { testClosing(t, goroutines.New(4, nil)) })
	t.Run("processes", func(t *testing.T) { testClosing(t, pool) })
}

func testClosing(t *testing.T, ex concert.Executor) {
	registry := register(t, "closing", ex)
	succeeded := metricstest.Close(t, ex, 2, func() metricstest.Numbers { return scrape(t, registry, "closing") }, func(key string) bool {
		return strings.Contains(key, "_total")
	})
	scrape(t, registry, "closing").Check(t, metricstest.Numbers{"concert_tasks_finished_total success": float64(succeeded)})
}

func TestCollector_Names(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	registry := prometheus.NewRegistry()
	const hostile = "a\"b\nc\\d{} é"
	registry.MustRegister(NewCollector(hostile, ex), NewCollector("b", ex))
	scrape(t, registry, hostile).Check(t, metricstest.Numbers{"concert_executor_up": 1})
	text, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain, "concert_executor_up")
	if want := `concert_executor_up{executor="a\"b\nc\\d{} é"} 1`; err != nil || !bytes.Contains(text, []byte(want)) {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
	var already prometheus.AlreadyRegisteredError
	if err := registry.Register(NewCollector("b", goroutines.New(1, nil))); !errors.As(err, &already) {
		t.Errorf("a second executor with the same name: %v", err)
	}
	for _, name := range []string{"", "\xff"} {
		if err := registry.Register(NewCollector(name, ex)); err == nil || !strings.Contains(err.Error(), "name of the executor") {
			t.Errorf("%q: %v", name, err)
		}
	}
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "executor is nil") {
			t.Error(v)
		}
	}()
	NewCollector("c", nil)
}

// TestCollector_Silent: an executor whose Stats panics or never returns must
// be reported as down. The scrape must have the other metrics of the program.
func TestCollector_Silent(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	registry := register(t, "well", ex)
	registry.MustRegister(NewCollector("panics", metricstest.Panics(ex)))
	registry.MustRegister(NewCollector("hangs", metricstest.Hangs(t, ex)))
	all := scrapeAll(t, registry)
	for name, up := range map[string]float64{"well": 1, "panics": 0, "hangs": 0} {
		got := all[name]
		got.Check(t, metricstest.Numbers{"concert_executor_up": up})
		if (len(got) == 1) != (up == 0) {
			t.Errorf("%s has %d values", name, len(got))
		}
	}
}

// TestHistogram compares the buckets of the metric with the buckets of the
// executor.
func TestHistogram(t *testing.T) {
	h := executor.Histogram{Sum: 5e9}
	for i := range h.Counts {
		h.Counts[i] = int64(i)
	}
	var m client.Metric
	if err := histogram(prometheus.NewDesc("a", "b", nil, nil), h).Write(&m); err != nil {
		t.Fatal(err)
	}
	got := m.Histogram
	if got.GetSampleSum() != 5 || got.GetSampleCount() != uint64(h.Count()) || len(got.Bucket) != len(h.Bounds()) {
		t.Errorf("%v", got)
	}
	sum := int64(0)
	for i, b := range got.Bucket {
		sum += h.Counts[i]
		if b.GetUpperBound() != h.Bounds()[i].Seconds() || b.GetCumulativeCount() != uint64(sum) {
			t.Errorf("bucket %d: %v", i, b)
		}
	}
}

// TestCollector_Documented: docs/observability.md must have the names, types
// and labels of all metrics, and no other metrics.
func TestCollector_Documented(t *testing.T) {
	page, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	ex := goroutines.New(1, nil)
	defer ex.Close()
	families, err := register(t, "x", ex).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName(), f.GetName()+"_bucket")
		kind := strings.ToLower(f.GetType().String())
		row := regexp.MustCompile("(?m)^.*" + kind + " `" + f.GetName() + "`.*$").Find(page)
		if row == nil {
			t.Errorf("no row has the %s %s", kind, f.GetName())
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() != "executor" && !bytes.Contains(row, []byte("`"+l.GetName()+"`")) {
					t.Errorf("the row of %s lacks the label %s: %s", f.GetName(), l.GetName(), row)
				}
			}
		}
	}
	for _, name := range regexp.MustCompile(`\bconcert_\w+`).FindAllString(string(page), -1) {
		if !slices.Contains(names, name) {
			t.Errorf("the page names %s, which does not exist", name)
		}
	}
}
