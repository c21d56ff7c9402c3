package executor

import "context"

// GraphSteps returns the number of carriers that the searches for deadlocks
// have visited since the program began.
func GraphSteps() int {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	return graph.steps
}

// VerifyGraph compares every shortcut with a search until the returned
// function is called. This function returns the number of compared
// shortcuts, and the number of those that were wrong.
func VerifyGraph() (stop func() (all, wrong int)) {
	all, wrong := 0, 0
	graph.mu.Lock()
	defer graph.mu.Unlock()
	graph.verify = func(ok bool) {
		if all++; !ok {
			wrong++
		}
	}
	return func() (int, int) {
		graph.mu.Lock()
		defer graph.mu.Unlock()
		graph.verify = nil
		return all, wrong
	}
}

// Foreign reports whether Submit would replace ctx.
func Foreign(ctx context.Context) bool { return foreign(ctx) }
