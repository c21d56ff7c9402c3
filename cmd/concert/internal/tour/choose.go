package tour

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"concert"
	"concert/choose"
	"concert/choose/models"
	"concert/cmd/concert/internal/cli"
	"concert/python"
)

// visitTask fetches a page on any executor. It releases the lock of its
// executor while it waits.
var visitTask = concert.Register("visit", func(ctx context.Context, url string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := visitClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(io.Discard, resp.Body)
})

var visitClient = &http.Client{Transport: cli.ReleasingTransport(&http.Transport{MaxIdleConnsPerHost: 100})}

// trialBudget is the time for each kind of work. Tests set a shorter time.
var trialBudget = 5 * time.Second

const (
	maxConcurrency = 64        // the maximum concurrency of each trial
	choiceSize     = 5_000_000 // the number of squares in a task, which takes some milliseconds
)

// showChoose measures five kinds of work with package choose, and stores the
// results for the closing table.
func showChoose(ctx context.Context, t *tour) error {
	site, stop, err := serve()
	if err != nil {
		return err
	}
	defer stop()
	defer visitClient.CloseIdleConnections()
	url := site + "/quick"

	waits, err := chooseGo(ctx, t, "a page from a server", visitTask, url)
	if err != nil {
		return err
	}
	computes, err := chooseGo(ctx, t, "a sum of five million squares", sumTask, choiceSize)
	if err != nil {
		return err
	}
	if _, err := chooseGo(ctx, t, "a sum of a hundred squares", sumTask, 100); err != nil {
		return err
	}
	t.addModels(comparison{"Go", computes, waits}, models.Go())

	prober, err := python.New(1, &python.Options{Output: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.noted("Python is left out", err.Error())
		return nil
	}
	defer prober.Close()
	inPython, err := choosePython(ctx, t, "the same in Python: 50,000 squares", prober, pythonCPUTask, ":cpu_task\n"+cpuTaskText, 50_000)
	if err != nil {
		return err
	}
	fetched, err := choosePython(ctx, t, "a page, in Python", prober, pythonFetch, ":fetch\n"+fetchText, url)
	if err != nil {
		return err
	}
	t.addModels(comparison{"Python", inPython, fetched}, models.Python(nil))
	return nil
}

// chooseGo prints the verdict of package choose for a function in Go.
func chooseGo[In, Out any](ctx context.Context, t *tour, what string, fn func(context.Context, In) (Out, error), in In) (*choose.Report, error) {
	report, err := choose.Run(ctx, fn, []In{in}, models.Go(), &choose.Options{Budget: trialBudget, MaxConcurrency: maxConcurrency})
	return t.chosen(what, report, err)
}

// choosePython prints the verdict of package choose for a function in Python.
func choosePython[In, Out any](ctx context.Context, t *tour, what string, prober concert.Executor, fn func(context.Context, In) (Out, error), where string, in In) (*choose.Report, error) {
	report, err := choose.Run(ctx, fn, []In{in}, models.Python(nil), &choose.Options{
		Budget: trialBudget, MaxConcurrency: maxConcurrency, Profile: models.PythonProfile(prober, where, []In{in}),
	})
	return t.chosen(what, report, err)
}

// chosen prints the verdict of a report.
func (t *tour) chosen(what string, r *choose.Report, err error) (*choose.Report, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	t.say(line{What: what, Note: r.Verdict.Sentence, Long: true})
	fmt.Fprintf(t.out, "  %s\n", what)
	for line := range strings.Lines(cli.Wrap(r.Verdict.Sentence, 74)) {
		fmt.Fprintf(t.out, "    %s\n", t.style.Dim(strings.TrimSuffix(line, "\n")))
	}
	return r, nil
}

// aboutModels has the texts of the closing table. The key is the name of a
// model in reports.
var aboutModels = map[string]modelRow{
	"sequential execution":   {For: "little to do, tiny tasks", Parallel: "no"},
	"goroutines":             {For: "I/O and computing, in Go", Parallel: "yes"},
	"goroutines under a GIL": {For: "engines for one thread", Parallel: "while waiting"},
	"an event loop":          {For: "connections that share", Parallel: "while waiting"},
	"processes":              {For: "what may crash, or hang", Parallel: "yes"},
	"one interpreter":        {Name: "Python, one interpreter", For: "little to do", Parallel: "no"},
	"threads":                {Name: "Python, threads", For: "I/O, in Python", Parallel: "while waiting"},
	"interpreters":           {Name: "Python, interpreters", For: "computing, in Python", Parallel: "yes"},
	fmt.Sprintf("threads of %d interpreters", runtime.GOMAXPROCS(0)): {
		Name: fmt.Sprintf("Python, threads of %d", runtime.GOMAXPROCS(0)), For: "both, in Python", Parallel: "yes",
	},
}

// addModels adds the models to the closing table, with their gains in two
// reports.
func (t *tour) addModels(c comparison, all []choose.Model) {
	t.comparisons = append(t.comparisons, c)
	for _, m := range all {
		about := aboutModels[m.Name]
		about.Name = cmp.Or(about.Name, m.Name)
		about.Language, about.Computes, about.Waits = c.language, bestOf(c.computes, m.Name), bestOf(c.waits, m.Name)
		t.models = append(t.models, about)
	}
}

// bestOf returns the largest gain of a model. It considers the points that were
// measured in rounds, and the recommended point. If the model has no such
// point, it considers all points of the model.
func bestOf(r *choose.Report, model string) (best gain) {
	if r.Verdict.Model == model {
		best = gain(r.Verdict.Gain.Median)
	}
	for _, rounds := range []bool{true, false} {
		for _, p := range r.Points {
			if p.Model == model && (p.Rounds > 0 || !rounds) {
				best = max(best, gain(p.Gain.Median))
			}
		}
		if best > 0 {
			break
		}
	}
	return best
}
