package choose

import (
	"concert/choose/usage"
	"fmt"
	"runtime"
	"time"
)

// Report is what Run found out. As JSON it has the names that its tags say;
// times are in nanoseconds.
type Report struct {
	Answer  Answer  `json:"answer"`
	Profile Profile `json:"profile"`
	// Points are what was measured, by model in the order given and by level.
	// The first is the one that gains are over.
	Points []Point `json:"points"`
	// Fits has an entry for each model that was measured at six levels or more
	// and follows the law.
	Fits map[string]*Fit `json:"fits,omitempty"`
	// Drift is by how much the first point did better (above 0) or worse at the
	// end than at the beginning, as a share.
	Drift   float64 `json:"drift"`
	Rounds  int     `json:"rounds"`
	Runs    int     `json:"runs"`   // how often the work was run, the profile included
	Inputs  int     `json:"inputs"` // how many were used
	Machine Machine `json:"machine"`
	// Stolen is how many slices were measured again, because the host of this
	// virtual machine took more than a tenth of its processors meanwhile. If
	// that is too often, they are taken as they are.
	Stolen int `json:"stolen"`
	// Untried are points that there was no time or no run left for.
	Untried []string      `json:"untried,omitempty"`
	Took    time.Duration `json:"took_ns"`
	Budget  time.Duration `json:"budget_ns"`
}

// Profile is what the work uses when it runs alone: the mean of several runs,
// and for memory the maximum.
type Profile struct {
	usage.Usage
	Runs     int           `json:"runs"`
	Fastest  time.Duration `json:"fastest_ns"`
	Slowest  time.Duration `json:"slowest_ns"`
	Failed   int           `json:"failed"` // runs that returned an error
	FirstErr string        `json:"first_error,omitempty"`
}

// Point is a model at a level.
type Point struct {
	Model string   `json:"model"`
	Level int      `json:"level"` // how many tasks at a time
	Rate  Interval `json:"rate"`  // tasks that succeeded, a second
	Gain  Interval `json:"gain"`  // over the first point, in the same rounds
	// Rounds is how often it was measured, after it had been explored.
	Rounds   int    `json:"rounds"`
	Tasks    int    `json:"tasks"` // that were run
	Failed   int    `json:"failed"`
	FirstErr string `json:"first_error,omitempty"`
	// Busy is the share of the machine's processors that were busy meanwhile,
	// by whomever, -1 if that is not known.
	Busy float64 `json:"busy"`
	// Split says where the time of a task went, nil if it was too short to
	// tell.
	Split *Split `json:"split,omitempty"`
	// Spans are the tasks of its last slice, in the order of their starts and
	// no more than 1,000: on which worker they ran, and when. Only the point
	// that the answer names has them.
	Spans []Span `json:"spans,omitempty"`
}

// Split is where the time of a task goes, on average. Queue is by how much it
// takes longer than alone: turns it waits for, at a processor, a lock or a
// server.
type Split struct {
	CPU   time.Duration `json:"cpu_ns"`
	Wait  time.Duration `json:"wait_ns"`
	Queue time.Duration `json:"queue_ns"`
}

// Span is one task.
type Span struct {
	Worker int           `json:"worker"`
	Start  time.Duration `json:"start_ns"` // since the slice began
	End    time.Duration `json:"end_ns"`
	Failed bool          `json:"failed,omitempty"`
}

// Machine describes the machine of the measurement.
type Machine struct {
	Processors int    `json:"processors"` // that Go uses
	System     string `json:"system"`     // "linux/amd64"
	Go         string `json:"go"`
	// Others is the share of all processors that other programs used meanwhile,
	// -1 if that is not known; Stolen is the share that the host of a virtual
	// machine took.
	Others float64 `json:"others"`
	Stolen float64 `json:"stolen"`
}

// Verdict says how sure an answer is.
type Verdict string

const (
	Clear   Verdict = "clear"
	Tie     Verdict = "tie"     // another model does as well: the simpler one is named
	Unclear Verdict = "unclear" // it cannot tell; what it names is the best guess
)

// Answer is the recommendation.
type Answer struct {
	Verdict  Verdict  `json:"verdict"`
	Sentence string   `json:"sentence"`
	Model    string   `json:"model"`
	Level    int      `json:"level"`
	Gain     Interval `json:"gain"`
	Code     string   `json:"code,omitempty"` // what Model.Code says
	Reasons  []string `json:"reasons"`
	Caveats  []string `json:"caveats"`
}

// point finds a point of the report.
func (r *Report) point(model string, level int) *Point {
	for i := range r.Points {
		if p := &r.Points[i]; p.Model == model && p.Level == level {
			return p
		}
	}
	return nil
}

func thisMachine() Machine {
	return Machine{
		Processors: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Others: -1,
	}
}

// disturbed describes what else used the processors.
func (m *Machine) disturbed() string {
	const least = 0.02 // is not worth saying
	others := fmt.Sprintf("other programs used %s of the processors", percent(m.Others))
	if m.Stolen < least {
		return others
	}
	if m.Others < least {
		return fmt.Sprintf("the host of this virtual machine took %s of its processors", percent(m.Stolen))
	}
	return others + fmt.Sprintf(", and the host of this virtual machine took %s", percent(m.Stolen))
}
