package jobs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// haltRule is the value of --halt. It says when a run must end before its last
// job.
type haltRule struct {
	text    string
	now     bool    // kill the jobs that run
	counted outcome // the outcome that is counted; noOutcome means that the rule never applies
	number  int
	percent float64 // a percentage of all inputs; used if number is 0
}

// outcome is the kind of jobs that a haltRule counts.
type outcome uint8

const (
	noOutcome outcome = iota
	failures
	successes
	finished
)

var outcomes = map[string]outcome{"fail": failures, "success": successes, "done": finished}

// String implements flag.Value.
func (h *haltRule) String() string { return h.text }

var errHaltRule = errors.New("want never, or now or soon and a condition, as in now,fail=1, soon,fail=10% or now,success=1")

// Set implements flag.Value.
func (h *haltRule) Set(text string) error {
	*h = haltRule{text: text}
	if text == "never" {
		return nil
	}
	when, why, _ := strings.Cut(text, ",")
	what, amount, _ := strings.Cut(why, "=")
	h.now, h.counted = when == "now", outcomes[what]
	if when != "now" && when != "soon" || h.counted == noOutcome {
		return errHaltRule
	}
	var err error
	if number, ok := strings.CutSuffix(amount, "%"); ok {
		h.percent, err = percentage(number)
	} else if h.number, err = strconv.Atoi(amount); err == nil && h.number < 1 {
		err = errHaltRule
	}
	if err != nil {
		return errHaltRule
	}
	return nil
}

// percentage parses a percentage above 0, without its percent sign.
func percentage(text string) (float64, error) {
	p, err := strconv.ParseFloat(text, 64)
	if err != nil || !(p > 0 && p <= 1e6) {
		return 0, fmt.Errorf("want a percentage above 0, as in 50%%")
	}
	return p, nil
}

// tally counts the jobs that have finished in this run.
type tally struct{ succeeded, failed int }

// reached reports whether the rule ends the run. total is the number of
// inputs, or 0 if the number is not known yet. If it is 0, a percentage is
// never reached.
func (h *haltRule) reached(t tally, total int) bool {
	n := 0
	switch h.counted {
	case noOutcome:
		return false
	case failures:
		n = t.failed
	case successes:
		n = t.succeeded
	case finished:
		n = t.failed + t.succeeded
	}
	if h.number > 0 {
		return n >= h.number
	}
	return total > 0 && n > 0 && float64(n) >= h.percent/100*float64(total)
}
