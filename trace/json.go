package trace

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"concert"
)

// lanesApart is the difference between the numbers of two tracks of one worker.
// It is larger than the number of any worker, so tracks of different workers
// have different numbers.
const lanesApart = 1_000_000

// complete writes a task that has ended. text is the text of the task's error,
// or "".
func (t *Writer) complete(task uint64, r running, end time.Time, text string) {
	if end.Before(r.start) {
		end = r.start
	}
	lane := t.tracks[r.at].end(span{r.start, end})
	tid := r.at.worker + 1 + lane*lanesApart
	t.named(r.at, tid, lane)
	b := append(t.next(), `{"ph":"X","cat":"task","name":`...)
	b = append(b, t.quote(r.name)...)
	b = appendPlace(b, r.at.process, tid)
	b = append(b, `,"ts":`...)
	b = appendMicroseconds(b, r.start.Sub(t.begin))
	b = append(b, `,"dur":`...)
	b = appendMicroseconds(b, end.Sub(r.start))
	b = append(b, `,"args":{"task":`...)
	b = strconv.AppendUint(b, task, 10)
	b = appendInput(b, r.input)
	if text != "" {
		b = append(b, `,"error":`...)
		b = append(b, quote(text)...)
	}
	b = append(b, '}')
	if text != "" {
		b = append(b, `,"cname":"terrible"`...)
	}
	t.write(append(b, '}'))
}

// dropped writes a task that never started.
func (t *Writer) dropped(process int, e concert.Event, text string) {
	b := append(t.next(), `{"ph":"i","s":"p","cat":"dropped","name":`...)
	b = append(b, t.quote(e.Name)...)
	b = appendPlace(b, process, 0)
	b = append(b, `,"ts":`...)
	b = appendMicroseconds(b, e.Time.Sub(t.begin))
	b = append(b, `,"args":{"task":`...)
	b = strconv.AppendUint(b, e.Task, 10)
	b = appendInput(b, e.Input)
	b = append(b, `,"error":`...)
	b = append(b, quote(text)...)
	t.write(append(b, "}}"...))
}

// appendInput appends the index and the label of the task's input, if known.
func appendInput(b []byte, in *concert.Input) []byte {
	if in == nil {
		return b
	}
	if in.Index >= 0 {
		b = append(b, `,"input":`...)
		b = strconv.AppendInt(b, in.Index, 10)
	}
	if in.Label != "" {
		b = append(b, `,"label":`...)
		b = append(b, quote(in.Label)...)
	}
	return b
}

// named writes the name of a track of a worker to the file, unless the name is
// already there.
func (t *Writer) named(id workerID, tid, lane int) {
	tr := t.tracks[id]
	if tr.named > lane {
		return
	}
	tr.named = lane + 1
	name := fmt.Sprintf("worker %d", id.worker)
	if lane > 0 {
		name += fmt.Sprintf(" (%d)", lane+1)
	}
	t.meta("thread_name", id.process, tid, name)
	b := append(t.next(), `{"ph":"M","name":"thread_sort_index"`...)
	b = appendPlace(b, id.process, tid)
	b = append(b, `,"args":{"sort_index":`...)
	b = strconv.AppendInt(b, int64(id.worker*100+min(lane, 99)), 10)
	t.write(append(b, "}}"...))
}

// meta writes the name of a process or a thread.
func (t *Writer) meta(what string, process, tid int, name string) {
	b := append(t.next(), `{"ph":"M","name":"`...)
	b = append(b, what...)
	b = append(b, '"')
	b = appendPlace(b, process, tid)
	b = append(b, `,"args":{"name":`...)
	b = append(b, quote(name)...)
	t.write(append(b, "}}"...))
}

// next returns the beginning of a new line of the file.
func (t *Writer) next() []byte {
	b := t.line[:0]
	if t.lines > 0 {
		b = append(b, ',')
	}
	t.lines++
	return append(b, '\n')
}

func (t *Writer) write(b []byte) {
	t.line = b
	if _, err := t.w.Write(b); t.err == nil {
		t.err = err
	}
}

func appendPlace(b []byte, process, tid int) []byte {
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(process), 10)
	b = append(b, `,"tid":`...)
	return strconv.AppendInt(b, int64(tid), 10)
}

// appendMicroseconds appends a time in microseconds, which are the unit of the
// format. The digits after the decimal point are nanoseconds. A negative time
// counts as 0.
func appendMicroseconds(b []byte, d time.Duration) []byte {
	d = max(d, 0)
	b = strconv.AppendInt(b, int64(d/time.Microsecond), 10)
	if rest := d % time.Microsecond; rest > 0 {
		b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return b
}

// mostNames is the maximum number of names that are stored as JSON. It is
// large enough, because a program has few functions.
const mostNames = 1000

func (t *Writer) quote(name string) []byte {
	q, ok := t.quoted[name]
	if !ok {
		if len(t.quoted) >= mostNames {
			clear(t.quoted)
		}
		q = quote(name)
		t.quoted[name] = q
	}
	return q
}

func quote(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // cannot happen: a string can always be encoded
	}
	return b
}
