package resume

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A batch is records that are written together. The disk needs about as long
// for one record as for many. So records that arrive while a batch is written
// form the next batch:
//
//  1. stage adds a record to the batch of the journal, or to a new one.
//  2. The first wait for a batch locks Journal.commit. So it waits until the
//     batch before has been written. In this time, the batch grows.
//  3. It removes the batch from the journal, so that the batch does not change
//     any longer, and writes it. The other waits for the batch wait in the
//     Once.
type batch struct {
	j       *Journal
	records []*staged // guarded by Journal.mu until step 3
	once    sync.Once
}

// staged is a record that is going to be written.
type staged struct {
	batch *batch
	key   Key
	line  []byte
	// If data is true, the record has data in the data file. Then failures is
	// the number of failed syncs of that file before the data were written.
	data     bool
	failures int
	err      error // set by commit
}

// Append records that the call with this key has succeeded (ok) or failed, and
// returns when the record is durable. The argument info is encoded as JSON,
// unless it is nil. The data are read until their end. Each of them is
// available as Data of the entry. While Append copies more than 128 KiB from a
// reader, other calls with large data wait, so a reader should not be slow.
//
// If Append returns an error, the journal is usable. After a full disk, for
// example, Append works again when there is space. The failed record may exist
// nevertheless if the process ends before the next Append.
func (j *Journal) Append(k Key, ok bool, info any, data ...io.Reader) error {
	s, err := j.stage(k, ok, info, data)
	if err == nil {
		err = s.wait()
	}
	if err != nil {
		return fmt.Errorf("resume: append to %s: %w", j.path, err)
	}
	return nil
}

// stage encodes a record, writes its data, and adds it to a batch. The caller
// must call wait.
func (j *Journal) stage(k Key, ok bool, info any, data []io.Reader) (*staged, error) {
	r, s := record{key: k, ok: ok}, &staged{key: k}
	if info != nil {
		var err error
		if r.info, err = json.Marshal(info); err != nil {
			return nil, fmt.Errorf("encode the information: %w", err)
		}
		if most := maxLine - 4*maxInline - 64*len(data); len(r.info) > most {
			return nil, fmt.Errorf("the information has %d bytes: the maximum is %d bytes: append it as data", len(r.info), most)
		}
	}
	room := maxInline
	for i, in := range data {
		p, err := j.store(in, &room, s)
		if err != nil {
			return nil, fmt.Errorf("data %d: %w", i, err)
		}
		r.data = append(r.data, p)
	}
	return s, j.add(s, r)
}

// add adds a record to a batch. The data of the record have been written.
func (j *Journal) add(s *staged, r record) error {
	s.line = appendLine(nil, r)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("%w: append before Close", os.ErrClosed)
	}
	if j.batch == nil {
		j.batch = &batch{j: j}
	}
	s.batch = j.batch
	j.batch.records = append(j.batch.records, s)
	return nil
}

// store reads data. It returns small data inline if there is room for them in
// the line of s. It writes other data to the data file.
func (j *Journal) store(in io.Reader, room *int, s *staged) (p part, err error) {
	size := *room
	if sized, ok := in.(interface{ Len() int }); ok { // such as a bytes.Reader
		size = min(size, sized.Len())
	}
	start := make([]byte, size+1)
	n, err := io.ReadFull(in, start)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		*room -= n
		return part{inline: start[:n]}, nil
	case err != nil:
		return p, fmt.Errorf("read the data: %w", err)
	}
	return j.storeLarge(io.MultiReader(bytes.NewReader(start), in), s)
}

// storeLarge writes data of the record s to the data file.
func (j *Journal) storeLarge(in io.Reader, s *staged) (p part, err error) {
	var failures int
	p.place, failures, err = j.data.append(in)
	if !s.data {
		s.data, s.failures = true, failures // of the first data, which is the smallest number
	}
	return p, err
}

// wait returns when the record is durable, or has failed.
func (s *staged) wait() error {
	s.batch.wait()
	return s.err
}

// wait writes the batch, or waits until another goroutine has written it.
func (b *batch) wait() { b.once.Do(b.commit) }

func (b *batch) commit() {
	j := b.j
	j.commit.Lock()
	defer j.commit.Unlock()
	j.mu.Lock()
	j.batch = nil // it was b
	records := b.records
	j.mu.Unlock()

	b.syncData(records)
	var lines []byte
	for _, s := range records {
		if s.err == nil {
			lines = append(lines, s.line...)
		}
	}
	offset := j.end
	err := j.write(lines)
	j.index.mu.Lock()
	defer j.index.mu.Unlock()
	for _, s := range records {
		if s.err == nil && err == nil {
			j.index.lines[s.key] = offset
			offset += int64(len(s.line))
		} else if s.err == nil {
			s.err = err
		}
		s.line = nil
	}
}

// syncData makes the data of the records durable. It sets the error of each
// record whose data may be lost.
func (b *batch) syncData(records []*staged) {
	synced := false
	var failures int
	var err error
	for _, s := range records {
		if !s.data {
			continue
		}
		if !synced {
			failures, err = b.j.data.sync()
			synced = true
		}
		if s.err = err; err == nil && s.failures != failures {
			s.err = errors.New("an earlier sync of the data file has failed: append the record again")
		}
	}
}

// write appends lines to the file, and makes them durable. If it fails, it
// removes them again. If this fails too, the next write tries it first. The
// caller holds j.commit.
func (j *Journal) write(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if j.torn {
		if err := j.removeTorn(); err != nil {
			return err
		}
	}
	j.torn = true
	_, err := j.file.WriteAt(lines, j.end)
	if err == nil {
		err = syncData(j.file)
	}
	if err != nil {
		j.removeTorn()
		return withoutPath(err)
	}
	j.end, j.torn = j.end+int64(len(lines)), false
	return nil
}

// removeTorn removes what is behind the last line.
func (j *Journal) removeTorn() error {
	err := j.file.Truncate(j.end)
	if err == nil {
		err = syncData(j.file)
	}
	if err != nil {
		return fmt.Errorf("remove a partial line: %w", withoutPath(err))
	}
	j.torn = false
	return nil
}
