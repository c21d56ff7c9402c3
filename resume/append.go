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

// A batch contains records that become durable together. The disk needs about
// the same time for one record and for many records. So records that arrive
// during a sync form the next batch:
//
//  1. stage writes the line of a record to the file, and adds the record to the
//     batch of the journal, or to a new one. From here on, the record survives
//     a kill of the process.
//  2. The first wait for a batch locks Journal.commit. So it waits until the
//     previous batch is durable. In this time, its own batch grows.
//  3. It removes the batch from the journal, so that the batch does not change
//     any longer, and syncs the file. The other waits for the batch wait in the
//     Once.
//
// If a record has data in the data file, its line is written in step 3, after
// a sync of the data file. So a record never refers to missing data.
//
// If a sync of the journal fails, the system may have dropped any line that
// was not durable. So all lines that were not durable are removed, and their
// records fail. This includes the records of the next batch.
type batch struct {
	j       *Journal
	records []*staged // guarded by Journal.mu until step 3
	once    sync.Once
}

// staged is a record that is going to be durable.
type staged struct {
	batch  *batch
	key    Key
	line   []byte // nil after it was written
	offset int64  // the offset of the line in the file
	syncs  int    // the number of failed syncs of the journal before the line was written
	// data is whether the record has data in the data file. If it is true,
	// failures is the number of failed syncs of the data file before the data
	// were written.
	data     bool
	failures int
	err      error // set by commit
}

// Append records that the call with this key has succeeded (ok) or failed, and
// returns when the record is durable. The argument info is encoded as JSON,
// unless it is nil. Each reader of data is read until its end. Its bytes are
// available as Data of the entry. While Append copies more than 128 KiB from a
// reader, other calls with large data wait, so a reader should not be slow.
//
// If Append returns an error, the journal is usable. After a full disk, for
// example, Append works again when there is space. If the process ends before
// the next Append, the failed record may exist nevertheless.
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

var errClosed = fmt.Errorf("%w: append before Close", os.ErrClosed)

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

// add writes the line of a record, and adds the record to a batch. The data of
// the record have been written.
func (j *Journal) add(s *staged, r record) error {
	s.line = appendLine(nil, r)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errClosed
	}
	if !s.data {
		if err := j.writeLocked(s); err != nil {
			return err
		}
	}
	if j.batch == nil {
		j.batch = &batch{j: j}
	}
	s.batch = j.batch
	j.batch.records = append(j.batch.records, s)
	return nil
}

// store reads data. It returns small data as an inline part if the line of s
// has room for them. It writes other data to the data file.
func (j *Journal) store(in io.Reader, room *int, s *staged) (p part, err error) {
	size := *room
	if sized, ok := in.(interface{ Len() int }); ok { // such as a bytes.Reader
		size = min(size, sized.Len())
	}
	start := make([]byte, size+1)
	n, err := readFull(in, start)
	switch {
	case err == io.EOF:
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
		s.data, s.failures = true, failures // the number from the first data of the record, which is the smallest
	}
	return p, err
}

// wait returns when the record is durable, or has failed.
func (s *staged) wait() error {
	s.batch.wait()
	return s.err
}

// wait makes the batch durable, or waits until another goroutine has done so.
func (b *batch) wait() { b.once.Do(b.commit) }

func (b *batch) commit() {
	j := b.j
	j.commit.Lock()
	defer j.commit.Unlock()
	j.mu.Lock()
	j.batch = nil // no record is added to b from now on
	records := b.records
	j.mu.Unlock()

	b.syncData(records)
	failures, err := j.sync(records)
	j.index.mu.Lock()
	defer j.index.mu.Unlock()
	for _, s := range records {
		switch {
		case s.err != nil:
		case err != nil:
			s.err = err
		case s.syncs != failures:
			s.err = errors.New("an earlier sync of the journal has failed: append the record again")
		default:
			j.index.lines[s.key] = max(s.offset, j.index.lines[s.key])
		}
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

// sync writes the lines that are not written yet, and makes all lines of the
// records durable. It returns the number of failed syncs. The caller holds
// j.commit.
func (j *Journal) sync(records []*staged) (failures int, err error) {
	j.mu.Lock()
	written := false
	for _, s := range records {
		if s.data && s.err == nil {
			s.err = j.writeLocked(s)
		}
		written = written || s.err == nil
	}
	end, before := j.end, j.failures
	j.mu.Unlock()
	if written {
		err = syncData(j.file) // without the lock, so that further records can be written
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case err != nil:
		j.syncFailedLocked()
		j.removeTornLocked()
	case j.failures == before:
		j.durable = end
	}
	return j.failures, withoutPath(err)
}

// writeLocked writes the line of a record. If the write fails, it removes the
// part of the line that was written. If the removal fails, too, the next write
// begins with the removal.
func (j *Journal) writeLocked(s *staged) error {
	if j.torn {
		if err := j.removeTornLocked(); err != nil {
			return err
		}
	}
	j.torn = true
	if _, err := j.file.WriteAt(s.line, j.end); err != nil {
		j.removeTornLocked()
		return withoutPath(err)
	}
	s.offset, s.syncs = j.end, j.failures
	j.end, j.torn = j.end+int64(len(s.line)), false
	s.line = nil
	return nil
}

// syncFailedLocked forgets the lines that are not durable.
func (j *Journal) syncFailedLocked() {
	j.failures++
	j.end, j.torn = j.durable, true
}

// removeTornLocked removes the bytes behind the last line.
func (j *Journal) removeTornLocked() error {
	err := j.file.Truncate(j.end)
	if err == nil {
		if err = syncData(j.file); err != nil {
			j.syncFailedLocked()
		}
	}
	if err != nil {
		return fmt.Errorf("remove a partial line: %w", withoutPath(err))
	}
	j.torn, j.durable = false, j.end
	return nil
}
