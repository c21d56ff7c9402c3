package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"concert"
	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/jobs/inputs"
	"concert/cmd/concert/internal/jobs/output"
	"concert/cmd/concert/internal/jobs/supervisor"
	"concert/trace"
)

const help = `Usage: concert map [flags] COMMAND [ARGUMENT...] ::: INPUT...
       concert map [flags] COMMAND [ARGUMENT...] < INPUTS
       concert map [flags] --py MODULE:FUNCTION ::: INPUT...

Runs a command, or calls a Python function, once for each input: many
concurrently, and resumably. The output of a job is printed when the job has
ended, in the order of the inputs. So it is the output of a loop, but sooner.

An input is always one argument. No shell is involved, and an input is never
changed. In the arguments of the command, these texts stand for the input:

  {}  {.}     the input; without its extension
  {/} {//}    the name of the file; its directory
  {/.}        the name of the file without its extension
  {#}         the number of the input, from 1 up
  {1} {2.}    the input of the first source; of the second, without extension
  {NAME}      the column NAME of --csv

Without any of them, the input is added at the end. If inputs may begin with a
hyphen, write ./{} or -- {}, so that the command does not take them as options.

Inputs are the arguments after :::, the lines of -i, or else the lines of the
standard input. Several ::: make all combinations, and :::+ adds a value to each
input of the source before it. A Python function gets an argument for each
source. An input that is JSON is decoded; any other input is a str. The result
is printed: a str as a line, and other values as a line of JSON.

A job ends together with all processes that it has started. Jobs read nothing
from the standard input.

Flags:

D is a time with its unit, as in 30s or 2m. SIZE may have one of the units K, M,
G and T, which are powers of 1024.

With --journal, the same command with --resume continues after an interruption,
a crash or a loss of power. Its output is the output of the whole run. A job is
the same if its arguments and its directory are the same.

The output of jobs goes to the standard output and the standard error, as the
jobs write it. Progress and the summary go to the standard error. Ctrl-C ends
the running jobs with SIGTERM, and kills them after 5 seconds. A second Ctrl-C
kills them at once.

Exit codes:
  0    all jobs succeeded, or --halt success=N or done=N ended the run
  1    jobs failed or were not run, or their output cannot be written, for
       example because its reader has closed the pipe
  2    the command line is wrong; nothing was run
  130  interrupted

Examples:
  concert map gzip -k ::: *.log
  find . -name '*.wav' -print0 | concert map -0 -j 4 flac -s -o {.}.flac {}
  concert map --journal j --resume --retries 2 ./convert -i list.txt > out
  concert map --timeout 300% --halt soon,fail=10% ./simulate ::: 1 2 3 ::: a b
  concert map --py thumbs:make --choose ::: *.jpg
`

// Command is the command "concert map".
var Command = cli.Command{Name: "map", Summary: "run a command, or a Python function, for many inputs", Help: help, Flags: new(options).flags(), Run: run}

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	m := &mapper{options: &o, recording: make(chan struct{}, maxRecording)}
	if m.reader, err = inputs.Open(ctx, o.groups, &inputs.Options{File: o.list, Null: o.nul, CSV: o.csv}); err != nil {
		return err
	}
	defer m.reader.Close()
	if o.py == "" {
		syntax := &inputs.Syntax{Width: m.reader.Width(), Columns: m.reader.Columns(), Instead: o.instead, Shell: o.shell}
		if m.template, err = inputs.Parse(o.argv, syntax); err != nil {
			return err
		}
	}
	if o.isDryRun {
		return m.dryRun(ctx, out)
	}
	if o.py == "" && !o.shell {
		if err := checkProgram(o.argv[0]); err != nil {
			return err
		}
	}
	defer cli.CollectOften()() // as in the supervisor
	if m.where, err = workingDirectory(); err != nil {
		return err
	}
	// Open the files first, so that an error ends the command before the first
	// job.
	if m.journal, err = o.openJournal(); err != nil {
		return err
	}
	if m.journal != nil {
		defer func() {
			if e := m.journal.Close(); err == nil && e != nil {
				err = fmt.Errorf("--journal: %s", strings.TrimPrefix(e.Error(), "resume: "))
			}
		}()
	}
	var results *output.Results
	if o.results != "" {
		if results, err = output.OpenResults(o.results); err != nil {
			return err
		}
		defer results.Close()
	}
	events, err := cli.NewOutput(o.trace)
	if err != nil {
		return err
	}
	defer events.Discard()
	var observer concert.Observer
	if events != nil {
		tracer := trace.New(events)
		observer = tracer.Observer("concert map")
		defer func() {
			if e := events.Commit(tracer.Close()); e != nil && (err == nil || errors.Is(err, cli.ErrReported)) {
				err = e
			}
		}()
	}
	return m.runJobs(ctx, results, observer, out, errOut)
}

// runJobs runs all jobs.
func (m *mapper) runJobs(ctx context.Context, results *output.Results, observer concert.Observer, out, errOut io.Writer) (err error) {
	// A closed pipe must not end the program: after Notify, a write to it
	// returns an error. The signal is not ignored, because the jobs would then
	// ignore it, too.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	defer signal.Stop(pipes)

	m.gate = newGate(m.options, func(text string) { m.view.note(text) })
	if err := m.gate.check(); err != nil {
		return err
	}
	endLive, err := m.openLive(errOut)
	if err != nil {
		return err
	}
	defer endLive()
	closeRunner, err := m.openRunner(ctx)
	if err != nil {
		return err
	}
	defer closeRunner()
	defer m.start(ctx)()

	total, _ := m.reader.Total()
	m.view = newView(m.options, total, out, errOut)
	m.shown.Store(m.view)
	m.engine.live.expect(total)
	defer func() { // does nothing if m.result has closed the view
		if !m.isAbandoned {
			m.view.close(false, nil, "")
		}
	}()
	if m.journal != nil && m.journal.Damaged() > 0 {
		m.view.note(fmt.Sprintf("%s: %d damaged lines do not count; their jobs run again\n", m.options.journal, m.journal.Damaged()))
	}
	store, err := output.NewStore(os.TempDir())
	if err != nil {
		return err
	}
	defer func() {
		if !m.isAbandoned { // if the printer is abandoned, it may still use the store
			store.Close()
		}
	}()
	printing := &output.Options{
		Stdout: m.view.out, Stderr: m.view.err, Mode: m.mode(), Unordered: m.unordered, Tag: m.tag, JSON: m.json,
		Keep: m.journal != nil || results != nil, Recorded: m.recordedOutput, OnError: m.unreadable,
	}
	if m.ungroup {
		printing.Stdout, printing.Stderr = os.Stdout, os.Stderr // without a printer in between, a job needs files
	}
	m.printer = output.NewPrinter(store, printing)
	if results != nil {
		m.written = func(r *output.Record, o *output.Output) error {
			if r.Resumed && results.Has(r) {
				return nil
			}
			return results.Write(r, o)
		}
	}
	fresh := make(chan *job, 64)
	m.engine.queue = newQueue(fresh, !m.unordered)
	m.engine.timeouts = newTimeouts(m.timeout)
	m.engine.halt, m.engine.retries, m.engine.delay = m.options.halt, m.options.retries, m.retryDelay
	m.engine.total = func() int { return max(total, int(m.counted.Load())) }
	m.begun, m.settled = m.view.begun, m.finish
	defer m.watch(ctx)()
	go m.feed(fresh)

	ex := m.executor(observer)
	if m.choose {
		ex = m.measure(ctx, observer)
	}
	if ex != nil {
		defer ex.Close()
		if observer != nil {
			ctx = concert.WithInputLabels(ctx, (*job).label)
		}
		m.runAll(ctx, ex)
	}
	m.end()
	m.pending.Wait()
	if m.engine.queue.taken == 0 && m.starting.Err() == nil {
		m.view.note("no inputs, so nothing was run\n")
	}
	m.closePrinter()
	return m.result(ctx)
}

// closePrinter waits until all output is printed. After an interruption, it
// waits for a stuck reader for a limited time only.
func (m *mapper) closePrinter() {
	closed := make(chan error, 1)
	go func() { closed <- m.printer.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			m.failPrinting(err)
		}
	case <-m.printing.Done():
		m.isAbandoned = true
	}
}

// closeView waits until the summary is printed. After an interruption, it
// waits for a stuck reader for a limited time only.
func (m *mapper) closeView(closeIt func()) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closeIt()
	}()
	select {
	case <-closed:
		return
	case <-m.printing.Done():
	}
	select {
	case <-closed:
	case <-time.After(time.Second):
		m.isAbandoned = true
	}
}

// mode returns when output is printed.
func (o *options) mode() output.Mode {
	switch {
	case o.lineBuffer:
		return output.LineBuffer
	case o.ungroup:
		return output.Ungroup
	}
	return output.Grouped
}

// label returns the label of a job in a trace.
func (j *job) label() string { return strings.Join(j.inputs, " ") }

// result prints the summary, and returns the error of the run.
func (m *mapper) result(ctx context.Context) error {
	again := ""
	if m.journal != nil {
		again = ". To continue, run the same command with --resume."
	}
	cause, first := context.Cause(m.starting), m.firstErr()
	var stopped error
	if errors.Is(cause, errHalted) {
		stopped = errHalted
	}
	m.closeView(func() { m.view.close(ctx.Err() != nil, stopped, again) })
	failed, left := m.view.counts()
	switch {
	case ctx.Err() != nil:
		return cli.ErrReported
	case first != nil:
		return first
	case stopped != nil && m.options.halt.counted == successes:
		return nil
	case failed > 0 || left > 0:
		return cli.ErrReported
	case stopped != nil && m.options.halt.counted == failures:
		return cli.ErrReported
	}
	return nil
}

// openRunner opens a supervisor, interpreters, or the connection to a cluster,
// as the jobs need it.
func (m *mapper) openRunner(ctx context.Context) (closeAll func(), err error) {
	if m.py == "" {
		o := &supervisor.Options{Grace: grace, Memory: m.memory.Bytes, CPU: m.options.cpu}
		if m.reserve() > 0 {
			o.Slots = m.concurrency()
			m.turns = new(turns)
		}
		s, err := supervisor.Start(o)
		if err != nil {
			return nil, err
		}
		m.engine.hold = s.Hold
		cli.AddCleanup(s, func() { s.Close() })
		m.runner = &commandRunner{m, s}
		endSuspend := suspend(s)
		return func() {
			endSuspend()
			s.Close()
			cli.RemoveCleanup(s)
		}, nil
	}
	if m.clusterURL != "" {
		ex, err := m.openCluster(ctx, messages{m})
		if err != nil {
			return nil, err
		}
		m.runner = newPythonRunner(ex, m.py)
		return func() { ex.Close() }, nil
	}
	pool, err := m.openInterpretersOfJobs(ctx)
	if err != nil {
		return nil, err
	}
	m.runner = pool
	return func() { pool.ex.Close() }, nil
}

// dryRun prints the command lines.
func (m *mapper) dryRun(ctx context.Context, out io.Writer) error {
	for {
		in, err := m.reader.Next(ctx)
		if err == io.EOF {
			return nil
		}
		var j *job
		if err == nil {
			if j, err = m.newJob(in); err == nil {
				err = j.refused
			}
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, cli.CommandLine(append(j.command, m.shownInputs(j)...))); err != nil {
			return fmt.Errorf("cannot write to the standard output: %w", err)
		}
	}
}

// shownInputs returns the text after the name of a Python function in a dry
// run.
func (m *mapper) shownInputs(j *job) []string {
	if m.py == "" {
		return nil
	}
	return j.inputs
}
