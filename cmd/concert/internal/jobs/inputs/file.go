package inputs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"concert/cmd/concert/internal/cli"
)

// maxRecord is the maximum size of a line, or of a record of a CSV file.
const maxRecord = 1 << 20

// records reads the records of a file. The error is io.EOF at the end. The
// texts of other errors contain the line.
type records interface {
	next() ([]string, error)
}

// fileSource is a file of inputs. A goroutine reads it, because a read of a
// pipe cannot be canceled:
//
//	goroutine: records --> batch --> batches (capacity 1) --> next: batch
//
// A batch has the records that can be read without waiting, up to maxBatch. So
// a long file needs few operations of the channel, and a line of a slow pipe
// arrives at once.
type fileSource struct {
	columns []string
	counted bool // whether count is known
	count   int

	file    *os.File // to close; nil for the standard input
	read    func()   // starts the goroutine, at the first call of next
	batches chan batch
	closed  chan struct{}
	close1  sync.Once
	batch   batch // the records that next has not returned yet
}

// batch is a list of records, and then the error that ended the file.
type batch struct {
	records [][]string
	err     error
}

const (
	maxBatch      = 64       // the maximum number of records in a batch
	maxBatchBytes = 64 << 10 // a batch ends when its records have this size
)

// openFile opens a file of inputs. If it is a regular file, openFile reads
// the whole file first, to check and count its records.
func openFile(name string, stdin io.Reader, opts *Options) (*fileSource, error) {
	f := &fileSource{batches: make(chan batch, 1), closed: make(chan struct{})}
	in, source := stdin, "standard input"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, cli.UsageError{Text: err.Error()}
		}
		f.file, in, source = file, file, name
	}
	if err := f.open(in, source, opts); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fileSource) open(in io.Reader, source string, opts *Options) error {
	if file, ok := in.(*os.File); ok {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		if info.IsDir() {
			return cli.UsageError{Text: source + " is a directory: name a file with one input in each line"}
		}
		if info.Mode().IsRegular() {
			if err := f.check(file, source, opts); err != nil {
				return err
			}
		}
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	if opts.CSV == "" {
		f.read = func() { f.send(newLines(buffered, source, opts.Null), buffered) }
		return nil
	}
	r, err := newCSV(buffered, source)
	if err != nil {
		return err
	}
	f.columns = r.header
	f.read = func() { f.send(r, buffered) }
	return nil
}

// check reads a regular file from its current offset to its end, counts its
// records, and returns to the offset. If the file is regular but not seekable,
// check does nothing.
func (f *fileSource) check(file *os.File, source string, opts *Options) error {
	offset, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	buffered := bufio.NewReaderSize(file, 64<<10)
	var all records = newLines(buffered, source, opts.Null)
	if opts.CSV != "" {
		if all, err = newCSV(buffered, source); err != nil {
			return err
		}
	}
	for ; ; f.count++ {
		if _, err := all.next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	f.counted = true
	_, err = file.Seek(offset, io.SeekStart)
	return err
}

// send reads all records and sends them in batches.
func (f *fileSource) send(all records, buffered *bufio.Reader) {
	for {
		var b batch
		for size := 0; b.err == nil; {
			var record []string
			if record, b.err = all.next(); b.err != nil {
				break
			}
			b.records = append(b.records, record)
			for _, v := range record {
				size += len(v)
			}
			if len(b.records) == maxBatch || size > maxBatchBytes || !hasLine(buffered) {
				break
			}
		}
		select {
		case f.batches <- b:
		case <-f.closed:
			return
		}
		if b.err != nil {
			return
		}
	}
}

// hasLine reports whether a line can be read without waiting.
func hasLine(r *bufio.Reader) bool {
	ready, _ := r.Peek(r.Buffered())
	return bytes.ContainsAny(ready, "\n\x00")
}

// next returns the next record.
func (f *fileSource) next(ctx context.Context) ([]string, error) {
	if f.read != nil {
		go f.read()
		f.read = nil
	}
	for len(f.batch.records) == 0 {
		if f.batch.err != nil {
			return nil, f.batch.err
		}
		select {
		case f.batch = <-f.batches:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	record := f.batch.records[0]
	f.batch.records[0] = nil
	f.batch.records = f.batch.records[1:]
	return record, nil
}

func (f *fileSource) close() (err error) {
	f.close1.Do(func() {
		close(f.closed)
		if f.file != nil {
			err = f.file.Close()
		}
	})
	return err
}

// errZero is the error of a value with a zero byte.
var errZero = errors.New("a zero byte, which an argument cannot contain")

// at adds the source and the line to an error.
func at(source string, line int, err error) error {
	return fmt.Errorf("%s, line %d: %w", source, line, err)
}
