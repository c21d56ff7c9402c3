package jobs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/jobs/output"
	"concert/cmd/concert/internal/jobs/supervisor"
)

// grace is the time between the SIGTERM and the SIGKILL for a job.
const grace = 5 * time.Second

// commandRunner runs commands with a supervisor. It gets the files for their
// output from the printer of the mapper.
type commandRunner struct {
	*mapper
	supervisor *supervisor.Supervisor
}

// checkProgram returns an error if there is no program of this name.
func checkProgram(name string) error {
	_, err := exec.LookPath(name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return cli.UsageError{Text: fmt.Sprintf("no program %q in $PATH", name)}
	}
	return cli.UsageError{Text: fmt.Sprintf("the program %q cannot run: %v", name, errors.Unwrap(err))}
}

// run implements runner.
func (c *commandRunner) run(ctx context.Context, j *job, r *output.Record, begin func()) *output.Output {
	r.Status = output.NotStarted
	capture, err := c.printer.Begin(j.inputs)
	if err != nil {
		r.Error = err.Error()
		return nil
	}
	res, err := c.supervisor.Run(ctx, supervisor.Job{Args: j.command, Stdout: capture.Stdout, Stderr: capture.Stderr, OnSend: j.sent, OnStart: begin})
	if errors.Is(err, supervisor.ErrHeld) {
		capture.Discard(false)
		r.Status = output.Canceled
		return nil
	}
	out, lost := capture.Finish(res.Survivors > 0 || err != nil)
	if !res.Start.IsZero() {
		r.Start, r.Seconds = res.Start, res.End.Sub(res.Start).Seconds()
	}
	r.CPU = (res.UserCPU + res.SystemCPU).Seconds()
	r.Memory = res.PeakMemory
	switch {
	case errors.Is(err, supervisor.ErrDied): // not the fault of the job: a resumed run runs it again
		r.Status, r.Error = output.Canceled, err.Error()
		c.fail(err)
	case err != nil:
		r.Error = err.Error()
		if !res.Start.IsZero() {
			r.Status = output.Killed
		}
	case res.Signal != 0:
		r.Status, r.Signal = output.Killed, nameOfSignal(res.Signal)
		if res.CPULimit {
			r.Error = "the job used more processor time than --cpu"
		}
	case res.ExitCode != 0:
		r.Status, r.ExitCode = output.Failed, res.ExitCode
	case lost != nil:
		r.Status, r.Error = output.Failed, lost.Error()
	default:
		r.Status = output.OK
	}
	if res.MemoryLimit && err == nil {
		r.Error = "memory limit: the processes of the job used more memory than --memory"
	}
	return out
}
