package executortest

import (
	"strings"
	"testing"
)

func TestCases(t *testing.T) {
	names, rules := map[string]bool{}, map[string]string{}
	for _, c := range cases {
		if names[c.name] {
			t.Errorf("two cases have the name %s", c.name)
		}
		names[c.name] = true
		// Cases of user code may have the same rule, because they are variants
		// of two rules.
		if other := rules[c.rule]; other != "" && !strings.HasPrefix(c.name, "UserCode/") {
			t.Errorf("%s and %s have the same rule", c.name, other)
		}
		rules[c.rule] = c.name
		if !strings.Contains(c.rule, " ") {
			t.Errorf("%s does not name its rule, but %q", c.name, c.rule)
		}
	}
}

func TestHangReport(t *testing.T) {
	report := hangReport(testCase{name: "Close", rule: "Close returns"})
	for _, want := range []string{"case Close did not end in 3m0s", "the rule: Close returns", "TestHangReport"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not contain %q:\n%s", want, report)
		}
	}
}
