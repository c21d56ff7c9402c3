package output

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	maxLine   = 1 << 20 // a longer line is broken
	firstPart = 4 << 10 // the number of bytes that are kept of an output that is not stored
	maxPipe   = 1 << 20 // the maximum capacity of a pipe, unless root has changed it
)

// lineReader prints each line of a job as soon as it is complete. The job
// writes into two pipes, and a goroutine for each pipe reads it.
//
// A process that has survived the job may keep the pipes open. So the
// goroutines do not wait for the end of the pipes: when the job has ended,
// finish wakes them, and they only read the bytes that are in the pipes.
type lineReader struct {
	printer *Printer
	tag     []byte
	streams [2]lineStream
	wg      sync.WaitGroup
}

// lineStream is one of the pipes.
type lineStream struct {
	read, write *os.File
	stored      *os.File // the file that stores the output, or nil
	first       []byte   // the beginning of the output, if it is not stored
	size        int64
	line        []byte // a line that is not complete
	err         error  // the first error of storing the output
}

// beginLines returns pipes for an attempt of a job.
func (p *Printer) beginLines(inputs []string) (c *Capture, err error) {
	l := &lineReader{printer: p}
	if p.opts.Tag {
		l.tag = tag(inputs)
	}
	c = &Capture{store: p.store}
	defer func() {
		if err != nil {
			for i := range l.streams {
				closeAll(l.streams[i].read, l.streams[i].write, c.files[i].base)
			}
		}
	}()
	for i := range l.streams {
		s := &l.streams[i]
		if s.read, s.write, err = pipe(); err != nil {
			return nil, err
		}
		if p.opts.Keep {
			base := p.store.take()
			if base == nil {
				if base, err = p.store.create(); err != nil {
					return nil, p.store.error(err)
				}
			}
			c.files[i].base, s.stored = base, base
		}
	}
	for i := range l.streams {
		l.wg.Go(func() { l.run(i) })
	}
	c.Stdout, c.Stderr, c.lines = l.streams[0].write, l.streams[1].write, l
	return c, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// run reads a pipe. After an error of the Printer, run closes the pipe, so
// that the job gets SIGPIPE.
func (l *lineReader) run(i int) {
	s := &l.streams[i]
	defer s.read.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := s.read.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.read.SetReadDeadline(time.Time{})
			for left := maxPipe; left > 0; left -= n { // at most one full pipe: a process that still writes must not delay the end
				if n = readNow(s.read, buf); n == 0 {
					break
				}
				if !l.add(i, buf[:n]) {
					return
				}
			}
			n = 0
			err = io.EOF
		}
		if n > 0 && !l.add(i, buf[:n]) {
			return
		}
		if err != nil {
			break
		}
	}
	if len(s.line) > 0 {
		l.print(i, append(s.line, '\n'))
	}
}

// add stores and prints bytes that a job has written. It reports whether the
// Printer can print.
func (l *lineReader) add(i int, data []byte) bool {
	s := &l.streams[i]
	switch {
	case s.stored == nil:
		s.first = append(s.first, data[:min(len(data), firstPart-len(s.first))]...)
	case s.err == nil:
		_, s.err = s.stored.WriteAt(data, s.size)
	}
	s.size += int64(len(data))
	end := bytes.LastIndexByte(data, '\n') + 1
	if end == 0 && len(s.line)+len(data) < maxLine {
		s.line = append(s.line, data...)
		return true
	}
	if end == 0 { // the line is too long, so break it
		s.line = append(append(s.line, data...), '\n')
		end = len(data)
	} else {
		s.line = append(s.line, data[:end]...)
	}
	ok := l.print(i, s.line)
	if s.line = append(s.line[:0], data[end:]...); cap(s.line) > 4*len(data)+4<<10 {
		s.line = bytes.Clone(s.line) // a copy releases the memory of a long line
	}
	return ok
}

// print prints complete lines. It reports whether the Printer can print.
func (l *lineReader) print(i int, lines []byte) bool {
	p := l.printer
	if l.tag != nil {
		var b bytes.Buffer
		tagged := tagWriter{w: &b, tag: l.tag}
		tagged.Write(lines)
		lines = b.Bytes()
	}
	p.write.Lock()
	_, err := p.files[i].Write(lines)
	p.write.Unlock()
	p.fail(err)
	select {
	case <-p.failed:
		return false
	default:
		return true
	}
}

// finish waits until all bytes in the pipes are printed.
func (l *lineReader) finish() {
	for i := range l.streams {
		l.streams[i].write.Close()
		l.streams[i].read.SetReadDeadline(time.Unix(1, 0))
	}
	l.wg.Wait()
}

// describe completes the output of the job. It returns an error of the store.
func (l *lineReader) describe(o *Output) (err error) {
	o.printed = true
	for i := range l.streams {
		s := &l.streams[i]
		o.counts[i] = s.size
		if s.stored == nil {
			o.parts[i] = part{data: s.first, size: int64(len(s.first)), free: true}
		}
		err = errors.Join(err, s.err)
	}
	return err
}
