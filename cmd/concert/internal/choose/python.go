package choose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"concert"
	"concert/choose"
	"concert/choose/models"
	"concert/choose/usage"
	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/pyvalue"
	"concert/internal/pyname"
	"concert/python"
)

// pythonJob returns the job of a Python function.
func pythonJob(o options, inputs []string) (*job, error) {
	if why := pyname.Check(o.py); why != nil {
		return nil, cli.UsageError{Text: fmt.Sprintf("--py %q: want MODULE:FUNCTION, as in statistics:fmean: %v", o.py, why)}
	}
	values := make([]any, len(inputs))
	for i, in := range inputs {
		values[i] = pyvalue.Parse(in)
	}
	opts := &python.Options{Interpreter: o.python, Grace: commandGrace}
	opts.Output = slog.New(slog.DiscardHandler)
	prober, err := python.New(1, opts)
	if err != nil {
		return nil, err
	}
	return &job{
		what: o.py,
		run: func(ctx context.Context, choosing *choose.Options) (*choose.Report, error) {
			p := profiler{prober: prober, where: o.py, call: models.PythonProfile(prober, o.py, values)}
			choosing.Profile = p.run
			all := withMapLines(models.Python(opts), &o)
			report, err := choose.Run(ctx, python.Func[any, any](o.py), values, all, choosing)
			if !p.imported && errors.Is(err, choose.ErrTooLong) {
				err = fmt.Errorf("%w: importing the module of %s has not ended", err, o.py)
			}
			if report != nil && p.isAsync(ctx) {
				forAsyncio(&report.Verdict, all, models.PythonAsync(opts))
			}
			return report, err
		},
		close: func() { prober.Close() },
	}, nil
}

// profiler runs a Python function alone.
type profiler struct {
	prober   concert.Executor
	where    string // the name of the function
	call     func(ctx context.Context, input int) (usage.Usage, error)
	imported bool  // whether the module of the function has been imported
	failed   error // the error of the import
	async    bool  // whether the function is defined with "async def"
}

// run runs the function with an input. The first call imports the module of the
// function, so that the import is part of the budget.
func (p *profiler) run(ctx context.Context, input int) (usage.Usage, error) {
	if !p.imported && p.failed == nil {
		p.async, p.failed = models.IsAsync(ctx, p.prober, p.where)
		p.imported = p.failed == nil
	}
	if p.failed != nil {
		return usage.Usage{}, p.failed
	}
	return p.call(ctx, input)
}

// isAsync reports whether calls of the function return coroutines. It is called
// after run. So models.IsAsync also finds a plain function that has returned a
// coroutine.
func (p *profiler) isAsync(ctx context.Context) bool {
	if p.async || ctx.Err() != nil {
		return p.async
	}
	async, err := models.IsAsync(ctx, p.prober, p.where)
	return err == nil && async
}

// forAsyncio changes a verdict about models for plain functions: the Python
// code and the note become those of the corresponding models for coroutines.
func forAsyncio(v *choose.Verdict, plain, coroutines []choose.Model) {
	for i, m := range coroutines {
		if m.Name != v.Model {
			continue
		}
		v.PythonCode = m.PythonCode(v.Concurrency)
		for j, c := range v.Caveats {
			if c == plain[i].Note {
				v.Caveats[j] = m.Note
			}
		}
	}
}
