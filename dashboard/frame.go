package dashboard

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"concert"
)

// frame is what a page receives: everything, or what has changed since the
// previous frame.
type frame struct {
	Full    bool          `json:"full,omitempty"` // replaces everything that the page has
	Time    int64         `json:"time"`           // milliseconds since 1970
	Paused  bool          `json:"paused"`
	Ended   bool          `json:"ended,omitempty"` // the last frame
	Process *usage        `json:"process,omitempty"`
	Sources []sourceFrame `json:"sources"`
}

// sourceFrame is the part of a frame about one source. The page adds Points and
// Spans to its own, and replaces everything else.
type sourceFrame struct {
	ID        int            `json:"id"`
	Name      string         `json:"name"`
	Stats     statsFrame     `json:"stats"`
	HasTasks  bool           `json:"hasTasks"`  // whether single tasks can be seen
	Sampled   bool           `json:"sampled"`   // whether only some tasks were observed
	Estimated bool           `json:"estimated"` // whether the numbers of functions are estimates
	Points    []point        `json:"points"`
	Spans     []span         `json:"spans"`
	Running   []openTask     `json:"running"`
	Functions []functionRow  `json:"functions"`
	Failures  failureTable   `json:"failures"`
	Processes []processUsage `json:"processes,omitempty"`
	Tables    []Table        `json:"tables,omitempty"`
}

// statsFrame has the exact numbers. Its own fields replace fields of the Stats
// with the same name in JSON.
type statsFrame struct {
	concert.Stats
	Failed    int64            `json:"failed"` // failed tasks of all kinds
	Kinds     concert.Failures `json:"kinds"`
	QueueTime *quantiles       `json:"queueTime,omitempty"`
	RunTime   *quantiles       `json:"runTime,omitempty"`
}

// quantiles has quantiles of a histogram, in microseconds.
type quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

func statsOf(s concert.Stats) statsFrame {
	return statsFrame{Stats: s, Failed: s.Failed.Total(), Kinds: s.Failed, QueueTime: quantilesOf(s.QueueTime), RunTime: quantilesOf(s.RunTime)}
}

func quantilesOf(h concert.Histogram) *quantiles {
	if h.Count() == 0 {
		return nil
	}
	return &quantiles{micros(h.Quantile(0.5)), micros(h.Quantile(0.95)), micros(h.Quantile(0.99))}
}

// point contains the numbers of one moment, for the diagrams over time. In JSON
// it is an array.
type point struct {
	Time                     int64 // milliseconds since 1970
	Rate, Failed             float64
	Queued, Running, Waiting int
	Shown                    int   // number of new spans
	Of                       int64 // the number of tasks from which the new spans were chosen
}

// MarshalJSON encodes the point.
func (p point) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{p.Time, round1(p.Rate), round1(p.Failed), p.Queued, p.Running, p.Waiting, p.Shown, p.Of})
}

func round1(x float64) float64 { return float64(int64(x*10+0.5)) / 10 }

// span is a task that has ended. In JSON it is an array, because there are
// many.
type span struct {
	task   uint64
	worker int
	name   string
	input  *concert.Input
	start  time.Time
	took   time.Duration
	group  int // the group of its failure, or -1
	failed bool
}

// MarshalJSON encodes the span. The elements are the number of the task, the
// worker, the start and the duration in microseconds, the name, the input,
// whether the task failed, and the group. The number is a text, because it may
// be larger than a script can count.
func (s span) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{strconv.FormatUint(s.task, 10), s.worker, s.start.UnixMicro(), micros(s.took), s.name, inputText(s.input), s.failed, s.group})
}

// openTask is a running task.
type openTask struct {
	id uint64
	opened
}

// MarshalJSON encodes the task.
func (t openTask) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"task": strconv.FormatUint(t.id, 10), "worker": t.worker, "start": t.start.UnixMicro(), "name": t.name, "input": inputText(t.input),
		"done": t.done, "total": t.total,
	})
}

// inputText returns the index and the label of an input, as in "17 (cat.jpg)".
func inputText(in *concert.Input) string {
	if in == nil {
		return ""
	}
	switch {
	case in.Index < 0:
		return in.Label
	case in.Label == "":
		return strconv.FormatInt(in.Index, 10)
	}
	return strconv.FormatInt(in.Index, 10) + " (" + in.Label + ")"
}

// bounded returns the input with texts of at most maxName bytes. A recorder
// keeps many inputs, and a label may be of any length.
func bounded(in *concert.Input) *concert.Input {
	if in == nil || len(in.Label) <= maxName && len(in.Name) <= maxName {
		return in
	}
	c := *in
	c.Name, c.Label = cut(in.Name, maxName), cut(in.Label, maxName)
	return &c
}

// functionRow is a row of the table of functions. Times are in microseconds.
type functionRow struct {
	Name   string  `json:"name"`
	Done   int64   `json:"done"`
	Failed int64   `json:"failed"`
	P50    float64 `json:"p50"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// failureTable has the failures by cause.
type failureTable struct {
	Groups []failureRow `json:"groups"`
	Other  int64        `json:"other"` // failures that were seen, but are in no group
}

// withoutDetails returns the table without the details of groups that the
// table before has. It is used because all details together may be large, and
// a page already has these.
func (t failureTable) withoutDetails(before failureTable) failureTable {
	newest := -1
	for _, g := range before.Groups {
		newest = max(newest, g.Group)
	}
	t.Groups = slices.Clone(t.Groups)
	for i := range t.Groups {
		if t.Groups[i].Group <= newest {
			t.Groups[i].Detail = ""
		}
	}
	return t
}

type failureRow struct {
	Group    int       `json:"group"`
	Name     string    `json:"name"`
	Text     string    `json:"text"`
	Detail   string    `json:"detail,omitempty"` // only in complete frames, and in the first frame with the group
	Count    int64     `json:"count"`
	First    int64     `json:"first"` // milliseconds since 1970
	Last     int64     `json:"last"`
	Examples []example `json:"examples"`
	Replay   int       `json:"replay"` // number of tasks that can be replayed
}

// sortRunning puts the tasks that have run for the longest first.
func sortRunning(tasks []openTask) {
	slices.SortFunc(tasks, func(a, b openTask) int { return cmp.Or(a.start.Compare(b.start), cmp.Compare(a.id, b.id)) })
}
