package cluster

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"concert/cluster"
	"concert/cmd/concert/internal/cli"
	"concert/dashboard"
)

// silentAfter is the time without a heartbeat after which a worker is shown
// as silent: two periods of its heartbeat, and a second for the network.
const silentAfter = 7 * time.Second

// print prints the status in lines of at most statusColumns columns.
func (s *status) print(out io.Writer, st cli.Style) error {
	running, slots := 0, 0
	for _, w := range s.Workers {
		running += w.Running
		slots += w.Slots
	}
	fmt.Fprintln(out, st.Bold(fmt.Sprintf("%s, %d of %s taken", count(len(s.Workers), "worker"), running, count(slots, "slot"))))
	workers, offered, functions := s.workerTables()
	workers.print(out)
	offered.print(out)
	var tasks uint64
	for _, q := range s.Queues {
		tasks += q.Tasks
	}
	fmt.Fprintln(out, st.Bold(fmt.Sprintf("%s waiting", count(int(tasks), "task"))))
	queues := s.queueTable(functions)
	queues.print(out)
	letters := st.Bold(count(s.Dead, "dead letter"))
	if s.Dead > 0 {
		letters += ": concert status --dead lists them"
	}
	_, err := fmt.Fprintln(out, letters)
	return err
}

// tables returns the tables of the status, for the live page.
func (s *status) tables() []dashboard.Table {
	workers, offered, functions := s.workerTables()
	queues := s.queueTable(functions)
	return []dashboard.Table{
		{Title: "Workers", Header: workers.header, Rows: workers.rows},
		{Title: "Functions of the workers", Header: offered.header, Rows: offered.rows},
		{Title: "Waiting tasks", Header: queues.header, Rows: queues.rows},
	}
}

// queueTable returns the table of the waiting tasks. The map functions has
// the functions of each capability set.
func (s *status) queueTable(functions map[string]string) table {
	queues := table{header: []string{"client", "tasks", "for"}, cut: []int{2, 0}}
	for _, q := range s.Queues {
		to, there := functions[q.Capabilities]
		if !there {
			to = "functions that no worker offers"
		}
		queues.add(holderName(s.Names, q.Client), fmt.Sprint(q.Tasks), to)
	}
	return queues
}

// workerTables returns the table of the workers, and the table of the functions
// that they offer. It also returns the functions of each capability set, as
// text.
func (s *status) workerTables() (workers, offered table, functions map[string]string) {
	functions = map[string]string{}
	workers = table{header: []string{"name", "host", "pid", "state", "running", "done", "failed", "up", "heard"}, cut: []int{1, 0}}
	type capacity struct{ workers, slots int }
	sets := map[string]capacity{}
	var order []string
	for _, w := range s.Workers {
		workers.add(holderName(s.Names, w.Key), w.Host, fmt.Sprint(w.Pid), workerState(w, s.Time), fmt.Sprintf("%d/%d", w.Running, w.Slots),
			shortCount(w.Finished), shortCount(w.Failed), shortTime(s.Time.Sub(w.Since)), shortTime(s.Time.Sub(w.Heard))+" ago")
		if _, known := sets[w.Capabilities]; !known {
			order = append(order, w.Capabilities)
		}
		c := sets[w.Capabilities]
		sets[w.Capabilities] = capacity{c.workers + 1, c.slots + w.Slots}
		functions[w.Capabilities] = functionList(w.Functions)
	}
	offered = table{header: []string{"workers", "slots", "functions"}, cut: []int{2}}
	for _, set := range order {
		offered.add(fmt.Sprint(sets[set].workers), fmt.Sprint(sets[set].slots), functions[set])
	}
	return workers, offered, functions
}

// workerState returns the state of a worker in one word.
func workerState(w cluster.Worker, now time.Time) string {
	switch {
	case now.Sub(w.Heard) > silentAfter:
		return "silent"
	case w.Draining:
		return "stopping"
	case w.Running >= w.Slots:
		return "busy"
	}
	return "ready"
}

// holderName returns the name of the holder of a key. If the servers do not
// know the key, it returns the beginning and the end of the key. Without keys,
// the owner of a task is a name that the client has chosen.
func holderName(names map[string]string, key string) string {
	if name, ok := names[key]; ok {
		return name
	}
	if len(key) == 56 && key[0] == 'U' { // the length and the first letter of public keys
		return key[:4] + ellipsis + key[len(key)-4:]
	}
	return key
}

// shortCount returns a number with at most six digits.
func shortCount(n int64) string {
	switch {
	case n < 1e6:
		return fmt.Sprint(n)
	case n < 1e9:
		return fmt.Sprintf("%dM", n/1e6)
	}
	return fmt.Sprintf("%dG", n/1e9)
}

// shortTime returns a time with one unit, as in "12 s".
func shortTime(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

// functionName returns the name of a function as users write it.
func functionName(n string) string {
	if rest, ok := strings.CutPrefix(n, "python:"); ok { // also removes the part that says how arguments are passed
		_, n, _ = strings.Cut(rest, ":")
	}
	return n
}

// functionColumns is the maximum width of the names of the functions of a
// capability set, unless the first name is longer.
const functionColumns = 60

// functionList returns a text with the first names that fit, and the number
// of further names.
func functionList(names []string) string {
	var shown []string
	for _, n := range names {
		if n = functionName(n); !slices.Contains(shown, n) { // a Python function has several names
			shown = append(shown, n)
		}
	}
	for n := len(shown); ; n-- {
		text := strings.Join(shown[:n], ", ")
		if n < len(shown) {
			text += fmt.Sprintf(" and %d more", len(shown)-n)
		}
		if n <= 1 || utf8.RuneCountInString(text) <= functionColumns {
			return text
		}
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
