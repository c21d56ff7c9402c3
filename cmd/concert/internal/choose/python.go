package choose

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"strings"

	"concert"
	"concert/choose"
	"concert/choose/models"
	"concert/cmd/concert/internal/cli"
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
		values[i] = pythonValue(in)
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
			async, err := isAsync(ctx, prober, o)
			if err != nil {
				return nil, err
			}
			all := models.Python(opts)
			if async {
				all = models.PythonAsync(opts)
			}
			choosing.Profile = models.PythonProfile(prober, o.py, values)
			return choose.Run(ctx, python.Func[any, any](o.py), values, all, choosing)
		},
		close: func() { prober.Close() },
	}, nil
}

// isAsync reports whether the function is a coroutine function. It imports the
// module of the function, which may take at most the budget.
func isAsync(ctx context.Context, prober concert.Executor, o options) (bool, error) {
	ctx, stop := context.WithTimeoutCause(ctx, o.Budget, fmt.Errorf("%w of %v: importing the module of %s has not ended", choose.ErrTooLong, o.Budget, o.py))
	defer stop()
	async, err := models.IsAsync(ctx, prober, o.py)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if err != nil {
		err = fmt.Errorf("%w: %w", choose.ErrFails, err)
	}
	return async, err
}

// pythonValue returns an input as a value for Python: the decoded value if the
// text is JSON, and the text otherwise.
func pythonValue(text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return text
	}
	return exact(v)
}

// exact converts each number in a JSON value to an integer, which may have any
// size, or to a float.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, ok := new(big.Int).SetString(v.String(), 10); ok {
			if i.IsInt64() {
				return i.Int64()
			}
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}
