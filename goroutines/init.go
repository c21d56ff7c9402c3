package goroutines

import (
	"context"
	"errors"
	"strings"

	"concert"
	"concert/executor"
	"concert/internal/lazy"
)

// State returns the state of the worker that runs the task to which ctx
// belongs, as Options.Init returned it. It reports false when ctx belongs to
// no task of a pool with Init, or the state has another type.
//
// Until the task returns, no other task uses the state. There is one exception:
// while the task waits for another task, its worker may run other tasks, which
// use the same state.
func State[T any](ctx context.Context) (T, bool) {
	if w := executor.WorkerOf(ctx); w != nil {
		s, ok := w.State.(T)
		return s, ok
	}
	var zero T
	return zero, false
}

// init calls Options.Init, and stores its result in State. If Init fails, the
// pool fails all tasks.
func (w *worker) init() {
	err := errors.New("initializer called runtime.Goexit")
	defer func() {
		if v := recover(); v != nil {
			err = &initPanic{executor.NewPanicError(v)}
		}
		if err != nil {
			w.pool.breakDown(err)
		}
	}()
	w.State, err = w.pool.opts.Init(w.pool.initCtx)
}

// initPanic is the error of an initializer that panicked.
type initPanic struct{ *concert.PanicError }

// Error returns a text with the value of the panic and the stack.
func (e *initPanic) Error() string {
	text := strings.TrimPrefix(e.PanicError.Error(), "concert: task panicked: ")
	return "initializer panicked: " + text + "\n" + e.Stack()
}

// breakDown makes the pool refuse new tasks, and fails the tasks of the queue.
func (p *Pool) breakDown(reason error) {
	err := lazy.Errorf("goroutines: no worker: %w", reason)
	p.refuse(err)
	for t := p.queue.Next(); t != nil; t = p.queue.Next() {
		t.Fail(err)
	}
}
