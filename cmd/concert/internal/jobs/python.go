package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"concert"
	"concert/cluster"
	"concert/cmd/concert/internal/jobs/output"
	"concert/internal/printable"
	"concert/processes"
	"concert/python"
)

// pythonRunner calls a Python function in the interpreters of a pool, or in the
// workers of a cluster.
type pythonRunner struct {
	ex   concert.Executor
	one  func(context.Context, any) (any, error)         // the function, called with one argument
	many func(context.Context, python.Args) (any, error) // the function, called with one argument for each source
}

func newPythonRunner(ex concert.Executor, where string) *pythonRunner {
	return &pythonRunner{ex, python.Func[any, any](where), python.Func[python.Args, any](where)}
}

// openInterpreters opens a pool of n interpreters with the given number of
// threads each. The output of the interpreters goes to w.
func (o *options) openInterpreters(n, threads int, w io.Writer) (concert.Executor, error) {
	return python.New(n, &python.Options{
		Interpreter: o.python, Threads: threads, Memory: o.memory.Bytes, Grace: pythonGrace, Output: slog.New(workerLines{w}),
	})
}

// pythonGrace is the time that a function has to end after its interruption.
const pythonGrace = 2 * time.Second

// defaultCluster is the value of --cluster for the server that cluster.Dial
// finds without a URL.
const defaultCluster = "default"

// openCluster connects to a cluster.
func (o *options) openCluster(ctx context.Context, w io.Writer) (concert.Executor, error) {
	url := o.clusterURL
	if url == defaultCluster {
		url = ""
	}
	return cluster.Dial(ctx, url, &cluster.Options{
		Access: cluster.Access{Key: o.key}, Grace: grace,
		Notice: func(text string) { fmt.Fprintf(w, "concert map: %s\n", printable.Text(text)) },
	})
}

// run implements runner.
func (p *pythonRunner) run(ctx context.Context, j *job, r *output.Record, begin func()) *output.Output {
	begin()
	var future *concert.Future[any]
	if args, ok := j.argument.(python.Args); ok {
		future = concert.Submit(ctx, p.ex, p.many, args)
	} else {
		future = concert.Submit(ctx, p.ex, p.one, j.argument)
	}
	// When ctx ends, the pool interrupts the function, and kills its
	// interpreter after the grace. The wait has no context, because it must
	// include this.
	result, err := future.Result(context.WithoutCancel(ctx))
	return p.outputOf(result, err, r)
}

// outputOf returns the output of a call, and sets the status.
func (p *pythonRunner) outputOf(result any, err error, r *output.Record) *output.Output {
	var text []byte
	if err == nil {
		text, err = resultText(result)
	}
	if err == nil {
		r.Status = output.OK
		return output.Bytes(text, nil)
	}
	r.Status, r.Error = output.Failed, err.Error()
	if raised, ok := errors.AsType[*python.Error](err); ok {
		return output.Bytes(nil, []byte(raised.Traceback))
	}
	if died, ok := errors.AsType[*processes.WorkerError](err); ok {
		r.Status = output.Killed
		if died.Signal != 0 {
			r.Signal = nameOfSignal(died.Signal)
		}
		return output.Bytes(nil, []byte(died.Stderr))
	}
	return output.Bytes(nil, []byte(r.Error+"\n"))
}

// resultText returns the output for the result of a function: for a text, the
// text and a line feed; for bytes, these bytes; for None, nothing; for other
// values, a line of JSON.
func resultText(v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(v + "\n"), nil
	case []byte:
		return v, nil
	}
	v, err := jsonValue(v)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("the result cannot be printed as JSON: %w", err)
	}
	return append(line, '\n'), nil
}

// jsonValue converts a value from Python to a value that package json can
// encode.
func jsonValue(v any) (any, error) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("the result has the number %v, which JSON does not have: return a str", v)
		}
	case []byte:
		return nil, errors.New("the result has bytes within another value, which JSON does not have: return bytes alone, or a str")
	case []any:
		for i := range v {
			var err error
			if v[i], err = jsonValue(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			var err error
			if v[k], err = jsonValue(v[k]); err != nil {
				return nil, err
			}
		}
	case map[any]any:
		return nil, errors.New("the result has a dict with keys that are no str, which JSON does not have: return a dict with str keys, or a str")
	}
	return v, nil
}

// workerLines is a handler for package slog. It writes lines that workers
// print without a change. It writes log records of a pool as messages of the
// command.
type workerLines struct{ w io.Writer }

// Enabled implements slog.Handler.
func (workerLines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h workerLines) Handle(_ context.Context, r slog.Record) error {
	isLine := false
	r.Attrs(func(a slog.Attr) bool {
		isLine = isLine || a.Key == "stream"
		return !isLine
	})
	if !isLine {
		return nil // the errors of the jobs have the same information
	}
	_, err := io.WriteString(h.w, printable.Text(r.Message)+"\n")
	return err
}

// WithAttrs implements slog.Handler.
func (h workerLines) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h workerLines) WithGroup(string) slog.Handler { return h }
