package choose

import (
	"fmt"
	"runtime"
	"time"

	"concert/choose/usage"
)

// Report is the result of Run. In JSON, durations are in nanoseconds.
type Report struct {
	Kind    KindVerdict `json:"kind"`    // the first answer: the kind of the work
	Verdict Verdict     `json:"verdict"` // the second answer: the model and the concurrency
	Profile Profile     `json:"profile"`
	// Points has the points that were measured, in the order of the models and
	// by rising concurrency. The first point is the base, to which gains refer.
	Points []Point `json:"points"`
	// Drift is the relative change of the throughput of the base from its first
	// measurement to the last: 0.1 means 10% more at the end.
	Drift   float64 `json:"drift"`
	Rounds  int     `json:"rounds"` // the number of complete rounds
	Runs    int     `json:"runs"`   // the number of runs of the work, including the profile
	Inputs  int     `json:"inputs"` // the number of inputs that were used
	Machine Machine `json:"machine"`
	// Remeasured is the number of measurements that were repeated, because
	// the steal time was more than a tenth of the processor time. After too
	// many repetitions in a run, disturbed measurements are not repeated.
	Remeasured int `json:"remeasured"`
	// Untried has the points for which no time or no run was left.
	Untried []string      `json:"untried,omitempty"`
	Took    time.Duration `json:"took_ns"`   // the elapsed time of Run
	Budget  time.Duration `json:"budget_ns"` // Options.Budget, or its default
}

// Profile is what a run of the work uses when it runs alone: the mean of
// several runs, and for memory the maximum.
type Profile struct {
	usage.Usage
	Runs     int           `json:"runs"`
	Fastest  time.Duration `json:"fastest_ns"` // the shortest elapsed time
	Slowest  time.Duration `json:"slowest_ns"` // the longest elapsed time
	Failed   int           `json:"failed"`     // the number of runs that returned an error
	FirstErr string        `json:"first_error,omitempty"`
}

// Point is a model at a level of concurrency.
type Point struct {
	Model       string   `json:"model"`
	Concurrency int      `json:"concurrency"`
	Rate        Interval `json:"rate"` // throughput, in successful tasks per second
	// Gain is the throughput as a multiple of the throughput of the base in the
	// same rounds. For a point without rounds, Gain is the ratio of the first
	// measurements of the point and the base, and Gain.Confidence is 0.
	Gain     Interval `json:"gain"`
	Rounds   int      `json:"rounds"` // the number of rounds in which the point was measured
	Tasks    int      `json:"tasks"`  // the number of tasks that ran
	Failed   int      `json:"failed"` // the number of tasks that returned an error
	FirstErr string   `json:"first_error,omitempty"`
	// Busy is the share of the processor time that all programs used during the
	// last measurement, from 0 to 1, or -1 if it is unknown.
	Busy float64 `json:"busy"`
	// Split divides the mean duration of a task. It is nil if tasks were too
	// short, or if the CPU time is unknown.
	Split *Split `json:"split,omitempty"`
	// Spans has the tasks of the last measurement by their start, at most
	// 1,000. Only the recommended point has them.
	Spans []Span `json:"spans,omitempty"`
}

// Split divides the mean duration of a task.
type Split struct {
	CPU  time.Duration `json:"cpu_ns"`  // CPU time
	Wait time.Duration `json:"wait_ns"` // the time in which the task waits when it runs alone
	// Queue is the additional duration, compared to a run alone: the task waits
	// for a processor, a lock or a server that other tasks use.
	Queue time.Duration `json:"queue_ns"`
}

// Span is the execution of one task. Start and End are relative to the start of
// the measurement.
type Span struct {
	Worker int           `json:"worker"`
	Start  time.Duration `json:"start_ns"`
	End    time.Duration `json:"end_ns"`
	Failed bool          `json:"failed,omitempty"`
}

// Machine describes the machine of the measurements.
type Machine struct {
	Processors int    `json:"processors"` // the number of processors that Go uses: GOMAXPROCS
	System     string `json:"system"`     // for example "linux/amd64"
	Go         string `json:"go"`         // the version of Go
	// Others is the share of the processor time that other programs used during
	// the measurements, from 0 to 1, or -1 if it is unknown.
	Others float64 `json:"others"`
	// Stolen is the share of the processor time that was steal time: the host
	// of a virtual machine gave this time to other machines. Stolen is 0 if the
	// share is unknown.
	Stolen float64 `json:"stolen"`
}

// Certainty says how certain a verdict is.
type Certainty string

const (
	// Clear means that the recommended model and concurrency are the best.
	Clear Certainty = "clear"
	// Tie means that another model is as good. The simpler one is recommended.
	Tie Certainty = "tie"
	// Likely means that the recommendation agrees with the kind of the work,
	// but that the measurements are not precise enough. For example, other
	// programs used the processors. Follow the recommendation; the best
	// concurrency may be another one.
	Likely Certainty = "likely"
	// Unclear means that the recommendation is a guess.
	Unclear Certainty = "unclear"
)

// Verdict is the recommendation.
type Verdict struct {
	Certainty   Certainty `json:"certainty"`
	Sentence    string    `json:"sentence"` // both answers as text
	Model       string    `json:"model"`
	Concurrency int       `json:"concurrency"`
	// EqualUpTo is the highest concurrency that is as good as Concurrency,
	// under the same model. If no higher concurrency is as good, it equals
	// Concurrency.
	EqualUpTo int `json:"equal_up_to"`
	// Rising is true if the throughput still increased at Concurrency, and
	// no higher concurrency was measured under this model.
	Rising bool `json:"rising"`
	// Gain is the throughput as a multiple of the throughput of the base. It is
	// zero if there was no time to measure the recommended point. Then Points
	// does not contain this point.
	Gain       Interval `json:"gain"`
	Code       string   `json:"code,omitempty"`        // the result of Model.Code
	PythonCode string   `json:"python_code,omitempty"` // the result of Model.PythonCode
	Reasons    []string `json:"reasons"`               // sentences that explain the verdict
	Caveats    []string `json:"caveats"`               // sentences about the limits of the verdict
}

// CodeLines returns the lines that make the recommended executor: Code and
// PythonCode, if they are not empty.
func (v *Verdict) CodeLines() (lines []string) {
	if v.Code != "" {
		lines = append(lines, v.Code)
	}
	if v.PythonCode != "" {
		lines = append(lines, "# in Python: "+v.PythonCode)
	}
	return lines
}

// point returns a point of the report, or nil.
func (r *Report) point(model string, level int) *Point {
	for i := range r.Points {
		if p := &r.Points[i]; p.Model == model && p.Concurrency == level {
			return p
		}
	}
	return nil
}

// thisMachine returns the description of this machine, without measurements.
func thisMachine() Machine {
	return Machine{
		Processors: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Others: -1,
	}
}

// disturbance returns a text about the processor time that other programs and
// other machines used.
func (m *Machine) disturbance() string {
	const negligible = 0.02
	others := fmt.Sprintf("other programs used %s of the processor time", percent(m.Others))
	if m.Stolen < negligible {
		return others
	}
	if m.Others < negligible {
		return fmt.Sprintf("steal time was %s of the processor time of this virtual machine", percent(m.Stolen))
	}
	return others + fmt.Sprintf(", and another %s was steal time", percent(m.Stolen))
}
