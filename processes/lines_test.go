package processes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestLineSplitter: output must be split into lines, and each update of a
// progress bar must be emitted as soon as it is read.
func TestLineSplitter(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for what, c := range map[string]struct {
		parts []string
		want  []string
	}{
		"lines":            {[]string{"a\nb\n", "c"}, []string{"whole a\n", "whole b\n", "whole c"}},
		"in parts":         {[]string{"a", "b\n", "\n"}, []string{"whole ab\n", "whole \n"}},
		"of Windows":       {[]string{"a\r\nb\r\n"}, []string{"whole a\n", "whole b\n"}},
		"of Windows apart": {[]string{"a\r", "\nb\n"}, []string{"update a", "whole b\n"}},
		"a bar":            {[]string{"\r 0%", "\r 50%", "\r100%\n", "after\n"}, []string{"update  0%", "update  50%", "whole 100%\n", "whole after\n"}},
		"a bar that ends":  {[]string{"\r 0%", "\r100%", "\n"}, []string{"update  0%", "update 100%", "repeat 100%\n"}},
		"a bar with more":  {[]string{"\r 0%", " of 3", "\r 50%"}, []string{"update  0%", "update  0% of 3", "update  50%", "repeat  50%"}},
		"text, then \\r":   {[]string{"10%\r", "20%\r", "30%\n"}, []string{"update 10%", "update 20%", "whole 30%\n"}},
		"within a line":    {[]string{"a\rb\n", "c", "\rd\r\n"}, []string{"whole a\rb\n", "update c", "whole d\n"}},
		"empty updates":    {[]string{"\r\r\r", "\ra\n"}, []string{"whole a\n"}},
		"several together": {[]string{"\r1\r2\r3\r4"}, []string{"update 1", "update 2", "update 3", "update 4", "repeat 4"}},
		"long":             {[]string{long + "yz\n"}, []string{"whole " + long, "whole yz\n"}},
		"long in parts":    {[]string{long[1:], "yz\n"}, []string{"whole " + long[1:] + "y", "whole z\n"}},
	} {
		t.Run(what, func(t *testing.T) {
			var got []string
			cut := lineSplitter{emit: func(line []byte, kind lineKind) {
				got = append(got, fmt.Sprint([]string{"whole", "update", "repeat"}[kind], " ", string(line)))
			}}
			for _, part := range c.parts {
				cut.add([]byte(part))
			}
			cut.end()
			if !slices.Equal(got, c.want) {
				t.Errorf("lines %q, want %q", got, c.want)
			}
		})
	}
}
