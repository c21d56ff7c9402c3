package output

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// itemCost is the approximate memory of an item that waits, without its head.
const itemCost = 512

// waiting has the jobs that wait for their turn. Jobs that do not fit into the
// memory of the store are in its overflow file. The index has their offsets:
//
//	index:  slot of job 0 | slot of job 1 | slot of job 2 | ...
//	slot:   1, and for head, id, stdout and stderr: offset, size, end
//
// The slot of a job consists of zeros if the job is not done yet, or if its
// output is in memory. The index is a sparse file.
//
// A recorded output that is not small stays where it is recorded. The slot
// then has the id of the job, by which the output can be found. As the end of
// the output, it has the constant recorded.
type waiting struct {
	store  *Store
	find   func(id string) (open func(i int) io.Reader) // Options.Recorded
	memory map[int]*item
	index  *os.File // nil until a job is stored
	stored int      // the number of jobs in the index
	last   int      // the highest number of a job in the index
}

const (
	slotWords = 1 + 4*3
	slotSize  = slotWords * 8

	recorded = -1 // the end of a part that is not in the overflow file

	// maxMoved is the maximum size of a recorded output that is moved to the
	// overflow file. Larger outputs need not be moved, because a journal does
	// not keep them in memory.
	maxMoved = 4 << 10
)

// add adds a job. It keeps the job in memory if there is room, or if spill
// cannot move it to the overflow file.
func (w *waiting) add(it *item) {
	cost := int64(len(it.head) + itemCost)
	for i := range it.out.parts {
		if p := &it.out.parts[i]; p.open != nil && p.size <= maxMoved { // its reader may keep it in memory
			cost += p.size
		}
	}
	if w.store.allocate(cost) {
		it.cost = cost
	} else if w.spill(it) {
		return
	}
	if w.memory == nil {
		w.memory = make(map[int]*item)
	}
	w.memory[it.number] = it
}

// stays reports whether a part is recorded and too large to be moved.
func (w *waiting) stays(p *part) bool { return p.open != nil && p.size > maxMoved && w.find != nil }

// spill moves a job to the overflow file. It reports false if a file cannot be
// written, or if the job has one of the maxLarge outputs in files of their own,
// which stay there.
func (w *waiting) spill(it *item) bool {
	parts := &it.out.parts
	if parts[0].own || parts[1].own {
		return false
	}
	if w.index == nil {
		f, err := w.store.create()
		if err != nil {
			return false
		}
		w.index = f
	}
	head := part{data: it.head, size: int64(len(it.head))}
	var id part
	if w.stays(&parts[0]) || w.stays(&parts[1]) {
		id = part{data: []byte(it.id), size: int64(len(it.id))}
	}
	all := [4]*part{&head, &id, &parts[0], &parts[1]}
	var moved [4]part
	slot := binary.LittleEndian.AppendUint64(make([]byte, 0, slotSize), 1)
	ok := true
	for i, p := range all {
		switch moved[i] = *p; {
		case w.stays(p):
			moved[i].end = recorded
		case p.file == nil && p.size > 0 && ok:
			moved[i], ok = w.store.over.move(p)
		}
		for _, n := range []int64{moved[i].off, moved[i].size, moved[i].end} {
			slot = binary.LittleEndian.AppendUint64(slot, uint64(n))
		}
	}
	if ok {
		_, err := w.index.WriteAt(slot, int64(it.number)*slotSize)
		ok = err == nil
	}
	for i, p := range all {
		switch {
		case p.size == 0:
		case p.file != nil:
			if ok {
				*p = part{} // the index has the part
			}
		case !ok && moved[i].file != nil:
			moved[i].release(w.store)
		case ok && i > 1:
			p.release(it.out.store)
		}
	}
	if ok {
		w.stored++
		w.last = max(w.last, it.number)
	}
	return ok
}

// move appends a part that is not in a file.
func (o *overflow) move(p *part) (moved part, ok bool) {
	if p.open == nil {
		off, err := o.storeBytes(p.data)
		if err != nil {
			return part{}, false
		}
		return part{file: o.file, off: off, size: p.size, end: off + p.size}, true
	}
	f, off, err := o.reserve(p.size)
	if err != nil {
		return part{}, false
	}
	moved = part{file: f, off: off, size: p.size, end: off + p.size}
	n, err := io.Copy(io.NewOffsetWriter(f, off), io.LimitReader(p.open(), p.size))
	if err != nil || n < p.size {
		o.release(off, moved.end, true)
		return part{}, false
	}
	return moved, true
}

// has reports whether a job waits.
func (w *waiting) has(number int) bool {
	if w.memory[number] != nil {
		return true
	}
	var buf [8]byte
	if w.stored == 0 || number > w.last {
		return false
	}
	w.index.ReadAt(buf[:], int64(number)*slotSize)
	return buf[0] != 0
}

// dropEmpty removes a job that waits and has nothing to print. It reports
// whether it has removed one.
func (w *waiting) dropEmpty(number int) bool {
	it := w.memory[number]
	if it == nil || it.head != nil || !it.out.isEmpty() {
		return false
	}
	w.take(number).out.Release()
	return true
}

// take removes a job that waits.
func (w *waiting) take(number int) *item {
	if it := w.memory[number]; it != nil {
		delete(w.memory, number)
		w.store.allocate(-it.cost)
		return it
	}
	it := &item{number: number, out: &Output{store: w.store}}
	it.lost = w.load(it)
	w.stored--
	if w.stored == 0 && w.index.Truncate(0) == nil {
		w.last = 0
	} else if end := int64(number) * slotSize; end/segment > (end-slotSize)/segment {
		punch(w.index, 0, end/segment*segment)
	}
	return it
}

// load reads a job that is stored.
func (w *waiting) load(it *item) error {
	slot := make([]byte, slotSize)
	if _, err := w.index.ReadAt(slot, int64(it.number)*slotSize); err != nil {
		return err
	}
	var parts [4]part
	for i := range parts {
		word := func(k int) int64 { return int64(binary.LittleEndian.Uint64(slot[8*(1+3*i+k):])) }
		parts[i] = part{off: word(0), size: word(1), end: word(2)}
		if parts[i].size > 0 && parts[i].end != recorded {
			parts[i].file = w.store.over.file
		}
	}
	copy(it.out.parts[:], parts[2:])
	var err error
	if it.head, err = w.text(&parts[0]); err != nil {
		return err
	}
	id, err := w.text(&parts[1])
	if err != nil || id == nil {
		return err
	}
	open := w.find(string(id))
	if open == nil {
		return errors.New("its record is no longer there")
	}
	for i := range it.out.parts {
		if p := &it.out.parts[i]; p.end == recorded {
			*p = part{size: p.size, open: func() io.Reader { return open(i) }}
		}
	}
	return nil
}

// text reads a part of the overflow file, and releases it. It returns nil for
// an empty part.
func (w *waiting) text(p *part) ([]byte, error) {
	if p.size == 0 {
		return nil, nil
	}
	text := make([]byte, p.size)
	_, err := p.file.ReadAt(text, p.off)
	p.release(w.store)
	return text, err
}

// lowest returns the lowest number >= from of a waiting job. It reports false
// if there is no such job.
func (w *waiting) lowest(from int) (number int, ok bool) {
	for n := range w.memory {
		if n >= from && (!ok || n < number) {
			number, ok = n, true
		}
	}
	for n := from; w.stored > 0 && n <= w.last && (!ok || n < number); n++ {
		if w.has(n) {
			return n, true
		}
	}
	return number, ok
}

// close frees what still waits.
func (w *waiting) close() {
	for _, it := range w.memory {
		it.out.Release()
	}
	w.memory = nil
	if w.index != nil {
		w.index.Close()
	}
}
