// Package progress shows the progress of an executor's tasks: on a terminal as
// one line that changes, in a log as a line from time to time, or as JSON for
// programs.
//
//	show := progress.New(os.Stderr, &progress.Options{Total: len(urls), Noun: "pages"})
//	defer show.Close()
//	ex := goroutines.New(8, &goroutines.Options{Observer: show.Observe})
//
// A terminal then shows
//
//	[=========>            ]  21 of 50 pages, 2 failed, 3.2 MB/s, 12 s left
//
// # How it works
//
//	workers --Observe--> counts --every 200 ms--> painter goroutine --> terminal
//	        --Observe--> JSON lines -- at once --> painter goroutine --> program
//
// Workers do not wait for the terminal: they update counts under a lock that is
// not held during writes. JSON loses no event. If a slow reader leaves a
// megabyte of JSON unread, the tasks wait for the reader.
//
// A Display counts tasks, and shows the progress that running tasks report
// with concert.Progress. It keeps nothing about a finished task, so it can
// watch millions of tasks. If Options.Total is set, it estimates the remaining
// time from the elapsed time. As soon as all tasks have started and reported
// their totals, the estimate and the bar are computed from the amounts. With
// Options.Unit, the amounts are shown, as in "1 GB of 4 GB (25%)".
//
// Other output of the program would appear in the middle of the line that
// changes. To prevent this, write other output to the writer of Display.Above.
package progress

import (
	"cmp"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/option"
)

// Format is the form of a Display.
type Format uint8

// Auto is Bar on a terminal, and Lines for other writers.
const (
	Auto  Format = iota
	Bar          // one line that changes, as wide as the terminal, or 80 columns
	Lines        // a line from time to time, and one at the end
	JSON         // a line for each event; see [Record]
)

// Options tunes a Display. The zero value is ready to use.
type Options struct {
	Format Format
	// Total is the number of tasks, where each item of a Map counts as one.
	// Zero means that the number is unknown. Then there is no bar and no
	// estimate.
	Total int
	// Noun is the name of the things that tasks process, in the plural. Empty
	// means "tasks".
	Noun string
	// Unit formats the amounts that tasks report with concert.Progress, such
	// as [Bytes]. If it is nil, the amounts are not shown, but still move the
	// bar. If Unit panics, or does not return within a second, the Display
	// shows plain numbers from then on.
	Unit func(amount int64) string
	// Kind, if set, is called by Observe with the error of a failed task. It
	// returns the kind of the error in a few words. The Display shows the
	// number of failed tasks of each kind, as in "3 failed (2 timeout, 1 exit
	// code 1)".
	Kind func(err error) string
	// Every is the time between two lines of the format Lines. Zero means ten
	// seconds, and less than a second means a second.
	Every time.Duration
}

// Display shows the progress of tasks. Make one with [New]. Its methods are
// safe for concurrent use.
type Display struct {
	format Format
	every  time.Duration
	counts counts
	screen screen

	quit  chan struct{} // closed by Close
	ended chan struct{} // closed by the painter
	close sync.Once
}

const frame = 200 * time.Millisecond // time between two updates of the line

// New returns a Display that writes to w until Close. Nil options mean the
// zero value. New panics if w is nil, or Total is negative.
func New(w io.Writer, o *Options) *Display {
	o = cmp.Or(o, new(Options))
	if w == nil {
		panic("progress: New with a nil writer")
	}
	option.NotNegative("progress: New", "Options.Total", o.Total)
	d := &Display{format: o.Format, every: max(o.Every, time.Second), quit: make(chan struct{}), ended: make(chan struct{})}
	if o.Every == 0 {
		d.every = 10 * time.Second
	}
	if d.format == Auto {
		d.format = Lines
		if IsTerminal(w) {
			d.format = Bar
		}
	}
	d.counts = counts{total: o.Total, noun: o.Noun, unit: contained(o.Unit), kind: o.Kind, begin: time.Now(), running: make(map[uint64]amount)}
	d.counts.noun = cmp.Or(d.counts.noun, "tasks")
	d.screen.w = w
	if d.format == JSON {
		d.counts.records = newRecords()
	}
	go d.paint()
	return d
}

// unitTime bounds the time of a call of Options.Unit.
const unitTime = time.Second

// contained returns a function that calls unit on another goroutine. After a
// call of unit has failed, the returned function formats plain numbers instead.
// contained returns nil if unit is nil.
func contained(unit func(int64) string) func(int64) string {
	if unit == nil {
		return nil
	}
	var failed atomic.Bool
	return func(amount int64) string {
		if !failed.Load() {
			text, failure := executor.CallIsolated(unitTime, func() string { return unit(amount) })
			if failure == nil {
				return text
			}
			failed.Store(true)
		}
		return strconv.FormatInt(amount, 10)
	}
}

// Observe receives an event of a task. It is a [concert.Observer]: set it in
// the options of one or several executors. Observe blocks only in the format
// JSON, while a megabyte of lines is unread.
func (d *Display) Observe(e concert.Event) { d.counts.observe(e) }

// String returns the current numbers, as a line without a bar.
func (d *Display) String() string { return d.counts.look(time.Now()).text() }

// Above returns a writer for other output of the program. The output is
// written to w, and appears above the line that changes. Each Write should
// have whole lines. A Write also blocks while a Write to the writer of New
// blocks.
func (d *Display) Above(w io.Writer) io.Writer { return above{d, w} }

// Close writes the remaining output, and a final line in place of the line that
// changes. It returns the first error of the writer of New. It may be called
// again. Later events are counted, but not shown.
func (d *Display) Close() error {
	d.close.Do(func() {
		close(d.quit)
		<-d.ended
	})
	return d.screen.failure()
}

// paint is the painter goroutine.
func (d *Display) paint() {
	defer close(d.ended)
	if d.format == JSON {
		d.screen.write(d.counts.records, d.quit)
		return
	}
	interval := frame
	if d.format == Lines {
		interval = d.every
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			v := d.counts.look(now)
			if d.format == Bar {
				d.screen.draw(v.bar(d.screen.columns()))
			} else {
				d.screen.line(v.text())
			}
		case <-d.quit:
			d.screen.line(d.counts.look(time.Now()).closing())
			return
		}
	}
}
