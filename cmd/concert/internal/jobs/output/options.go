package output

import (
	"errors"
	"io"
)

// Mode says when output is printed.
type Mode int

// When output is printed.
const (
	Grouped    Mode = iota // when the job has ended, first stdout and then stderr
	LineBuffer             // each line as soon as it is complete
	Ungroup                // jobs write directly to the files of the Printer
)

// Options are the options of NewPrinter.
type Options struct {
	Stdout, Stderr io.Writer // for Ungroup, both must be an *os.File
	Mode           Mode
	Unordered      bool // print jobs as they are done, and not in the order of their numbers
	Tag            bool // begin each line with the inputs of the job and a tab; not with Ungroup
	JSON           bool // print one line of JSON for each job to Stdout; only with Grouped
	Keep           bool // for LineBuffer: also store the output, for a journal or Results

	// Recorded, if set, finds the output of a job that an earlier run has
	// recorded. Its argument is Record.ID. It returns a function that opens
	// stdout (0) or stderr (1), or nil if the output is gone. So the output of
	// a job that waits for its turn needs no memory. If this option is nil,
	// the output is copied to a file.
	Recorded func(id string) (open func(i int) io.Reader)

	// OnError is called if the output of a job cannot be read when it is
	// printed. The rest of this output is missing.
	OnError func(number int, err error)
}

// ErrReaderClosed is the error of a Printer whose stdout or stderr is a pipe
// that the reader has closed.
var ErrReaderClosed = errors.New("the reader of the output has closed the pipe")
