package jobs

import "testing"

func TestHaltRule_Set(t *testing.T) {
	for _, text := range []string{"never", "now,fail=1", "soon,fail=10%", "now,success=3", "soon,done=0.5%"} {
		if err := new(haltRule).Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "now", "fail=1", "now,fail", "now,fail=0", "now,fail=-1", "later,fail=1", "soon,fail=0%", "soon,fail=x%", "soon,crash=1", "now,fail=1,fail=2"} {
		if err := new(haltRule).Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestHaltRule_Reached(t *testing.T) {
	for _, c := range []struct {
		rule      string
		ok, fails int
		total     int
		want      bool
	}{
		{"never", 5, 5, 10, false},
		{"now,fail=2", 9, 1, 10, false},
		{"now,fail=2", 0, 2, 10, true},
		{"soon,success=3", 2, 7, 10, false},
		{"soon,success=3", 3, 0, 10, true},
		{"soon,done=3", 1, 2, 0, true},
		{"soon,fail=20%", 7, 1, 10, false},
		{"soon,fail=20%", 7, 2, 10, true},
		{"soon,fail=20%", 0, 5, 0, false}, // the number of inputs is not known yet
		{"soon,success=1%", 0, 0, 10, false},
		{"soon,success=1%", 1, 0, 10, true},
	} {
		var h haltRule
		if err := h.Set(c.rule); err != nil {
			t.Fatal(err)
		}
		if got := h.reached(tally{c.ok, c.fails}, c.total); got != c.want {
			t.Errorf("%s after %d successes and %d failures of %d: %t, want %t", c.rule, c.ok, c.fails, c.total, got, c.want)
		}
	}
}
