package jobs

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/jobs/output"
	"concert/resume"
)

// openJournal opens the journal of --journal, or returns nil.
func (o *options) openJournal() (*resume.Journal, error) {
	if o.journal == "" {
		return nil, nil
	}
	if info, err := os.Stat(o.journal); err == nil && info.Size() > 0 && !o.resume && !o.retryOld {
		return nil, cli.UsageError{Text: fmt.Sprintf(
			"--journal: %s exists: --resume runs the jobs that it does not have, and --retry-failed those that have failed; or name another file", o.journal)}
	}
	journal, err := resume.Open(o.journal, nil)
	if err != nil {
		return nil, fmt.Errorf("--journal: %s", strings.TrimPrefix(err.Error(), "resume: "))
	}
	return journal, nil
}

// recall looks for the record of a job in the journal, and decides whether the
// job runs.
func (m *mapper) recall(j *job) error {
	if m.journal == nil {
		return nil
	}
	entry, found := m.journal.Find(j.key)
	if found && entry.Check() != nil {
		found = false
		m.view.note(fmt.Sprintf("%s: the recorded output of job %d is damaged, so it runs again\n", m.options.journal, j.number))
	}
	switch {
	case !found:
		j.left = m.retryOld && !m.resume
		return nil
	case !entry.OK && m.retryOld:
		return nil
	}
	r := new(output.Record)
	if err := json.Unmarshal(entry.Info, r); err != nil {
		return fmt.Errorf("%s: the record of job %d is not of concert map: %w", m.options.journal, j.number, err)
	}
	r.Number, r.ID, r.Inputs, r.Command, r.Resumed = j.number, j.key.String(), j.inputs, j.command, true
	j.done = r
	j.output = output.Recorded(r, entry.Data)
	return nil
}

// recordedOutput returns a function that opens the output of a recorded job,
// or nil if the output is gone.
func (m *mapper) recordedOutput(id string) func(i int) io.Reader {
	var key resume.Key
	if len(id) != hex.EncodedLen(len(key)) {
		return nil
	}
	if _, err := hex.Decode(key[:], []byte(id)); err != nil {
		return nil
	}
	entry, found := m.journal.Find(key)
	if !found {
		return nil
	}
	return entry.Data
}

// isRecorded reports whether a job is recorded in the journal. A job that was
// not started or that was canceled is not recorded: the next run runs it.
func isRecorded(r *output.Record) bool {
	return !r.Resumed && (r.Status == output.OK || isFailure(r))
}

// append records a job, and returns when the record is durable.
func (m *mapper) append(j *job, r *output.Record, o *output.Output) error {
	if o == nil {
		o = output.Bytes(nil, nil)
	}
	if err := m.journal.Append(j.key, r.Status == output.OK, r, o.Stdout(), o.Stderr()); err != nil {
		return fmt.Errorf("--journal: cannot record job %d: %s", j.number, strings.TrimPrefix(err.Error(), "resume: "))
	}
	return nil
}
