package choose

import (
	"fmt"
	"math"

	"concert/choose/internal/stats"
	"concert/choose/usage"
	"concert/internal/units"
)

// What is worth saying.
const (
	noisy    = 0.1  // of the processors, used by others, is worth saying
	drifting = 0.25 // likewise, of throughput
)

// reasons explain the answer by what was measured.
func (t *trial) reasons(chosen *point, final []*point) (all []string) {
	p := &t.report.Profile
	alone := fmt.Sprintf("Alone, a run takes %s", length(p.Wall))
	if p.Knows(usage.CPUTime) {
		alone += fmt.Sprintf(": %s of CPU, %s of wait", length(p.CPU), length(p.Wait()))
		if p.Knows(usage.RunDelay) && p.RunDelay > p.Wall/100 {
			alone += fmt.Sprintf(", and %s ready to run while another had the processor", length(p.RunDelay))
		}
	}
	all = append(all, alone+".")
	if n := float64(t.report.Machine.Processors); p.Knows(usage.CPUTime) && p.CPU > 0 {
		room := n / p.CPU.Seconds()
		got := chosen.rate().Median
		line := fmt.Sprintf("With %s each, %s %s room for %s a second; %s were done", length(p.CPU), count(int(n), "processor"), plural(int(n), "has", "have"), units.Number(room), units.Number(got))
		switch {
		case got > 1.2*room:
			line += ": under load a task takes less CPU time than alone"
		case got > 0.8*room:
			line += ": the processors are the limit"
		case chosen.busy >= fullCPU:
			line += ", with all processors busy: under load a task takes more CPU time than alone, or others took it"
		case chosen.busy >= 0 && got < 0.5*room:
			line += fmt.Sprintf(", with %s of the processors busy: the limit is elsewhere", percent(chosen.busy))
		}
		all = append(all, line+".")
	}
	for i := range t.models {
		var best *point
		for _, q := range final {
			if q.model == i && i != chosen.model && q != t.base && (best == nil || t.gain(q).Median > t.gain(best).Median) {
				best = q
			}
		}
		if best != nil {
			all = append(all, fmt.Sprintf("%s: %s.", capital(pointName(t.models[i].Name, best.level)), spelled(t.gain(best))))
		}
	}
	return all
}

// caveats are what to bear in mind.
func (t *trial) caveats(chosen *point) (all []string) {
	r := &t.report
	if gain := t.gain(chosen); gain.Confidence == 0 {
		all = append(all, fmt.Sprintf("Each point was measured once, so there are no intervals. A budget above %s measures more often.", length(t.Budget)))
	} else if gain.Confidence < stats.Confidence {
		all = append(all, fmt.Sprintf("With %s, the confidence of the intervals is %s; a larger budget raises it to 95%%.", count(r.Rounds, "round"), percent(gain.Confidence)))
	}
	if t.inputs < t.given {
		all = append(all, fmt.Sprintf("Of %d inputs, %d were used.", t.given, t.inputs))
	}
	if len(r.Untried) > 0 {
		all = append(all, fmt.Sprintf("Not tried, because the time or the runs were used up: %s.", list(r.Untried)))
	}
	for _, b := range t.broken {
		all = append(all, "Not tried: "+b+".")
	}
	for _, p := range t.points {
		if t.failsMore(p) {
			all = append(all, fmt.Sprintf("%s: %d of %d failed, so it was left out. The first: %s", capital(pointName(t.models[p.model].Name, p.level)), p.failed, p.tasks, said(p.err)))
			break
		}
	}
	if chosen.failed > 0 {
		all = append(all, fmt.Sprintf("%d of %d runs failed. The first: %s", chosen.failed, chosen.tasks, said(chosen.err)))
	}
	if m := &r.Machine; m.Others+m.Stolen > noisy && m.Others+m.Stolen <= busyNeighbors {
		all = append(all, capital(m.disturbance())+".")
	}
	if r.Remeasured > 0 {
		all = append(all, fmt.Sprintf("This is a virtual machine, whose host took a tenth of its processors or more at times: %s measured again.", count(r.Remeasured, "slice")+plural(r.Remeasured, " was", " were")))
	}
	if math.Abs(r.Drift) > drifting {
		what := "higher"
		if r.Drift < 0 {
			what = "lower"
		}
		all = append(all, fmt.Sprintf("At the end, the throughput of %s was %s %s than at the beginning. This does not matter, because comparisons are within rounds.", pointName(t.models[t.base.model].Name, t.base.level), percent(math.Abs(r.Drift)), what))
	}
	for _, s := range r.Profile.Sources {
		if s.From == "" {
			all = append(all, fmt.Sprintf("No %s: %s.", s.What, s.Why))
		}
	}
	if r.Profile.Failed > 0 {
		all = append(all, fmt.Sprintf("%d of %d runs alone failed. The first: %s", r.Profile.Failed, r.Profile.Runs, r.Profile.FirstErr))
	}
	return all
}
