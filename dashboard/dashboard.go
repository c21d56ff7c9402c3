package dashboard

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"concert"
)

// Source is what a page shows. Every [concert.Executor] is a Source. A Source
// may have these methods, too:
//
//	Watch(concert.Observer) (stop func())    the page shows single tasks
//	WorkerProcesses() map[int]int            the page shows the memory and the processor time
//	                                         of workers: process ids by number of the worker
//	Tables() []Table                         the page shows these tables as well
type Source interface {
	Stats() concert.Stats
}

// Table is a table of texts that a page shows.
type Table struct {
	Title  string     `json:"title"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// Options configures a Dashboard. Nil and the zero value stand for the
// defaults. A page has a button for an action if the function of the action is
// set. These functions may be called concurrently.
type Options struct {
	// Title is the heading of the page. Empty means "concert".
	Title string

	// Hosts lists the host names, without a port, by which browsers may reach
	// the page. IP addresses and localhost are always accepted.
	Hosts []string

	// OnPause stops the start of tasks, or permits it again.
	OnPause func(ctx context.Context, pause bool) error

	// OnCancel cancels a running task.
	OnCancel func(context.Context, Task) error

	// OnReplay runs a failed task again.
	OnReplay func(context.Context, Task) error
}

// Task is a task for which a user has pressed a button.
type Task struct {
	Source string         // the name that was given to Add
	ID     uint64         // as in the field Task of [concert.Event]
	Name   string         // the name of the task's function
	Input  *concert.Input // the index and the label of the input, or nil; a long label is cut
}

// Dashboard is a live page: a handler for the page and everything that the
// page loads. Its methods are safe for concurrent use. Make one with [New].
type Dashboard struct {
	opts  Options
	token string // the token that requests of actions must have
	epoch string // distinguishes the frames of this Dashboard from the frames of an earlier one
	csrf  *http.CrossOriginProtection

	hub hub

	pausing sync.Mutex // held while OnPause is called; locked before mu
	mu      sync.Mutex
	paused  bool // guarded by mu: whether the last OnPause has paused
}

// New returns a Dashboard without sources. Add adds them.
func New(opts *Options) *Dashboard {
	d := &Dashboard{token: rand.Text(), epoch: rand.Text()[:8], csrf: http.NewCrossOriginProtection()}
	if opts != nil {
		d.opts = *opts
	}
	if d.opts.Title == "" {
		d.opts.Title = "concert"
	}
	d.hub.init(d.isPaused)
	return d
}

// Handler returns a live page of executors. It has no actions. On the page, an
// executor has the name of its package. For other names and for actions, use
// [New].
func Handler(executors ...concert.Executor) http.Handler {
	d := New(nil)
	seen := map[string]int{}
	for _, ex := range executors {
		name := packageOf(ex)
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s %d", name, seen[name])
		}
		d.Add(name, ex)
	}
	return d
}

// packageOf returns the name of the package that declares the type of v.
func packageOf(v any) string {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name, _, _ := strings.Cut(t.String(), ".")
	return name
}

// Add shows a source under a name, until the returned function is called. Add
// panics if the source is nil.
func (d *Dashboard) Add(name string, s Source) (remove func()) {
	if s == nil {
		panic("dashboard: Add: the source is nil")
	}
	return d.hub.add(newRecorder(name, s))
}

// Close ends the streams of all pages, after a last frame with the final
// numbers. It does not wait for a slow page. Add may not be called after Close.
func (d *Dashboard) Close() { d.hub.close() }

func (d *Dashboard) isPaused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.paused
}
