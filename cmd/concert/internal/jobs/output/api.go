package output

import (
	"context"
	"errors"
	"io"
	"os"
)

// Store has the captured output of jobs.
type Store struct{}

// NewStore returns a store whose files are in a directory, usually
// os.TempDir().
func NewStore(dir string) (*Store, error) { return nil, nil }

// Close closes the files of the store.
func (s *Store) Close() error { return nil }

// Capture is the output of one attempt of a job while it runs. The caller calls
// either Finish or Discard.
type Capture struct {
	Stdout, Stderr *os.File // for the process; the caller does not close them
}

// Finish is called when the attempt has ended. The parameter survivors says
// that a process may still have the files open. The error says that the output
// may be incomplete, because it could not be stored: the job has failed.
func (c *Capture) Finish(survivors bool) (*Output, error) { return nil, nil }

// Discard drops the output of an attempt that is run again.
func (c *Capture) Discard(survivors bool) {}

// Output is the output of a job that has ended.
type Output struct{}

// Recorded returns an output that is read from elsewhere, such as a journal.
// Each call of a function returns a reader of the whole output.
func Recorded(stdout, stderr func() io.Reader) *Output { return nil }

// Bytes returns an output that is in memory, such as the value of a function.
func Bytes(stdout, stderr []byte) *Output { return nil }

// Stdout returns a reader of the standard output. Each call returns a new one.
func (o *Output) Stdout() io.Reader { return nil }

// Stderr returns a reader of the standard error. Each call returns a new one.
func (o *Output) Stderr() io.Reader { return nil }

// Size returns the numbers of bytes. They are not known, and 0, for Recorded:
// the record has them.
func (o *Output) Size() (stdout, stderr int64) { return 0, 0 }

// Release frees the memory and disk space. Done calls it.
func (o *Output) Release() {}

// Mode says when output is printed.
type Mode int

// When output is printed.
const (
	Grouped    Mode = iota // when the job has ended, stdout first
	LineBuffer             // each line as soon as it is complete
	Ungroup                // jobs have the Printer's own files
)

// Options are what a Printer does.
type Options struct {
	Stdout, Stderr io.Writer // with Ungroup, both are an *os.File
	Mode           Mode
	Unordered      bool     // print jobs as they are done, and not in the order of their numbers
	Tag            bool     // begin each line with the inputs of the job and a tab
	JSON           bool     // print one line of JSON for each job to Stdout; only with Grouped
	Results        *Results // also write the files of each job, or nil
}

// ErrReaderClosed is the error of a Printer whose stdout or stderr is a pipe
// that the reader has closed.
var ErrReaderClosed = errors.New("the reader of the output has closed the pipe")

// Printer prints the output of jobs.
type Printer struct{}

// NewPrinter starts a printer.
func NewPrinter(s *Store, opts *Options) *Printer { return nil }

// Begin returns the files for the next attempt of a job.
func (p *Printer) Begin(inputs []string) (*Capture, error) { return nil, nil }

// Done prints a job when all jobs with lower numbers are done. Each number is
// used once, and every number is used, from 1 up. A nil output is empty. Done
// releases the output. It waits while the reader of the Printer's output is
// slow, but not for other jobs. The first error is of the job's results, of
// stdout or stderr, see ErrReaderClosed.
func (p *Printer) Done(ctx context.Context, r *Record, o *Output) error { return nil }

// Close prints all jobs that are done, also if numbers before them are missing.
func (p *Printer) Close() error { return nil }

// Results is a directory with the output of each job.
type Results struct{}

// OpenResults opens the directory of results, and creates it if necessary.
func OpenResults(dir string) (*Results, error) { return nil, nil }

// Failures is the summary of the jobs that failed. It keeps a few of them.
type Failures struct{}

// Add counts a job, and reads the beginning of its stderr if it failed. Add is
// called before Done.
func (f *Failures) Add(r *Record, o *Output) {}

// Text returns the lines of the summary, safe for a terminal. It is empty if no
// job failed.
func (f *Failures) Text() string { return "" }
