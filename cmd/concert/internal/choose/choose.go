// Package choose is the command "concert choose". It measures commands, Python
// functions and downloads with package choose of the library.
package choose

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"concert"
	"concert/choose"
	"concert/cmd/concert/internal/cli"
	"concert/dashboard"
	"concert/trace"
)

// Command is the command "concert choose".
var Command = cli.Command{Name: "choose", Summary: "measure how to run your work concurrently", Help: help, Flags: new(options).flags(), Run: run}

// job is one kind of work with the arguments of choose.Run.
type job struct {
	what  string // what the work is, for messages
	run   func(ctx context.Context, opts *choose.Options) (*choose.Report, error)
	close func() // releases the resources of the job
}

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	o, command, inputs, err := parse(args)
	if err != nil {
		return err
	}
	if inputs == nil {
		if inputs, err = readInputs(ctx, os.Stdin); err != nil {
			return err
		}
	}
	var j *job
	switch {
	case o.get:
		j, err = getJob(inputs)
	case o.py != "":
		j, err = pythonJob(o, inputs)
	default:
		j, err = commandJob(command, inputs)
	}
	if err != nil {
		return err
	}
	defer j.close()
	// Open the output files first, so that an error ends the command before the
	// measurements and not after them.
	page, err := cli.NewOutput(o.html)
	if err != nil {
		return err
	}
	defer page.Discard()
	events, err := cli.NewOutput(o.trace)
	if err != nil {
		return err
	}
	defer events.Discard()
	if events != nil {
		tracer := trace.New(events)
		defer func() {
			if e := events.Commit(tracer.Close()); e != nil && (err == nil || errors.Is(err, cli.ErrGuess)) {
				err = e
			}
		}()
		o.Observer = func(model string, level int) concert.Observer {
			return tracer.Observer(choose.Step{Model: model, Concurrency: level}.String())
		}
	}
	live, err := o.web.Serve("choose", dashboard.Options{Title: "concert choose: " + j.what}, errOut)
	if err != nil {
		return err
	}
	if live != nil {
		defer live.Close()
		runs := new(dashboard.Feed)
		live.Add("runs", runs)
		o.Observer = onPage(runs, o.Observer)
	}
	follow := newFollower(errOut, o)
	follow.announce(j.what, len(inputs))
	o.OnStep = follow.step
	report, err := j.run(ctx, &o.Options)
	follow.clear()
	if report == nil {
		return err
	}
	var failed error
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		failed = e.Encode(report)
	} else {
		failed = printReport(out, report, o.quiet)
	}
	if page != nil {
		failed = errors.Join(failed, page.Commit(report.HTML(page, j.what)))
	}
	if failed != nil {
		return failed
	}
	if err == nil && report.Verdict.Certainty == choose.Unclear {
		err = cli.ErrGuess
	}
	return err
}
