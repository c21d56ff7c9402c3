package choose

import (
	"concert"
	"concert/choose"
	"concert/dashboard"
)

// onPage returns an observer for each model and level that shows the runs on
// a live page, under the name of the model and the level. The parameter
// other is another function of this kind, whose observers get the same
// events, or nil.
func onPage(feed *dashboard.Feed, other func(string, int) concert.Observer) func(string, int) concert.Observer {
	return func(model string, level int) concert.Observer {
		step := choose.Step{Model: model, Concurrency: level}.String()
		var next concert.Observer
		if other != nil {
			next = other(model, level)
		}
		return func(e concert.Event) {
			if next != nil {
				next(e)
			}
			e.Name = step
			feed.Observe(e)
		}
	}
}
