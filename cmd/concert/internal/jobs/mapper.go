package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"concert/cmd/concert/internal/jobs/inputs"
	"concert/cmd/concert/internal/jobs/output"
	"concert/cmd/concert/internal/pyvalue"
	"concert/python"
	"concert/resume"
)

// mapper is one run: it makes jobs from inputs, and records and prints those
// that have settled.
type mapper struct {
	*options
	engine
	reader   *inputs.Reader
	template *inputs.Template // nil for a Python function
	where    string           // the working directory, as part of the keys
	keys     resume.Keys      // used by feed only
	journal  *resume.Journal  // nil without --journal
	printer  *output.Printer
	// isAbandoned is whether the printer or the view still waits for a stuck
	// reader, so that the run ends without it.
	isAbandoned bool
	view        *view
	shown       atomic.Pointer[view] // the field view, or nil until it is set
	counted     atomic.Int64         // the number of inputs, or 0 while it is not known

	printing  context.Context // ends some time after Ctrl-C, so that a stuck reader does not delay the end
	recording chan struct{}   // bounds the number of goroutines that wait for the journal
	pending   sync.WaitGroup  // counts these goroutines

	errMu sync.Mutex
	err   error // guarded by errMu: the first error that ended the run
}

// maxRecording is the maximum number of finished jobs that are being recorded
// or printed. Workers need not wait for the disk, and the records of many jobs
// are written together.
const maxRecording = 256

// feed makes jobs from the inputs.
func (m *mapper) feed(fresh chan<- *job) {
	defer close(fresh)
	n := 0
	for {
		in, err := m.reader.Next(m.starting)
		if err == io.EOF {
			m.counted.Store(int64(n))
			m.engine.live.expect(n)
			return
		}
		var j *job
		if err == nil {
			n++
			j, err = m.newJob(in)
		}
		if err != nil {
			if m.starting.Err() == nil {
				m.fail(err)
			}
			return
		}
		select {
		case fresh <- j:
		case <-m.starting.Done():
			return
		}
	}
}

// newJob returns the job for an input.
func (m *mapper) newJob(in inputs.Input) (*job, error) {
	j := &job{number: in.Number, inputs: in.Values}
	var parts [][]byte
	if m.py == "" {
		if j.command, j.refused = m.template.Args(in); j.refused != nil {
			j.command = append(m.argv[:len(m.argv):len(m.argv)], in.Values...) // no command runs: this is for the key and the record
		}
		parts = append(parts, []byte("command"), []byte(m.where))
		for _, word := range j.command {
			parts = append(parts, []byte(word))
		}
	} else {
		j.command, j.argument = []string{m.py}, argument(in, m.reader.Columns())
		parts = append(parts, []byte("python"), []byte(m.where), []byte(m.py))
		for _, value := range in.Values {
			parts = append(parts, []byte(value))
		}
	}
	if m.needsKeys() {
		j.key = m.keys.Next(resume.NewKey(parts...))
	}
	return j, m.recall(j)
}

// needsKeys reports whether a flag needs the keys of jobs. If not, the mapper
// makes no keys, because they need memory for each job.
func (o *options) needsKeys() bool { return o.journal != "" || o.results != "" || o.json }

// argument returns the argument of a Python function: the value of the input,
// or python.Args with one value for each source. The values of a CSV file are a
// dict.
func argument(in inputs.Input, columns []string) any {
	var args []any
	values := in.Values
	if len(columns) > 0 {
		row := make(map[string]any, len(columns))
		for i, name := range columns {
			row[name] = pyvalue.Parse(values[i])
		}
		args, values = append(args, row), values[len(columns):]
	}
	for _, v := range values {
		args = append(args, pyvalue.Parse(v))
	}
	if len(args) == 1 {
		return args[0]
	}
	return python.Args{Args: args}
}

// finish records and prints a job that has settled. If there is a journal,
// finish returns before the record is durable.
func (m *mapper) finish(j *job, r *output.Record, o *output.Output) {
	if m.journal == nil || !isRecorded(r) {
		m.deliver(j, r, o)
		return
	}
	m.recording <- struct{}{}
	m.pending.Go(func() {
		if err := m.append(j, r, o); err != nil {
			m.fail(err)
		}
		m.deliver(j, r, o)
		<-m.recording
	})
}

// deliver prints a job.
func (m *mapper) deliver(j *job, r *output.Record, o *output.Output) {
	m.view.settled(j, r, o)
	if err := m.printer.Done(m.printing, r, o); err != nil {
		m.failPrinting(err)
	}
	m.queue.finish(j.number)
}

// unreadable reports that the output of a job cannot be read, such as a
// recorded one that is damaged.
func (m *mapper) unreadable(number int, err error) {
	m.fail(fmt.Errorf("the output of job %d cannot be read, and is not complete: %w", number, err))
}

// fail ends the run after the running jobs, because of an error.
func (m *mapper) fail(err error) {
	m.setErr(err)
	m.stopSoon(err)
}

// failPrinting ends the run at once, because its output is lost.
func (m *mapper) failPrinting(err error) {
	if m.printing.Err() == nil {
		m.setErr(fmt.Errorf("cannot write the output of the jobs: %w", err))
	}
	m.stopNow(err)
}

func (m *mapper) setErr(err error) {
	m.errMu.Lock()
	defer m.errMu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

// firstErr returns the first error that ended the run.
func (m *mapper) firstErr() error {
	m.errMu.Lock()
	defer m.errMu.Unlock()
	return m.err
}

// stopGrace is the time between Ctrl-C and the message why the command does
// not end yet.
const stopGrace = 50 * time.Millisecond

// watch reacts to Ctrl-C. The caller calls the returned function at the end.
func (m *mapper) watch(ctx context.Context) (end func()) {
	printing, stopPrinting := context.WithCancelCause(context.WithoutCancel(ctx))
	m.printing = printing
	stop := context.AfterFunc(ctx, func() {
		time.Sleep(stopGrace)
		time.AfterFunc(grace+time.Second, func() { stopPrinting(errors.New("interrupted")) })
		m.view.stopping(m.activeAttempts()) // may block
	})
	return func() {
		stop()
		stopPrinting(nil)
	}
}

// messages is a writer for messages of interpreters and of a cluster. Messages
// may be written before the view exists.
type messages struct{ *mapper }

// Write implements io.Writer.
func (m messages) Write(text []byte) (int, error) {
	if v := m.shown.Load(); v != nil {
		return v.err.Write(text)
	}
	return os.Stderr.Write(text)
}

// workingDirectory returns the directory of the jobs.
func workingDirectory() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("the working directory is unknown: %w", err)
	}
	return dir, nil
}
