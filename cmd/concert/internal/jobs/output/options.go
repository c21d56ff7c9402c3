package output

import (
	"errors"
	"io"
)

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
	Unordered      bool // print jobs as they are done, and not in the order of their numbers
	Tag            bool // begin each line with the inputs of the job and a tab; not with Ungroup
	JSON           bool // print one line of JSON for each job to Stdout; only with Grouped
	Keep           bool // with LineBuffer: store the output as well, for a journal or Results

	// Recorded finds an output that an earlier run has recorded, by the ID of
	// the job's record. It returns a function like the second argument of the
	// function Recorded, or nil if the output is gone. So the output of a job
	// that waits for its turn needs no memory. If the option is nil, the output
	// is copied to a file.
	Recorded func(id string) (open func(i int) io.Reader)

	// OnError is called if the output of a job cannot be read when it is
	// printed. The rest of this output is missing.
	OnError func(number int, err error)
}

// ErrReaderClosed is the error of a Printer whose stdout or stderr is a pipe
// that the reader has closed.
var ErrReaderClosed = errors.New("the reader of the output has closed the pipe")
