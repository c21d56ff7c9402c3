package pyvalue

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse_OfText(t *testing.T) {
	for text, want := range map[string]string{
		"5":                        "int64 5",
		"-3":                       "int64 -3",
		"123456789012345678901234": "*big.Int 123456789012345678901234",
		"1.5":                      "float64 1.5",
		"1e400":                    "string 1e400",
		`"5"`:                      "string 5",
		"five":                     "string five",
		"5 6":                      "string 5 6",
		"[1, 2.5, null]":           "[]interface {} [1 2.5 <nil>]",
		`{"a": [1]}`:               "map[string]interface {} map[a:[1]]",
		"true":                     "bool true",
		"":                         "string ",
	} {
		t.Run(text, func(t *testing.T) {
			if got := strings.TrimSpace(fmt.Sprintf("%T %v", Parse(text), Parse(text))); got != strings.TrimSpace(want) {
				t.Errorf("%q is %s, want %s", text, got, want)
			}
		})
	}
}
