package dashboard

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"concert"
	"concert/executor"
)

// The limits for the information about failures.
const (
	maxCauses   = 100
	maxExamples = 5    // labels of each cause
	maxReplayed = 1000 // tasks of each cause that can be replayed
	maxText     = 1 << 10
	maxDetail   = 16 << 10
	maxExamined = 500 // the maximum number of failures per second whose text is read
)

// causes groups failures by their cause. Two failures have the same cause if
// they have the same function, and if their errors have the same text apart
// from numbers and the input. It may be used concurrently.
type causes struct {
	mu       sync.Mutex
	byKey    map[causeKey]*cause // guarded by mu: the groups by their keys
	list     []*cause            // guarded by mu: the same, in the order of their numbers
	first    int                 // guarded by mu: number of the first element of list
	second   int64               // guarded by mu: the second to which examined belongs
	examined int                 // guarded by mu: failures whose text was read in this second
	skipped  int64               // guarded by mu: failures whose text was not read, or that have no group
}

type causeKey struct{ name, text string }

// cause is a group of failures.
type cause struct {
	number   int
	name     string
	text     string // the text of the first failure
	detail   string // the text of the first failure with a traceback, or ""
	count    int64
	first    time.Time
	last     time.Time
	examples []example
	tasks    []Task // the tasks that can be replayed, without their source
}

// example is the input of a failed task.
type example struct {
	Task  uint64 `json:"task,string"`
	Index *int64 `json:"index,omitempty"`
	Label string `json:"label,omitempty"`
}

// add adds a failed task. It returns the number of its group, or -1 if it has
// none. It reads the text of the error without a lock, because the methods of
// an error are code of the program.
func (c *causes) add(e concert.Event) int {
	if !c.mayExamine(e.Time) {
		return -1
	}
	text := cut(executor.ErrorText(e.Err), maxText)
	input := e.Input
	key := causeKey{e.Name, normalized(text, input)}
	input = bounded(input)
	c.mu.Lock()
	g := c.byKey[key]
	c.mu.Unlock()
	detail := ""
	if g == nil { // the first failure: read its traceback
		detail = detailOf(e.Err, text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if g = c.byKey[key]; g == nil {
		if len(c.list) >= maxCauses {
			c.skipped++
			return -1
		}
		if c.byKey == nil {
			c.byKey = map[causeKey]*cause{}
		}
		g = &cause{number: c.first + len(c.list), name: e.Name, text: text, detail: detail, first: e.Time}
		c.byKey[key] = g
		c.list = append(c.list, g)
	}
	g.count++
	g.last = e.Time
	if len(g.examples) < maxExamples {
		x := example{Task: e.Task}
		if input != nil {
			x.Label = input.Label
			if input.Index >= 0 {
				x.Index = &input.Index
			}
		}
		g.examples = append(g.examples, x)
	}
	if len(g.tasks) < maxReplayed {
		g.tasks = append(g.tasks, Task{ID: e.Task, Name: e.Name, Input: input})
	}
	return g.number
}

// mayExamine reports whether the text of a failure may be read. The limit
// bounds the time that is needed for a flood of failures.
func (c *causes) mayExamine(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := now.Unix(); s != c.second {
		c.second, c.examined = s, 0
	}
	if c.examined >= maxExamined {
		c.skipped++
		return false
	}
	c.examined++
	return true
}

// rows returns the groups. The group with the most failures comes first.
func (c *causes) rows() failureTable {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := failureTable{Other: c.skipped, Groups: make([]failureRow, 0, len(c.list))}
	for _, g := range c.list {
		t.Groups = append(t.Groups, failureRow{
			Group: g.number, Name: g.name, Text: g.text, Detail: g.detail, Count: g.count,
			First: g.first.UnixMilli(), Last: g.last.UnixMilli(), Examples: slices.Clone(g.examples), Replay: len(g.tasks),
		})
	}
	slices.SortStableFunc(t.Groups, func(a, b failureRow) int { return cmp.Compare(b.Count, a.Count) })
	return t
}

// take removes the tasks of a group, and returns them, so that they can be
// replayed.
func (c *causes) take(group int) []Task {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groupLocked(group)
	if g == nil {
		return nil
	}
	tasks := g.tasks
	g.tasks = nil
	return tasks
}

// putBack adds tasks to a group again.
func (c *causes) putBack(group int, tasks []Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.groupLocked(group); g != nil {
		g.tasks = append(tasks, g.tasks...)
		g.tasks = g.tasks[:min(len(g.tasks), maxReplayed)]
	}
}

// groupLocked returns the group with a number, or nil.
func (c *causes) groupLocked(number int) *cause {
	if i := number - c.first; i >= 0 && i < len(c.list) {
		return c.list[i]
	}
	return nil
}

// clear forgets all groups. New groups get new numbers, because a page may
// still show old groups.
func (c *causes) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first += len(c.list)
	c.byKey, c.list, c.skipped = nil, nil, 0
}

// numbers matches addresses, digests and numbers, which differ between
// failures with the same cause.
var numbers = regexp.MustCompile(`0x[0-9a-fA-F]+|\b[0-9a-fA-F]*[0-9][0-9a-fA-F]{7,}\b|[0-9]+(?:\.[0-9]+)*`)

// normalized returns a text in which the input is left out, and every number is
// a #. input may be nil.
func normalized(text string, input *concert.Input) string {
	if input != nil {
		text = strings.ReplaceAll(text, input.String(), "#")
		if len(input.Label) > 2 {
			text = strings.ReplaceAll(text, input.Label, "#")
		}
	}
	return numbers.ReplaceAllString(text, "#")
}

// detailOf returns the text that an error prints under %+v, such as a
// traceback. It returns "" if this text is the same as the parameter text.
func detailOf(err error, text string) string {
	detail, failure := executor.CallIsolated(time.Second, func() string { return fmt.Sprintf("%+v", err) })
	if failure != nil {
		return ""
	}
	if detail = cut(strings.TrimSpace(detail), maxDetail); detail == strings.TrimSpace(text) {
		return ""
	}
	return detail
}

// cut shortens a text to a number of bytes. The result is valid UTF-8.
func cut(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "..." // this makes a copy, so the whole text is not kept in memory
	}
	return strings.ToValidUTF8(text, "?")
}
