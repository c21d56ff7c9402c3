package inputs

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"

	"concert/cmd/concert/internal/cli"
	"concert/progress"
)

// Options are the sources of inputs. With the zero value, the groups are the
// only sources, or the lines of the standard input if there are no groups.
type Options struct {
	File  string    // a file of lines; "-" is the standard input
	Null  bool      // zero bytes end the lines of the file
	CSV   string    // a CSV file with a header, or tab-separated if its name ends in ".tsv"; "-" is the standard input
	Stdin io.Reader // nil stands for os.Stdin
}

// Reader reads inputs. Its methods must not be called concurrently.
type Reader struct {
	file    *fileSource // nil if there is none
	record  []string    // the current record of the file
	args    *combinations
	next    int // the next combination of the arguments
	number  int // the number of the last input
	columns []string
	width   int
}

// Open opens the sources of inputs. It reads regular files to their end, to
// find faults before the first job starts, and to count the inputs. If ctx ends
// while Open waits for a pipe, the error is the cause.
func Open(ctx context.Context, groups []Group, opts *Options) (*Reader, error) {
	if opts == nil {
		opts = &Options{}
	}
	name, implied := opts.File, false
	switch {
	case opts.CSV != "" && opts.File != "":
		return nil, cli.UsageError{Text: "-i and --csv exclude each other: there can be one file of inputs"}
	case opts.CSV != "" && opts.Null:
		return nil, cli.UsageError{Text: "-0 and --csv exclude each other: a CSV file has lines"}
	case opts.CSV != "":
		name = opts.CSV
	case name == "" && len(groups) == 0:
		name, implied = "-", true
	case name == "" && opts.Null:
		return nil, cli.UsageError{Text: "-0 is for inputs from a file or from the standard input"}
	}
	if err := checkGroups(groups); err != nil {
		return nil, err
	}
	r := &Reader{args: newCombinations(groups)}
	r.width = r.args.width()
	r.next = r.args.total
	if name == "" {
		r.next = 0
		return r, nil
	}
	in := opts.Stdin
	if in == nil {
		in = os.Stdin
	}
	if implied && in == os.Stdin && progress.IsTerminal(os.Stdin) {
		return nil, cli.UsageError{Text: "no inputs: give them after " + separator + ", as lines of the standard input, or with -i FILE"}
	}
	// A goroutine opens the file, because the opening of a named pipe and the
	// reading of a header can block.
	type result struct {
		file *fileSource
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		file, err := openFile(name, in, opts)
		opened <- result{file, err}
	}()
	select {
	case o := <-opened:
		if o.err != nil {
			return nil, o.err
		}
		r.file = o.file
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	r.columns = r.file.columns
	r.width += max(1, len(r.columns))
	return r, nil
}

// Columns returns the header of the CSV file, or nil if there is none.
func (r *Reader) Columns() []string { return r.columns }

// Width returns the number of values of each input.
func (r *Reader) Width() int { return r.width }

// Total returns the number of all inputs, and whether it is known. It is
// unknown if the inputs come from a pipe or a terminal.
func (r *Reader) Total() (n int, known bool) {
	n = r.args.total
	if r.file != nil {
		if !r.file.counted {
			return 0, false
		}
		if r.file.count > 0 && n > math.MaxInt/r.file.count {
			return 0, false
		}
		n *= r.file.count
	}
	return n, n < math.MaxInt
}

// Next returns the next input. The error is io.EOF after the last input. If ctx
// ends while Next waits for a pipe, the error is the cause, and the next call
// continues at the same place. After another error, there are no more inputs.
func (r *Reader) Next(ctx context.Context) (Input, error) {
	if r.next == r.args.total {
		if r.file == nil {
			return Input{}, io.EOF
		}
		record, err := r.file.next(ctx)
		if err != nil {
			return Input{}, err
		}
		r.record, r.next = record, 0
	}
	in := Input{Number: r.number + 1, Values: r.record}
	if len(r.args.sources) > 0 {
		in.Values = append(r.record[:len(r.record):len(r.record)], r.args.at(r.next)...)
	}
	r.next++
	r.number++
	return in, nil
}

// Close closes the file of inputs. A goroutine that waits for a pipe or a
// terminal ends with its next line, or with the program.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	if err := r.file.close(); err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	return nil
}
