package concert

import (
	"log/slog"
	"sync"
)

// guardedObserver returns an observer that calls o and contains its panics. The
// first failure is logged, also a call of runtime.Goexit, which it cannot
// contain: see tellApart.
func guardedObserver(o Observer) Observer {
	if o == nil {
		return nil
	}
	var failed sync.Once
	return func(e Event) {
		returned := false
		defer func() {
			if returned {
				return
			}
			err := ErrGoexit
			if v := recover(); v != nil {
				err = NewPanicError(v)
			}
			failed.Do(func() {
				// Another goroutine, since the handler of slog is the program's as well.
				go guarded(func() {
					slog.Error("concert: an Observer failed; it is still called, and further failures are not logged", "event", e.Kind.String(), "of", e.Name, "error", err)
				})
			})
		}()
		o(e)
		returned = true
	}
}

// tellApart calls the observer on a goroutine of its own, for events that happen
// on a goroutine which the executor needs, and which must not end.
func (o Observer) tellApart(e Event) { guarded(func() { o(e) }) }
